"""The few acts on the file system that downloads are made of; each fault becomes an error of the tree.

What is written counts only once it is on the disk: a rename that overtakes the content would leave a whole name on half
a file after a power cut.
"""

import ctypes
import errno
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tinker_operator.tinker.download.errors import DiskFault, DiskFull, DownloadError

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_EXCHANGE: Final = 2
_HERE: Final = -100
"""RENAME_EXCHANGE and AT_FDCWD of Linux."""
_UNSUPPORTED: Final = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EPERM})


@contextmanager
def disk_faults(what: Path) -> Iterator[None]:
    """Turn what the file system refuses into an error that names the file and the cause.

    Raises:
        DiskFull: No space, or over quota.
        DiskFault: Anything else.
    """
    fault: DownloadError | None = None
    try:
        yield
    except OSError as refused:
        if refused.errno in _FULL:
            fault = DiskFull(f"The disk is full: {what} cannot be written ({refused.strerror})")
        else:
            fault = DiskFault(f"{what} cannot be written or read: {refused.strerror or type(refused).__name__}")
    if fault is not None:
        raise fault


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(root: Path) -> None:
    """Bring the names in a folder and in all below it to the disk; the files themselves are there already."""
    for folder, _, _ in os.walk(root):
        sync_folder(Path(folder))


def write_whole(path: Path, content: bytes) -> None:
    """Replace a small file so that at any moment either the old or the new one is there."""
    beside = path.with_name(f".{path.name}.new")
    with beside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def remove(path: Path) -> None:
    """Remove a file or a folder with all in it; nothing happens when there is none."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def put_in_place(whole: Path, target: Path, aside: Path) -> None:
    """Give a finished folder its final name; what had the name before is found at `aside` or `whole`, to be removed.

    Where the system can exchange two names at once, either the old or the new content has the name at any moment.
    Elsewhere there is a moment without either; `put_back` then restores the old one.

    Args:
        whole: The finished folder.
        target: Its final name.
        aside: A free name on the same file system.
    """
    if os.path.lexists(target) and not exchanged(whole, target):
        target.rename(aside)
    if not os.path.lexists(target):
        whole.rename(target)
    sync_folder(target.parent)


def put_back(aside: Path, target: Path) -> None:
    """Undo what an interrupted `put_in_place` left: the old content gets its name again."""
    if os.path.lexists(aside) and not os.path.lexists(target):
        aside.rename(target)


def exchanged(one: Path, other: Path) -> bool:
    """Exchange two names at once; False, and nothing done, where the system has no such act."""
    if not sys.platform.startswith("linux"):
        return False
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    if rename(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0:
        return True
    fault = ctypes.get_errno()
    if fault in _UNSUPPORTED:
        return False
    raise OSError(fault, os.strerror(fault))
