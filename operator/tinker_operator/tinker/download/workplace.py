"""Where a download is made before it has its final name: a hidden folder beside the target.

Being beside it, it is on the same file system, so that the last act is a rename. It stays when the download fails, and
the next attempt goes on from it.
"""

import fcntl
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Final, Self

from tinker_operator.tinker.download.disk import disk_faults, put_back, put_in_place, remove, sync_tree, write_whole
from tinker_operator.tinker.download.errors import DiskFault, TargetBusy, TargetExists
from tinker_operator.tinker.download.part import Part


class Workplace:
    """The hidden folder of one target; made by `opened`, which holds its lock.

    Args:
        target: The folder that the download becomes.
        force: Whether it replaces what is there.
    """

    def __init__(self, target: Path, *, force: bool) -> None:
        self.target: Final = target
        self._force = force
        self.root: Final = target.parent / f".{target.name}.partial"
        self.content: Final = self.root / "content"
        self.unpacked: Final = self.root / "unpacked"
        self._records: Final = self.root / "records"
        self._replaced: Final = self.root / "replaced"
        self._note: Final = self.root / "note"

    @classmethod
    @contextmanager
    def opened(cls, target: Path, *, force: bool = False) -> Iterator[Self]:
        """Take the place for this process alone.

        Raises:
            TargetExists: There is a target, and it may not be replaced.
            TargetBusy: Another process has the place.
            DiskFault: The file system refuses.
        """
        place = cls(target.absolute(), force=force)
        if not place.target.name:
            raise DiskFault("The root of the file system cannot be the target", "Name a folder that is to be made.")
        with disk_faults(place.root):
            place.root.mkdir(0o700, parents=True, exist_ok=True)
            descriptor = os.open(place.root, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            place._take(descriptor)
            yield place
        finally:
            os.close(descriptor)

    def part(self, name: str) -> Part:
        """Give the place of one file."""
        return Part(self.content / name, self._records / sha256(name.encode()).hexdigest())

    def keep_only(self, names: Collection[str]) -> None:
        """Remove what is none of these files: left by a download that named others, or by what was replaced."""
        kept = {self.content / name for name in names}
        with disk_faults(self.content):
            for folder, below, files in os.walk(self.content, topdown=False):
                for entry in (Path(folder, name) for name in (*below, *files)):
                    is_folder = entry.is_dir() and not entry.is_symlink()
                    if is_folder and not any(entry in name.parents for name in kept):
                        entry.rmdir()
                    elif not is_folder and (entry not in kept or entry.is_symlink()):
                        entry.unlink()

    def note(self) -> str | None:
        """Read what the last attempt noted; None when it noted nothing."""
        with disk_faults(self._note):
            try:
                return self._note.read_text()
            except (FileNotFoundError, UnicodeDecodeError):
                return None

    def write_note(self, text: str | None) -> None:
        """Note something for the next attempt; None takes it back."""
        with disk_faults(self._note):
            if text is None:
                self._note.unlink(missing_ok=True)
            else:
                write_whole(self._note, text.encode())

    def publish(self, whole: Path) -> None:
        """Give a finished folder the target's name, and remove everything else.

        Raises:
            TargetExists: A target has come meanwhile, and may not be replaced.
            DiskFault: The file system refuses.
        """
        self._check_target()
        with disk_faults(self.target):
            sync_tree(whole)
            put_in_place(whole, self.target, self._replaced)
            remove(self.root)

    def _take(self, descriptor: int) -> None:
        busy = False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            busy = True
        if busy or not self._is_here(descriptor):
            raise TargetBusy(f"Another download writes to {self.target}")
        if os.fstat(descriptor).st_uid != os.geteuid():
            raise DiskFault(f"{self.root} belongs to somebody else", "Remove it, or choose another place.")
        with disk_faults(self.root):
            for folder in (self.content, self._records):
                if folder.is_symlink():
                    folder.unlink()
            put_back(self._replaced, self.target)
            self._check_target()
            remove(self._replaced)
            remove(self.unpacked)

    def _is_here(self, descriptor: int) -> bool:
        """Say whether the folder still has its name: a download that ended before we locked it has removed it."""
        try:
            return os.path.samestat(os.lstat(self.root), os.fstat(descriptor))
        except FileNotFoundError:
            return False

    def _check_target(self) -> None:
        if os.path.lexists(self.target) and not self._force:
            with disk_faults(self.root):
                self._leave_if_unused()
            raise TargetExists(f"{self.target} exists already")

    def _leave_if_unused(self) -> None:
        """Leave no empty folder behind when nothing was begun."""
        if not any(self.root.iterdir()):
            self.root.rmdir()
