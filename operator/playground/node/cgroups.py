"""The control groups of one node: all below one name, so that they can be found and removed when it has ended.

The kubelet is told the name; `playground.node.cell` removes what the kernel keeps although the processes are gone.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
PREFIX = "tinker-playground-"
_POLL_SECONDS = 0.05
_INHERITED = ("cpuset.cpus", "cpuset.mems")  # version 1 leaves them empty, and then nothing may run there


def remains(name: str, root: Path = CGROUPS) -> list[Path]:
    """The topmost control groups of that name: one in version 2, one per controller in version 1."""
    hierarchies = [root, *(path for path in root.iterdir() if path.is_dir() and not path.is_symlink())]
    return [folder / name for folder in hierarchies if (folder / name).is_dir()]


def make(name: str, root: Path = CGROUPS) -> None:
    """Make the topmost control group of that name in every hierarchy, able to hold containers.

    Args:
        name: Without a slash.
        root: Where control groups are mounted.
    """
    if (root / "cgroup.controllers").exists():
        (root / name).mkdir()
        for controller in (root / "cgroup.controllers").read_text().split():
            _allow(root, controller)
            _allow(root / name, controller)
        return
    for hierarchy in root.iterdir():
        if (hierarchy / "cgroup.procs").exists() and not hierarchy.is_symlink():
            (hierarchy / name).mkdir(exist_ok=True)  # two names of one hierarchy are two folders of one content
            for setting in _INHERITED:
                if (hierarchy / name / setting).exists():
                    (hierarchy / name / setting).write_text((hierarchy / setting).read_text())


def _allow(folder: Path, controller: str) -> None:
    # Not every controller can be handed down; a limit that needs one says so when it is set.
    with suppress(OSError):
        (folder / "cgroup.subtree_control").write_text(f"+{controller}")


def remove(
    name: str,
    seconds: float,
    *,
    root: Path = CGROUPS,
    monotonic: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> bool:
    """Remove the control groups of that name; answer whether none is left.

    Args:
        name: As the kubelet was told, without a slash.
        seconds: How long to wait for processes in them that are about to be gone.
        root: Where control groups are mounted.
        monotonic: Clock, in seconds.
        pause: Sleeps for so many seconds.
    """
    deadline = monotonic() + seconds
    while left := remains(name, root):
        for top in left:
            for folder in _deepest_first(top):
                _rmdir(folder)
        if monotonic() >= deadline:
            return not remains(name, root)
        pause(_POLL_SECONDS)
    return True


def _deepest_first(top: Path) -> Iterator[Path]:
    for folder, _, _ in os.walk(top, topdown=False):
        yield Path(folder)


def _rmdir(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:  # a process is still ending in it: the next round sees it gone
        return
