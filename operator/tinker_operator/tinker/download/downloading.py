"""Downloads a checkpoint into a folder that is either whole or not there.

Called by the command `tinker-operator download`, and by whoever wants the files of a checkpoint in Python.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from tinker_operator.tinker.download.errors import DownloadMismatch, ExportEmpty
from tinker_operator.tinker.download.fetching import Fetching, Progress, Way
from tinker_operator.tinker.download.renewal import Addresses
from tinker_operator.tinker.download.signed import FileSource, SignedFiles
from tinker_operator.tinker.download.store import Store
from tinker_operator.tinker.download.unpacking import Limits, unpack
from tinker_operator.tinker.download.workplace import Workplace
from tinker_operator.tinker.retry import RetryPolicy, Timekeeper
from tinker_operator.tinker.settings import trusted_also


@dataclass(frozen=True, slots=True)
class DownloadedFile:
    """A file that is whole on disk.

    Args:
        name: Relative to the folder.
        size: In bytes.
        sha256: Of what is on disk, in hexadecimal.
    """

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Downloaded:
    """A checkpoint that is whole on disk.

    Args:
        folder: Where.
        files: All its files, by name.
    """

    folder: Path
    files: tuple[DownloadedFile, ...]

    @property
    def total_bytes(self) -> int:
        """All files together, in bytes."""
        return sum(file.size for file in self.files)


def unwatched(_done: int, _total: int | None, _name: str) -> None:
    """Progress that nobody looks at."""


@asynccontextmanager
async def way_to(
    service_url: str,
    now: Callable[[], datetime],
    *,
    retry: RetryPolicy | None = None,
    keeper: Timekeeper | None = None,
    progress: Progress = unwatched,
    silence_seconds: float = 30.0,
    ca_pem: str | None = None,
) -> AsyncIterator[Way]:
    """Open the way to the stores of one service.

    Args:
        service_url: Its base URL; see Store.
        now: The time of day, aware.
        retry: How long and how often to try while nothing arrives.
        keeper: Time and chance.
        progress: Told of each block that is written.
        silence_seconds: How long a store may send nothing.
        ca_pem: Certificate authorities to trust beside the usual ones, PEM.
    """
    async with Store(service_url, tls=trusted_also(ca_pem), silence_seconds=silence_seconds) as store:
        yield Way(store, retry or RetryPolicy(), keeper or Timekeeper(), now, progress)


@dataclass(frozen=True, slots=True)
class Downloading:
    """A download into a place.

    Args:
        place: Where it is made; opened by the caller, who decides about what is there.
        way: How files are fetched.
        limits: What an archive may come to.
    """

    place: Workplace
    way: Way
    limits: Limits = field(default_factory=Limits)

    async def run(self, source: FileSource) -> Downloaded:
        """Fetch all files, prove them, and give the folder its name.

        What has arrived when this fails stays in the place, and the next attempt goes on from it.

        Raises:
            TinkerError: Any below DownloadError, or what the source raises.
        """
        addresses = Addresses(source, self.way.now)
        files = await addresses.files()
        fetched = await self._fetched(files, addresses)
        if files.archive:
            return await self._unpacked(fetched[0])
        await asyncio.to_thread(self.place.publish, self.place.content)
        return Downloaded(self.place.target, fetched)

    async def _fetched(self, files: SignedFiles, addresses: Addresses) -> tuple[DownloadedFile, ...]:
        names = sorted(files.urls)
        self.place.keep_only(names)
        fetched = [await self._file(name, addresses) for name in names]
        total = sum(file.size for file in fetched)
        if files.total_bytes not in {None, total}:
            raise DownloadMismatch(f"The files have {total} bytes, the checkpoint {files.total_bytes}")
        return tuple(fetched)

    async def _file(self, name: str, addresses: Addresses) -> DownloadedFile:
        part = self.place.part(name)
        digest = await Fetching(name, part, addresses, self.way).run()
        return DownloadedFile(name, part.offset, digest)

    async def _unpacked(self, archive: DownloadedFile) -> Downloaded:
        packed = self.place.content / archive.name
        unpacked = await asyncio.to_thread(unpack, packed, self.place.unpacked, self.limits)
        if not unpacked:
            raise ExportEmpty("The archive holds no file")
        await asyncio.to_thread(self.place.publish, self.place.unpacked)
        files = (DownloadedFile(file.name, file.size, file.sha256) for file in unpacked)
        return Downloaded(self.place.target, tuple(sorted(files, key=lambda file: file.name)))


async def download(
    source: FileSource, target: Path, way: Way, *, force: bool = False, limits: Limits | None = None
) -> Downloaded:
    """Download what a source names into a folder.

    Args:
        source: Who signs the addresses.
        target: The folder that is to be made; its parent is made when it is missing.
        way: How files are fetched.
        force: Whether to replace what is there, once the new content is whole.
        limits: What an archive may come to.

    Raises:
        TargetExists: There is something, and `force` is false.
        TinkerError: Any other below DownloadError, or what the source raises.
    """
    with Workplace.opened(target, force=force) as place:
        return await Downloading(place, way, limits or Limits()).run(source)
