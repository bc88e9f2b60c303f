"""The two ways in which services give out files, as sources of signed addresses.

Exports are what services of today give: single files, each signed. Archives are what they gave before, and what some
servers of this API still give.
"""

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Final, Protocol

from pydantic import SecretStr

from tinker_operator.tinker.download.errors import ArchiveMissing, ExportNotReady
from tinker_operator.tinker.download.signed import SignedFiles
from tinker_operator.tinker.errors import RouteMissing
from tinker_operator.tinker.paths import TinkerPath
from tinker_operator.tinker.retry import Timekeeper
from tinker_operator.tinker.weights_models import Archive, ArchiveReady

ARCHIVE_NAME: Final = "archive"
EXPORT_SECONDS: Final = 3600
"""How long a temporary export lives after it was last signed: the shortest life that services accept."""
_TRIES: Final = 6
_USUAL_WAIT: Final = 30.0
_SHORTEST_WAIT: Final = 1.0
_LONGEST_WAIT: Final = 600.0
"""In all, in seconds: whoever has to wait longer comes again later."""


class SignedExport(Protocol):
    """A service's answer about an export: the addresses of its files, and when they end."""

    @property
    def urls(self) -> Mapping[str, SecretStr]:
        """File name relative to the checkpoint → address."""

    @property
    def expires(self) -> datetime | None:
        """When the addresses end, aware."""


class ExportSigning(Protocol):
    """The calls that an export is downloaded with."""

    async def external_weights_urls(self, path: TinkerPath) -> SignedExport:
        """Sign the files of an export."""

    async def set_checkpoint_ttl(self, path: TinkerPath, ttl_seconds: int | None) -> None:
        """Set how long a checkpoint lives from now."""


class ArchiveSigning(Protocol):
    """The call that an archive is downloaded with."""

    async def archive(self, path: TinkerPath) -> Archive:
        """Sign the archive of a checkpoint, or say that it is being built."""


class ExportedFiles:
    """The files of an export.

    Args:
        client: The service.
        path: The export, of kind external_weights.
        temporary: Whether the export is ours and lives as long as it is signed; a user's own is left as it is.
        total_bytes: What the files come to; None when nobody said.
    """

    def __init__(
        self, client: ExportSigning, path: TinkerPath, *, temporary: bool = False, total_bytes: int | None = None
    ) -> None:
        self._client = client
        self._path = path
        self._temporary = temporary
        self._total_bytes = total_bytes

    async def urls(self) -> SignedFiles:
        """Sign the files.

        Raises:
            TinkerError: The service refuses, or could not be asked.
        """
        signed = await self._client.external_weights_urls(self._path)
        if self._temporary:
            with suppress(RouteMissing):  # it has an end of its own anyway
                await self._client.set_checkpoint_ttl(self._path, EXPORT_SECONDS)
        return SignedFiles(signed.urls, signed.expires, total_bytes=self._total_bytes)


class ArchiveFile:
    """The archive of a checkpoint, which the service builds when it is first asked for.

    Args:
        client: The service.
        path: The checkpoint.
        keeper: Time.
    """

    def __init__(self, client: ArchiveSigning, path: TinkerPath, keeper: Timekeeper) -> None:
        self._client = client
        self._path = path
        self._keeper = keeper

    async def urls(self) -> SignedFiles:
        """Sign the archive, waiting while it is built.

        Raises:
            ExportNotReady: It was not built while we waited, six times for as long as the service asked, or 30 s; or
                it asked for more than ten minutes in all.
            ArchiveMissing: The service has no archives.
            TinkerError: The service refuses, or could not be asked.
        """
        waited = 0.0
        for tries_left in reversed(range(_TRIES)):
            answer = await self._asked()
            if isinstance(answer, SignedFiles):
                return answer
            waited += max(answer, _SHORTEST_WAIT)
            if not tries_left or waited >= _LONGEST_WAIT:
                break
            await self._keeper.sleep(max(answer, _SHORTEST_WAIT))
        raise ExportNotReady(f"The service still builds the archive of {self._path}")

    async def _asked(self) -> SignedFiles | float:
        """Ask once: the address, or how many seconds to wait."""
        try:
            said = await self._client.archive(self._path)
        except RouteMissing:
            said = None
        if said is None:
            raise ArchiveMissing("The service has no archives of checkpoints")
        if isinstance(said, ArchiveReady):
            return SignedFiles({ARCHIVE_NAME: said.url}, said.expires, archive=True)
        return _USUAL_WAIT if said.retry_after is None else said.retry_after
