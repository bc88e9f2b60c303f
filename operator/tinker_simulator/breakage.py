"""Ways to break a checkpoint's content; each leaves the listing as it was and makes the load find a real fault."""

from collections.abc import Callable, Mapping
from typing import assert_never

import numpy as np

from tinker_simulator.archive import Archive
from tinker_simulator.faults import Breakage
from tinker_simulator.learning.adapter import AdapterConfig, Array


def break_content(archive: Archive, file: str, config: AdapterConfig, how: Breakage) -> None:
    """Break the content stored under `file`.

    Raises:
        BrokenContentError: it is broken already in a way that leaves nothing to rewrite.
    """
    match how:
        case Breakage.TRUNCATE:
            path = archive.path(file)
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        case Breakage.NAN:
            _rewrite(archive, file, config, lambda array: np.full_like(array, np.nan))
        case Breakage.RANK:
            # The A factors are width x rank: one column less is an adapter of another rank.
            _rewrite(archive, file, config, lambda array: array[:, 1:])
        case Breakage.REMOVE:
            archive.remove(file)
        case _:
            assert_never(how)


def _rewrite(archive: Archive, file: str, config: AdapterConfig, change: Callable[[Array], Array]) -> None:
    arrays: Mapping[str, Array] = archive.arrays(file)
    broken = {name: change(value) if _is_weight(name) else value for name, value in arrays.items()}
    archive.write(file, config, broken)


def _is_weight(name: str) -> bool:
    return name.startswith("factors.") and name.endswith("_a")
