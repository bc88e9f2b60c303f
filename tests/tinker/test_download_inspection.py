"""What is wrong with an export is found and named; what the format's own library accepts is found sound."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError, deserialize
from safetensors.numpy import save

from tinker_operator.tinker.download import Inspection, inspect_export
from tinker_operator.tinker.download.findings import (
    BadConfig,
    BadHeader,
    BadOffsets,
    BaseModelMismatch,
    Encrypted,
    Missing,
    NoTensors,
    NotFinite,
    RankMismatch,
    ShapeMismatch,
    Surplus,
    Truncated,
    UnknownDtype,
)

pytestmark = pytest.mark.pure
CONFIG = {"r": 4, "base_model_name_or_path": "Qwen/Qwen3-8B", "peft_type": "LORA"}
A, B = "base_model.model.o_proj.lora_A.weight", "base_model.model.o_proj.lora_B.weight"
STRUCTURAL = (BadHeader, BadOffsets, UnknownDtype, ShapeMismatch, Surplus, Truncated)


def factors(**changes: Any) -> dict[str, Any]:
    return {A: np.ones((4, 8), np.float32), B: np.zeros((8, 4), np.float16)} | changes


def exported(folder: Path, weights: bytes, config: object = CONFIG) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "adapter_config.json").write_text(json.dumps(config))
    (folder / "adapter_model.safetensors").write_bytes(weights)
    return folder


def with_header(weights: bytes, change: Any) -> bytes:
    """Give a file whose header was changed by a function."""
    length = struct.unpack("<Q", weights[:8])[0]
    header = json.loads(weights[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + weights[8 + length :]


def judged(tmp_path: Path, weights: bytes, **expected: Any) -> Inspection:
    return inspect_export(exported(tmp_path / "export", weights), **expected)


def test_a_sound_export_has_no_findings(tmp_path: Path) -> None:
    """And is counted."""
    found = judged(tmp_path, save(factors()), expected_rank=4, expected_base_model="Qwen/Qwen3-8B")
    assert found == Inspection(2, 4 * 8 * 4 + 8 * 4 * 2, ())
    assert found.is_sound


def test_another_rank_and_another_model_are_named(tmp_path: Path) -> None:
    """In the configuration and in each factor."""
    found = judged(tmp_path, save(factors()), expected_rank=8, expected_base_model="other")
    assert set(found.findings) == {
        BaseModelMismatch("adapter_config.json", "other", "Qwen/Qwen3-8B"),
        RankMismatch("adapter_config.json", None, 8, 4),
        RankMismatch("adapter_model.safetensors", A, 8, 4),
        RankMismatch("adapter_model.safetensors", B, 8, 4),
    }


def test_a_factor_must_have_the_rank_that_the_configuration_says(tmp_path: Path) -> None:
    """Also when nobody expects one; but a configuration may name other ranks for some modules."""
    weights = save(factors(**{A: np.ones((2, 8), np.float32)}))
    assert judged(tmp_path, weights).findings == (RankMismatch("adapter_model.safetensors", A, 4, 2),)
    folder = exported(
        tmp_path / "pattern", save({A: np.ones((2, 8), np.float32)}), CONFIG | {"rank_pattern": {"o_proj": 2}}
    )
    assert inspect_export(folder, expected_rank=4).is_sound


@pytest.mark.parametrize("missing", ["adapter_config.json", "adapter_model.safetensors"])
def test_a_file_that_is_missing_or_encrypted_is_named(tmp_path: Path, missing: str) -> None:
    """An encrypted one cannot be judged, which is not the same as sound."""
    folder = exported(tmp_path / "export", save(factors()))
    (folder / missing).rename(folder / f"{missing}.age")
    assert inspect_export(folder).findings[0] == Encrypted(f"{missing}.age")
    (folder / f"{missing}.age").unlink()
    assert Missing(missing) in inspect_export(folder).findings


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000])
def test_a_configuration_that_cannot_be_read_is_named(tmp_path: Path, text: str) -> None:
    """Whatever it is instead."""
    folder = exported(tmp_path / "export", save(factors()))
    (folder / "adapter_config.json").write_text(text)
    assert isinstance(inspect_export(folder).findings[0], BadConfig)


def test_an_export_without_tensors_is_not_sound(tmp_path: Path) -> None:
    """Nothing could be loaded from it."""
    assert judged(tmp_path, save({})).findings == (NoTensors("adapter_model.safetensors"),)


@given(
    dtype=st.sampled_from([np.float16, np.float32, np.float64]),
    bits=st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=40),
)
def test_the_count_of_values_that_are_not_finite_is_right(
    dtype: Any, bits: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """For every pattern of bits, as an array library counts them."""
    width = np.dtype(dtype).itemsize
    values = np.array([bit % (1 << 8 * width) for bit in bits], dtype=f"<u{width}").view(dtype)
    expected = int((~np.isfinite(values)).sum())
    found = judged(tmp_path_factory.mktemp("values"), save({"values": values}))
    assert [finding.count for finding in found.findings if isinstance(finding, NotFinite)] == (
        [expected] if expected else []
    )


@given(bits=st.lists(st.integers(0, 2**16 - 1), min_size=1, max_size=40))
def test_bfloat16_is_counted_as_the_upper_half_of_a_float(
    bits: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """It has no type in array libraries, and is what adapters are made of."""
    halves = np.array(bits, dtype="<u2")
    expected = int((~np.isfinite((halves.astype("<u4") << 16).view("<f4"))).sum())
    weights = with_header(save({"values": halves}), lambda header: header["values"].update(dtype="BF16"))
    found = judged(tmp_path_factory.mktemp("values"), weights)
    assert found.findings == ((NotFinite("adapter_model.safetensors", "values", expected),) if expected else ())


def test_one_broken_value_in_a_large_tensor_is_found_wherever_it_is(tmp_path: Path) -> None:
    """At both ends, and at both sides of where blocks meet."""
    for place in (0, (1 << 18) - 1, 1 << 18, (1 << 19) - 1):
        values = np.zeros(1 << 19, np.float32)
        values[place] = np.nan
        assert judged(tmp_path, save({"values": values})).findings == (
            NotFinite("adapter_model.safetensors", "values", 1),
        )


SHAPES = st.lists(st.integers(0, 5), max_size=3)
DTYPES = st.sampled_from(["<f4", "<f2", "<f8", "<i8", "<u1", "?"])
FILES = st.dictionaries(st.text(min_size=1, max_size=8), st.tuples(DTYPES, SHAPES), min_size=1, max_size=4)


def library_accepts(weights: bytes) -> bool:
    try:
        deserialize(weights)  # type: ignore[no-untyped-call]  # its stub has no types for it
    except SafetensorError:
        return False
    return True


def made(files: dict[str, tuple[str, list[int]]]) -> bytes:
    return save({name: np.zeros(shape, dtype) for name, (dtype, shape) in files.items()})


@given(files=FILES)
def test_what_the_library_writes_is_sound(
    files: dict[str, tuple[str, list[int]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Every name, type and shape."""
    assume("__metadata__" not in files)
    found = judged(tmp_path_factory.mktemp("sound"), made(files))
    assert found.findings == ()
    assert found.tensors == len(files)


def entry(name: str, **changes: Any) -> Any:
    """Give a change of a file in what its header says of one tensor."""
    return lambda weights: with_header(weights, lambda header: header[name].update(changes))


def metadata(weights: bytes) -> bytes:
    return with_header(weights, lambda header: header.update(__metadata__={"a": 1}))


MUTATIONS: dict[str, tuple[Any, tuple[type, ...]]] = {
    "cut by a byte": (lambda weights: weights[:-1], (Truncated,)),
    "cut to its first bytes": (lambda weights: weights[:5], (Truncated,)),
    "cut in the header": (lambda weights: weights[:20], (Truncated,)),
    "empty": (lambda _: b"", (Truncated,)),
    "longer by a byte": (lambda weights: weights + b"\0", (Surplus,)),
    "header length absurd": (lambda weights: b"\xff" * 8 + weights[8:], (BadHeader,)),
    "header no object": (lambda weights: weights[:8] + b"[" + weights[9:], (BadHeader,)),
    "header no JSON": (lambda weights: weights[:9] + b"\xff" + weights[10:], (BadHeader,)),
    "unknown type": (entry(A, dtype="F33"), (UnknownDtype,)),
    "other type": (entry(A, dtype="F16"), (ShapeMismatch,)),
    "other shape": (entry(A, shape=[4, 9]), (ShapeMismatch,)),
    "huge shape": (entry(A, shape=[2**63, 2**63]), (ShapeMismatch,)),
    "negative shape": (entry(A, shape=[-4, -8]), (BadHeader,)),
    "overlap": (entry(B, data_offsets=[64, 128]), (BadOffsets,)),
    "backwards": (entry(A, data_offsets=[128, 0]), (BadOffsets,)),
    "offsets of text": (entry(A, data_offsets="01"), (BadHeader,)),
    "a hole": (lambda weights: with_header(weights, lambda header: header.pop(B)), (Surplus, BadOffsets)),
    "a field missing": (lambda weights: with_header(weights, lambda header: header[A].pop("shape")), (BadHeader,)),
    "metadata of numbers": (metadata, (BadHeader,)),
}


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_each_way_to_break_a_file_is_found_under_its_name(tmp_path: Path, mutation: str) -> None:
    """And the library refuses it too."""
    change, kinds = MUTATIONS[mutation]
    weights = change(save(factors()))
    assert any(isinstance(finding, kinds) for finding in judged(tmp_path, weights).findings)
    assert not library_accepts(weights)


@given(files=FILES, place=st.integers(0, 400), value=st.integers(0, 255))
@settings(max_examples=300)
def test_what_the_library_refuses_is_never_found_sound(
    files: dict[str, tuple[str, list[int]]], place: int, value: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """One wrong byte anywhere."""
    weights = bytearray(made(files))
    weights[place % len(weights)] = value
    found = judged(tmp_path_factory.mktemp("wrong"), bytes(weights))
    if not library_accepts(bytes(weights)):
        assert any(isinstance(finding, STRUCTURAL) for finding in found.findings)


@given(rubbish=st.binary(max_size=200))
def test_no_content_makes_it_stumble(rubbish: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A verdict, whatever the bytes."""
    assert not judged(tmp_path_factory.mktemp("rubbish"), rubbish).is_sound


def test_each_finding_is_a_sentence_and_a_reason(tmp_path: Path) -> None:
    """Fit for a condition."""
    for change, _ in MUTATIONS.values():
        for finding in judged(tmp_path, change(save(factors()))).findings:
            assert finding.reason == type(finding).__name__
            assert finding.file in str(finding)
