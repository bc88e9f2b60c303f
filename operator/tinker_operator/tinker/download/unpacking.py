"""Unpacks an archive that nobody vouches for.

An archive can name files anywhere, link to them, be a device, hold a thousand times what it weighs, or end in the
middle and look complete. Members are therefore copied one by one, in blocks, each judged before its first byte.
"""

import gzip
import hashlib
import os
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, cast

from tinker_operator.tinker.download.disk import disk_faults
from tinker_operator.tinker.download.errors import ArchiveTooLarge, ArchiveUnreadable, UnsafeArchive
from tinker_operator.tinker.download.signed import name_fault

_GZIP: Final = b"\x1f\x8b"
_COPIED: Final = 1024 * 1024
_RECORD: Final = 512
_LONGEST_HEAD: Final = 1024 * 1024
"""Bytes between two contents: names and attributes are read into memory, so they are bounded."""
_BROKEN: Final = (tarfile.TarError, zlib.error, EOFError, gzip.BadGzipFile, ValueError, RecursionError)


@dataclass(frozen=True, slots=True)
class Limits:
    """What an archive may come to.

    Args:
        total_bytes: All its contents together.
        members: Its files and folders.
        ratio: Contents per byte of the archive; archives that unpack to less than `always` are not measured.
        always: Bytes that any archive may unpack to, however small it is.
    """

    total_bytes: int = 100 * 1024**3
    members: int = 10_000
    ratio: int = 200
    always: int = 16 * 1024**2


@dataclass(frozen=True, slots=True)
class UnpackedFile:
    """A file that was written.

    Args:
        name: Relative to the folder.
        size: In bytes.
        sha256: Of what was written, in hexadecimal.
    """

    name: str
    size: int
    sha256: str


def unpack(archive: Path, folder: Path, limits: Limits | None = None) -> tuple[UnpackedFile, ...]:
    """Unpack a tar or tar.gz into a folder that does not exist yet; what fails leaves an unusable rest there.

    Raises:
        UnsafeArchive: A member is a link or a device, lies outside of the folder, or comes twice.
        ArchiveTooLarge: A limit would be passed; nothing was written beyond it.
        ArchiveUnreadable: It is broken, cut short, or of another format.
        DiskFull: No space.
        DiskFault: The file system refuses.
    """
    broken: str | None = None
    with disk_faults(folder), archive.open("rb") as file:
        folder.mkdir(parents=True)
        try:
            return _Unpacking(folder, limits or Limits(), archive.stat().st_size).run(_decompressed(file))
        except _BROKEN as fault:
            broken = type(fault).__name__
    raise ArchiveUnreadable(f"The archive cannot be read to its end ({broken})")


def _decompressed(file: IO[bytes]) -> IO[bytes]:
    magic = file.read(len(_GZIP))
    file.seek(0)
    return cast("IO[bytes]", gzip.GzipFile(fileobj=file)) if magic == _GZIP else file


class _Metered:
    """What tarfile reads from: counts, remembers the end, and refuses heads that are too long."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._recent = bytearray()
        self.count = 0
        self.allowed = _LONGEST_HEAD

    def read(self, size: int) -> bytes:
        content = self._stream.read(size)
        self.count += len(content)
        if self.count > self.allowed:
            raise ArchiveTooLarge(f"The archive holds more than {_LONGEST_HEAD} bytes between two files")
        self._recent = (self._recent + content)[-2 * tarfile.RECORDSIZE :]
        return content

    def ends_properly(self, offset: int) -> bool:
        """Say whether an end mark stands where tarfile stopped, which it does for rubbish and for the end alike."""
        begin = len(self._recent) - (self.count - offset)
        mark = self._recent[begin : begin + _RECORD] if begin >= 0 else b""
        return len(mark) == _RECORD and not any(mark)

    def drain(self) -> None:
        """Read to the end, so that the checksum of the compression is looked at."""
        while self.read(tarfile.RECORDSIZE):
            pass


class _Unpacking:
    """The unpacking of one archive."""

    def __init__(self, folder: Path, limits: Limits, packed_bytes: int) -> None:
        self._folder = folder
        self._limits = limits
        self._by_ratio = max(limits.always, limits.ratio * packed_bytes)
        self._written = 0
        self._members = 0
        self._files: list[UnpackedFile] = []

    def run(self, stream: IO[bytes]) -> tuple[UnpackedFile, ...]:
        metered = _Metered(stream)
        with tarfile.open(fileobj=metered, mode="r|", errorlevel=1) as tar:  # type: ignore[call-overload]  # reads only
            while (member := tar.next()) is not None:
                tar.members.clear()  # it would remember them all
                self._judge(member)
                metered.allowed = metered.count + _content_size(member) + _LONGEST_HEAD
                self._write(tar, member)
                metered.allowed = metered.count + _LONGEST_HEAD
            if not metered.ends_properly(tar.offset):
                raise EOFError
        metered.drain()
        return tuple(self._files)

    def _judge(self, member: tarfile.TarInfo) -> None:
        self._members += 1
        if self._members > self._limits.members:
            raise ArchiveTooLarge(f"The archive holds more than {self._limits.members} files and folders")
        if not (member.isreg() or member.isdir()) or member.issparse():
            raise UnsafeArchive(f"The archive holds {_shown(member)}, which is neither a file nor a folder")
        name = _plain_name(member)
        fault = name_fault(name) if name else None
        if fault is None:
            try:
                tarfile.data_filter(member, str(self._folder))
            except tarfile.FilterError as refused:
                fault = f"is refused ({type(refused).__name__})"
        if fault is not None:
            raise UnsafeArchive(f"The archive holds {_shown(member)}, which {fault}")
        self._check_room(_content_size(member))

    def _check_room(self, size: int) -> None:
        total = self._written + size
        if size < 0 or total > self._limits.total_bytes:
            raise ArchiveTooLarge(f"Unpacked, the archive has more than {self._limits.total_bytes} bytes")
        if total > self._by_ratio:
            raise ArchiveTooLarge(f"Unpacked, the archive has more than {self._limits.ratio} times its size")

    def _write(self, tar: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        name = _plain_name(member)
        try:
            if member.isdir():
                (self._folder / name).mkdir(parents=True, exist_ok=True)
            elif not name:
                raise UnsafeArchive("The archive holds a file without a name")
            else:
                self._copy(tar, member, name)
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            clash = UnsafeArchive(f"The archive holds {_shown(member)} twice")
        else:
            return
        raise clash

    def _copy(self, tar: tarfile.TarFile, member: tarfile.TarInfo, name: str) -> None:
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        content, digest = tar.extractfile(member), hashlib.sha256()
        if content is None:
            raise EOFError
        with path.open("xb") as file:
            left = member.size
            while left:
                block = content.read(min(_COPIED, left))
                if not block:
                    raise EOFError
                file.write(block)
                digest.update(block)
                left -= len(block)
            file.flush()
            os.fsync(file.fileno())
        self._written += member.size
        self._files.append(UnpackedFile(name, member.size, digest.hexdigest()))


def _plain_name(member: tarfile.TarInfo) -> str:
    """Give the name without the `./` that many archivers put first, and empty for the folder itself."""
    name = member.name
    while name.startswith("./"):
        name = name[2:]
    return "" if name == "." else name.rstrip("/") if member.isdir() else name


def _content_size(member: tarfile.TarInfo) -> int:
    """Give how many bytes follow the head; what a folder's head says of its size means nothing."""
    return member.size if member.isreg() else 0


def _shown(member: tarfile.TarInfo) -> str:
    return ascii(member.name[:120])
