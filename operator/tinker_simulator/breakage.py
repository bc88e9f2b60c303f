"""Ways to break a checkpoint's content; each leaves the listing as it was and makes the load find a real fault."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from safetensors.numpy import load, save

from tinker_simulator.archive import Archive, BrokenContentError
from tinker_simulator.exports import WEIGHTS_FILE
from tinker_simulator.faults import Breakage
from tinker_simulator.learning.adapter import AdapterConfig, Array

Change = Callable[[Array], Array]


def break_content(archive: Archive, file: str, config: AdapterConfig, how: Breakage) -> None:
    """Break the content stored under `file`, the files for other programs included.

    Raises:
        BrokenContentError: it is broken already, or encrypted, in a way that leaves nothing to rewrite.
    """
    if how is Breakage.REMOVE:
        archive.remove(file)
        return
    exported = [archive.folder(file) / name for name in archive.names_in(file) if name.startswith(WEIGHTS_FILE)]
    if archive.path(file).exists() or not exported:
        _break_arrays(archive, file, config, how)
    for path in exported:
        _break_export(path, how)


def _break_arrays(archive: Archive, file: str, config: AdapterConfig, how: Breakage) -> None:
    if how is Breakage.TRUNCATE:
        _truncate(archive.path(file))
        return
    change = _CHANGES[how]
    arrays: Mapping[str, Array] = archive.arrays(file)
    archive.write(file, config, {name: change(value) if _is_weight(name) else value for name, value in arrays.items()})


def _break_export(path: Path, how: Breakage) -> None:
    if how is Breakage.TRUNCATE:
        _truncate(path)
        return
    if path.name != WEIGHTS_FILE:
        raise BrokenContentError("it is encrypted: it can be truncated or removed")
    change = _CHANGES[how]
    tensors = load(path.read_bytes())
    # PEFT keeps the factors the other way round: what is a column to the simulator is a row there.
    broken = {
        name: np.ascontiguousarray(change(value.T).T) if ".lora_A." in name else value
        for name, value in tensors.items()
    }
    path.write_bytes(save(broken))


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


_CHANGES: Mapping[Breakage, Change] = {
    Breakage.NAN: lambda array: np.full_like(array, np.nan),
    # The A factors are width x rank: one column less is an adapter of another rank.
    Breakage.RANK: lambda array: array[:, 1:],
}


def _is_weight(name: str) -> bool:
    return name.startswith("factors.") and name.endswith("_a")
