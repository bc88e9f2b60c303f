"""GGUF files are what llama.cpp's converter makes: read back by the format's own reader, no value is another."""

import json
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGUFReader
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.exporter.adapters import RANK, ROWS, WIDTH, adapter, matrix

from tinker_operator.api.export_spec import ExportFormat
from tinker_operator.exporter.errors import FormatUnsupported
from tinker_operator.exporter.formats import opened
from tinker_operator.exporter.gguf_names import family_of

pytestmark = pytest.mark.pure
QWEN = ("model.layers.0.self_attn.q_proj", "model.layers.11.mlp.down_proj", "lm_head")
Arrays = dict[str, NDArray[Any]]


def written(folder: Path) -> GGUFReader:
    conversion = opened(ExportFormat.GGUF)
    assert conversion is not None
    target = folder / conversion.file_name
    conversion.write(folder, target)
    return GGUFReader(target)


def contents(reader: GGUFReader) -> Arrays:
    return {it.name: it.data for it in reader.tensors}


def is_same(one: NDArray[Any], other: NDArray[Any]) -> bool:
    return one.shape == other.shape and bool((one == other.astype(np.float32)).all())


def test_it_says_what_it_is(tmp_path: Path) -> None:
    """The fields that llama.cpp asks for before it takes an adapter."""
    reader = written(adapter(tmp_path, matrix(QWEN[0])))
    wanted = {
        "general.architecture": "qwen3",
        "general.type": "adapter",
        "adapter.type": "lora",
        "adapter.lora.alpha": 32.0,
        "general.base_model.0.name": "Qwen/Qwen3-8B",
    }
    assert {name: reader.fields[name].contents() for name in wanted} == wanted


@pytest.mark.parametrize("dtype", [np.float32, np.float16], ids=["F32", "F16"])
def test_every_matrix_has_its_factors_under_the_name_of_llama_cpp(dtype: Any, tmp_path: Path) -> None:
    """Shapes as PEFT has them: rank by inputs, and outputs by rank."""
    tensors = {name: it for module in QWEN for name, it in matrix(module, dtype=dtype).items()}
    found = contents(written(adapter(tmp_path, tensors)))

    names = dict(zip(QWEN, ("blk.0.attn_q", "blk.11.ffn_down", "output"), strict=True))
    assert sorted(found) == sorted(f"{name}.weight.lora_{side}" for name in names.values() for side in "ab")
    for module, name in names.items():
        for side in "AB":
            source = tensors[f"base_model.model.{module}.lora_{side}.weight"]
            assert is_same(found[f"{name}.weight.lora_{side.lower()}"], source)
    assert found["output.weight.lora_a"].shape == (RANK, WIDTH)


@given(bits=st.lists(st.integers(0, (1 << 16) - 1), min_size=16, max_size=16))
@settings(max_examples=50, deadline=None)
def test_half_precision_of_the_other_kind_is_read_to_the_bit(
    bits: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """BF16, which numpy has no type for: each value is the F32 with the same upper half."""
    folder = tmp_path_factory.mktemp("bf16")
    halves = np.array(bits, "<u2").reshape(4, 4)
    prefix = "base_model.model.model.layers.0.self_attn.v_proj"
    adapter(folder, {f"{prefix}.lora_{side}.weight": halves for side in "AB"})
    path = folder / "adapter_model.safetensors"
    content = path.read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    for entry in header.values():
        entry["dtype"] = "BF16"
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])

    found = contents(written(folder))
    wanted = [bit << 16 for bit in bits]
    for side in "ab":
        assert found[f"blk.0.attn_v.weight.lora_{side}"].view("<u4").ravel().tolist() == wanted


@pytest.mark.parametrize(
    ("model", "head"),
    [
        pytest.param("meta-llama/Llama-3.2-1B", 64, id="heads of 64"),
        pytest.param("meta-llama/Llama-3.1-8B-Instruct", 128, id="heads of 128"),
    ],
)
def test_llama_has_the_pairs_of_a_head_beside_one_another(model: str, head: int, tmp_path: Path) -> None:
    """Of queries and keys: row 2i is the first of pair i, row 2i + 1 its second, half a head further in PEFT."""
    modules = {f"model.layers.0.self_attn.{short}_proj": f"blk.0.attn_{short}" for short in "qkv"}
    tensors = {name: it for module in modules for name, it in matrix(module).items()}
    found = contents(written(adapter(tmp_path, tensors, model)))

    rows = [
        start + pair + half for start in range(0, ROWS, head) for pair in range(head // 2) for half in (0, head // 2)
    ]
    for module, name in modules.items():
        source = tensors[f"base_model.model.{module}.lora_B.weight"]
        assert is_same(found[f"{name}.weight.lora_b"], source if name.endswith("v") else source[rows])
        assert is_same(found[f"{name}.weight.lora_a"], tensors[f"base_model.model.{module}.lora_A.weight"])


def test_experts_are_stacked_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    """Not in that of their names, in which 10 comes before 2."""
    experts = [f"model.layers.3.mlp.experts.{number}.up_proj" for number in range(12)]
    tensors = {name: it for module in experts for name, it in matrix(module).items()}
    found = contents(written(adapter(tmp_path, tensors, "Qwen/Qwen3-30B-A3B")))

    for side in "AB":
        whole = np.stack([tensors[f"base_model.model.{module}.lora_{side}.weight"] for module in experts])
        assert is_same(found[f"blk.3.ffn_up_exps.weight.lora_{side.lower()}"], whole)


def test_the_same_adapter_gives_the_same_bytes(tmp_path: Path) -> None:
    """A run that goes on finds at the target what the one before sent."""
    folder = adapter(tmp_path, matrix(QWEN[0]))
    written(folder)
    first = (folder / "adapter_model.gguf").read_bytes()
    written(folder)
    assert (folder / "adapter_model.gguf").read_bytes() == first


LARGE = 12
"""Tensors of 16 MiB each."""
MOST_MEMORY = 80 * 1024**2
WRITING = """
import resource, sys
from pathlib import Path
from tinker_operator.exporter.gguf_adapter import GgufAdapter

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

before = peak()
GgufAdapter().write(Path(sys.argv[1]), Path(sys.argv[2]))
print(peak() - before)
"""


def test_memory_does_not_grow_with_the_adapter(tmp_path: Path) -> None:
    """A few times the largest tensor is enough for any number of them."""
    prefix = "base_model.model.model.layers.{}.self_attn.{}.lora_{}.weight"
    wide = np.ones((4, 1 << 20), np.float32)
    tensors = {prefix.format(layer, "o_proj", "A"): wide for layer in range(LARGE)}
    tensors |= {prefix.format(layer, "o_proj", "B"): wide[:, :4] for layer in range(LARGE)}
    folder = adapter(tmp_path, {name: np.ascontiguousarray(it) for name, it in tensors.items()})
    command = [sys.executable, "-c", WRITING, str(folder), str(tmp_path / "out.gguf")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert (tmp_path / "out.gguf").stat().st_size > LARGE * wide.nbytes
    assert int(done.stdout) < MOST_MEMORY


ONE = "model.layers.0.self_attn.q_proj"
FACTOR = "base_model.model.model.layers.0.mlp.experts.{}.up_proj.lora_{}.weight"
REFUSED: dict[str, tuple[Arrays, dict[str, Any], str]] = {
    "a base model that is not known": (matrix(ONE), {"base_model": "openai/gpt-oss-20b"}, "gpt-oss-20b"),
    "a model that sees": (matrix(ONE), {"base_model": "Qwen/Qwen3-VL-8B-Instruct"}, "VL"),
    "no base model": (matrix(ONE), {"base_model": ""}, "is not known"),
    "a matrix that the architecture lacks": (matrix("model.layers.0.mixer.in_proj"), {}, "mixer"),
    "the output matrix of a model that has none": (matrix("lm_head"), {"base_model": "Qwen/Qwen3-4B"}, "lm_head"),
    "a layer that no model has": (matrix("model.layers.99999.self_attn.q_proj"), {}, "99999"),
    "a factor that is missing": (dict([*matrix(ONE).items()][:1]), {}, "is missing"),
    "an expert that is missing": (
        {FACTOR.format(number, side): np.ones((4, 4), np.float32) for number in (0, 2) for side in "AB"},
        {"base_model": "Qwen/Qwen3-30B-A3B"},
        "is missing",
    ),
    "the last expert of one matrix": (
        {
            **{FACTOR.format(number, side): np.ones((4, 4), np.float32) for number in (0, 1) for side in "AB"},
            **{FACTOR.format(0, side).replace("up", "down"): np.ones((4, 4), np.float32) for side in "AB"},
        },
        {"base_model": "Qwen/Qwen3-30B-A3B"},
        "is missing",
    ),
    "experts of several shapes": (
        {
            FACTOR.format(number, side): np.ones((4, 4) if side == "A" else (4 + number, 4), np.float32)
            for number in (0, 1)
            for side in "AB"
        },
        {"base_model": "Qwen/Qwen3-30B-A3B"},
        "do not fit",
    ),
    "factors of two ranks": (
        {**matrix(ONE), f"base_model.model.{ONE}.lora_A.weight": np.ones((2, 8), np.float32)},
        {},
        "do not fit",
    ),
    "a tensor that is no factor": ({**matrix(ONE), "model.embed_tokens.weight": np.ones((4, 4))}, {}, "embed_tokens"),
    "values of another type": (matrix(ONE, dtype=np.float64), {}, "F64"),
    "rows that are no whole heads": (
        {f"base_model.model.{ONE}.lora_{side}.weight": np.ones((4, 4), np.float32) for side in "AB"},
        {"base_model": "meta-llama/Llama-3.1-8B"},
        "heads",
    ),
    "a scale by the root of the rank": (matrix(ONE), {"use_rslora": True}, "use_rslora"),
    "magnitudes": (matrix(ONE), {"use_dora": True}, "use_dora"),
    "a scale for each matrix": (matrix(ONE), {"alpha_pattern": {"q_proj": 3}}, "alpha_pattern"),
    "a bias": (matrix(ONE), {"bias": "all"}, "bias"),
    "no alpha": (matrix(ONE), {"lora_alpha": 0}, "lora_alpha"),
}


@pytest.mark.parametrize("case", list(REFUSED))
def test_what_would_compute_something_else_is_refused(case: str, tmp_path: Path) -> None:
    """With what it is, and the remedy; an adapter that loads and means nothing is worse than none."""
    tensors, settings_, named = REFUSED[case]
    with pytest.raises(FormatUnsupported) as refused:
        written(adapter(tmp_path, tensors, **settings_))
    assert named in str(refused.value)
    assert "Export it as Safetensors." in str(refused.value)


def test_the_base_models_of_the_page_are_known() -> None:
    """Each family by one of its names."""
    known = {
        "Qwen/Qwen3-4B-Instruct-2507": "qwen3",
        "Qwen/Qwen3-8B-Base": "qwen3",
        "Qwen/Qwen3-32B": "qwen3",
        "Qwen/Qwen3-30B-A3B-Instruct-2507": "qwen3moe",
        "Qwen/Qwen3-235B-A22B-Instruct-2507": "qwen3moe",
        "meta-llama/Llama-3.1-70B": "llama",
        "meta-llama/Llama-3.2-3B": "llama",
        "meta-llama/Llama-3.3-70B-Instruct": "llama",
    }
    assert {name: family_of({"base_model_name_or_path": name}).architecture for name in known} == known
