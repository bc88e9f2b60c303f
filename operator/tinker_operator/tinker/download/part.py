"""One file on its way: what of it is on disk, and by what the store will know that the rest belongs to it.

The record beside the content survives the process. It is written after the content is cut to nothing and before the
first byte of new content, so that a record never speaks of bytes of another version.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from tinker_operator.tinker.download.digests import Promise
from tinker_operator.tinker.download.disk import disk_faults, sync_folder, write_whole

SAFE_EVERY: Final = 16 * 1024 * 1024
"""Bytes after which content is brought to the disk: the most that a killed download fetches again."""


@dataclass(frozen=True, slots=True)
class Version:
    """Which content of a file this is.

    Args:
        etag: The store's strong tag; None when it gave none.
        last_modified: The store's date; None when it gave none.
        size: The whole size in bytes; None when the store did not say.
        promise: The digest that the whole must have.
    """

    etag: str | None = None
    last_modified: str | None = None
    size: int | None = None
    promise: Promise | None = None

    @property
    def condition(self) -> str | None:
        """What `If-Range` asks for; None when nothing can prove that the content is still the same."""
        return self.etag or self.last_modified


class _Record(BaseModel):
    """What is remembered about the content."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    layout: Literal[1] = 1
    identity: str
    etag: str | None
    last_modified: str | None
    size: int | None
    algorithm: str | None
    digest: str | None
    safe: int
    """How many bytes are known to be on the disk."""
    inode: int
    """The file it speaks of: under the same name may lie what a finished download has replaced."""


class Part:
    """A file on its way.

    Args:
        content: Where its bytes go.
        record: Where it is remembered what they are.
        safe_every: After how many bytes they are brought to the disk.

    Raises:
        DiskFull: In every method: no space.
        DiskFault: In every method: the file system refuses.
    """

    def __init__(self, content: Path, record: Path, *, safe_every: int = SAFE_EVERY) -> None:
        self.content: Final = content
        self._record_path = record
        self._safe_every = safe_every
        self._file: BinaryIO | None = None
        self._unsafe = 0
        self.offset = 0
        self.identity = ""
        self.version = Version()

    def open(self, identity: str) -> None:
        """Take up what an earlier process left, when it was of the same address.

        Args:
            identity: The address without its signature.
        """
        with disk_faults(self.content):
            self.content.parent.mkdir(parents=True, exist_ok=True)
            self._record_path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.fdopen(os.open(self.content, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644), "r+b", 0)
            record = self._remembered()
            self.identity = identity
            found = os.fstat(self._open_file.fileno())
            if record is None or record.identity != identity or record.inode != found.st_ino:
                self.forget()
                return
            promise = Promise(record.algorithm, record.digest) if record.algorithm and record.digest else None
            self.version = Version(record.etag, record.last_modified, record.size, promise)
            self._cut(min(record.safe, found.st_size))

    def resume_from(self) -> int:
        """Say at which byte to go on: of a whole file at its last one, to be told that it is still the same."""
        if self.version.condition is None:
            return 0
        return self.offset if self.version.size is None else max(0, min(self.offset, self.version.size - 1))

    def begin(self, version: Version) -> None:
        """Start anew with content of this version."""
        with disk_faults(self.content):
            self._cut(0)
            self.version = version
            self._remember()

    def go_on(self, offset: int, version: Version) -> None:
        """Go on at a byte, now that the store has confirmed the version."""
        with disk_faults(self.content):
            self._cut(offset)
            self.version = version

    def append(self, content: bytes | bytearray) -> None:
        """Add bytes at the end."""
        with disk_faults(self.content):
            view = memoryview(content)
            while view:
                written = self._open_file.write(view)
                view = view[written:]
                self.offset += written
                self._unsafe += written
            if self._unsafe >= self._safe_every:
                self.make_safe()

    def make_safe(self) -> None:
        """Bring what is there to the disk and remember how much it is."""
        with disk_faults(self.content):
            os.fsync(self._open_file.fileno())
            self._remember()
            self._unsafe = 0

    def forget(self) -> None:
        """Start with nothing, of no version."""
        self.begin(Version())

    def close(self) -> None:
        """Close the file; what is there stays."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def finish(self) -> None:
        """Bring the whole file to the disk and close it."""
        self.make_safe()
        self.close()
        with disk_faults(self.content):
            sync_folder(self.content.parent)

    @property
    def _open_file(self) -> BinaryIO:
        if self._file is None:
            raise ValueError("the file is closed")
        return self._file

    def _cut(self, size: int) -> None:
        self._open_file.truncate(size)
        self._open_file.seek(size)
        self.offset, self._unsafe = size, 0

    def _remembered(self) -> _Record | None:
        try:
            return _Record.model_validate_json(self._record_path.read_bytes())
        except (FileNotFoundError, ValidationError):
            return None

    def _remember(self) -> None:
        version = self.version
        promise = version.promise
        record = _Record(
            identity=self.identity,
            etag=version.etag,
            last_modified=version.last_modified,
            size=version.size,
            algorithm=promise.algorithm if promise else None,
            digest=promise.digest if promise else None,
            safe=self.offset,
            inode=os.fstat(self._open_file.fileno()).st_ino,
        )
        write_whole(self._record_path, record.model_dump_json().encode())
