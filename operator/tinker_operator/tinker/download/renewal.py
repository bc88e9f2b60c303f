"""Keeps the addresses of one download fresh; asked before each request."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

import httpx

from tinker_operator.tinker.download.errors import DownloadRefused
from tinker_operator.tinker.download.signed import FileSource, SignedFiles, address_of

_MARGIN: Final = timedelta(seconds=30)


class Addresses:
    """The addresses of one download, signed anew when they end.

    Args:
        source: Who signs.
        now: The time of day.
    """

    def __init__(self, source: FileSource, now: Callable[[], datetime]) -> None:
        self._source = source
        self._now = now
        self._files: SignedFiles | None = None
        self._used = False

    async def files(self) -> SignedFiles:
        """Give the addresses; fresh ones when these are about to end, though never twice without use."""
        if self._files is None or (self._used and self._end(self._files)):
            await self.renew()
        if self._files is None:
            raise DownloadRefused("The service gives no addresses")
        return self._files

    async def renew(self) -> None:
        """Have the files signed anew."""
        self._files, self._used = await self._source.urls(), False

    async def address(self, name: str) -> httpx.URL:
        """Give the address of a file, to be used now.

        Raises:
            DownloadRefused: The service does not name the file any more.
        """
        url = (await self.files()).urls.get(name)
        self._used = True
        if url is None:
            raise DownloadRefused(f"The service does not name the file {name} any more")
        return address_of(url)

    def _end(self, files: SignedFiles) -> bool:
        """Say whether the addresses are about to end; a time without a zone is UTC, as elsewhere."""
        if files.expires is None:
            return False
        expires = files.expires if files.expires.tzinfo else files.expires.replace(tzinfo=UTC)
        return self._now() + _MARGIN >= expires
