"""The folder that a control plane lives in: claimed by one process at a time, cleared of what an earlier one left.

`playground.controlplane` claims it before it writes anything there.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import filelock

from playground.errors import BadSetting

_MARKER = ".tinker-playground"
_OURS = ("etcd", "pki", "logs", "bin", "node", "kubeconfig")


class Ground:
    """A claimed folder.

    Args:
        folder: Made if need be.

    Raises:
        BadSetting: It cannot be made, another control plane lives there, or it holds what we would have to remove.
    """

    def __init__(self, folder: Path) -> None:
        self._lock = filelock.FileLock(folder / _MARKER, thread_local=False)  # who stops it may be another thread
        foreign = [] if (folder / _MARKER).exists() else [name for name in _OURS if (folder / name).exists()]
        if foreign:
            raise BadSetting(
                f"{folder} has {', '.join(foreign)} that no control plane of ours made.", "Choose another folder."
            )
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
        except OSError as error:
            raise _refusal(folder, error) from error
        _clear(folder)

    def release(self) -> None:
        """Let the next one have it; what is there stays to be looked at."""
        self._lock.release()


def _refusal(folder: Path, error: OSError) -> BadSetting:
    if isinstance(error, filelock.Timeout):
        return BadSetting(f"Another control plane runs in {folder}.", "Stop it, or choose another folder.")
    return BadSetting(f"{folder} cannot be used: {error.strerror}.", "Choose a folder that can be written.")


def _clear(folder: Path) -> None:
    for name in _OURS:
        path = folder / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
