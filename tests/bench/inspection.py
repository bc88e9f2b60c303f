"""The search for NaN and infinite values in a large adapter, beside numpy over the safetensors library.

    python -m tests.bench.inspection --seed 1 --output inspection.json

Values are drawn, and some of them are then made NaN or infinite: both have to find each of them.
"""

import json
import os
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO

import click
import numpy as np
from tests.bench.contest import OURS, Contender, Contest, heed_signals
from tests.bench.outcome import Outcome, Series, Untrue

NUMPY = "numpy + safetensors"
MIB = 1024**2
TENSOR_MIB = 8
RANK = 32
TYPES: Mapping[str, str] = {"F32": "<f4", "F16": "<f2"}
"""What both can read: the library has no numpy type for BF16, which ours reads too."""
ODD_VALUES = (float("nan"), float("inf"), float("-inf"))


@dataclass(frozen=True, slots=True)
class Adapter:
    """An adapter's files, and what is wrong in them.

    Attributes:
        folder: Where they are.
        dtype: Of all tensors, as safetensors names it.
        counts: Tensor → how many of its values are not finite; sound ones are left out.
    """

    folder: Path
    dtype: str
    counts: Mapping[str, int]


def made(folder: Path, dtype: str, tensors: int, odd_tensors: int, draw: random.Random) -> Adapter:
    """Writes an adapter of that many tensors of 8 MiB, of which some hold a few values that are not finite."""
    form = np.dtype(TYPES[dtype])
    shape = (RANK, TENSOR_MIB * MIB // form.itemsize // RANK)
    names = [f"base_model.model.layers.{number}.mlp.lora_A.weight" for number in range(tensors)]
    counts = {name: draw.randint(1, 5) for name in draw.sample(names, min(odd_tensors, tensors))}
    entries = {
        name: {"dtype": dtype, "shape": shape, "data_offsets": [at * TENSOR_MIB * MIB, (at + 1) * TENSOR_MIB * MIB]}
        for at, name in enumerate(names)
    }
    header = json.dumps(entries).encode()
    folder.mkdir()
    with (folder / "adapter_model.safetensors").open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        for name in names:
            _write_tensor(file, shape, form, counts.get(name, 0), draw)
        os.fsync(file.fileno())  # it is not written beside the first turn
    config = {"peft_type": "LORA", "r": RANK, "base_model_name_or_path": "bench"}
    (folder / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
    return Adapter(folder, dtype, counts)


def _write_tensor(file: BinaryIO, shape: tuple[int, int], form: np.dtype[Any], odd: int, draw: random.Random) -> None:
    values = np.random.default_rng(draw.getrandbits(64)).standard_normal(shape, dtype=np.float32).astype(form)
    flat = values.reshape(-1)
    for place in draw.sample(range(flat.size), odd):
        flat[place] = draw.choice(ODD_VALUES)
    file.write(values.tobytes())


def contest_of(adapter: Adapter, tensors: int) -> Contest:
    """Returns the contest over an adapter."""
    job = f"scan {tensors * TENSOR_MIB:,} MiB of {adapter.dtype}"

    def check(found: Any) -> None:
        if found != {"tensors": tensors, "counts": adapter.counts, "odd": []}:
            raise Untrue(f"{job}: found {found}, and there are {adapter.counts} in {tensors} tensors")

    contenders = [
        Contender(OURS, "tests.bench.ours_scan", lambda _: str(adapter.folder)),
        Contender(NUMPY, "tests.bench.baselines.array_scan", lambda _: str(adapter.folder)),
    ]
    return Contest(job, contenders, check, {}, lambda _: {})


def measure(mib: int, repetitions: int, seed: int) -> Outcome:
    """Returns what both took, type by type."""
    draw, series = random.Random(seed), list[Series]()  # noqa: S311 - repeatable, not secret
    tensors = max(1, mib // TENSOR_MIB)
    for dtype in TYPES:
        with TemporaryDirectory(prefix="bench-inspection-") as place:
            adapter = made(Path(place) / "adapter", dtype, tensors, 3, draw)
            series += contest_of(adapter, tensors).held(repetitions, draw)
    return Outcome("inspection", {"seed": seed, "mib": mib, "repetitions": repetitions}, series)


@click.command()
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--mib", type=click.IntRange(8), default=1_024, show_default=True, help="Size of the adapter.")
@click.option("--repetitions", type=click.IntRange(1), default=5, show_default=True)
@click.option("--output", type=click.Path(path_type=Path), required=True, help="JSON of what was found.")
def main(seed: int, mib: int, repetitions: int, output: Path) -> None:
    """Measure the inspection beside numpy."""
    heed_signals()
    measure(mib, repetitions, seed).write(output)


if __name__ == "__main__":
    main()
