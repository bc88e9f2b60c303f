"""Files behind signed links, for whoever has the link: in parts where a download is resumed, never whole in memory."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO

from aiohttp import web

from tinker_simulator.answers import missing
from tinker_simulator.ranges import Part, Version, asked_part, is_known
from tinker_simulator.signing import SIGNED_PREFIX
from tinker_simulator.simulation import Simulation

_PIECE = 64 * 1024


class DownloadRoutes:
    """Signed links."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation

    def routes(self) -> list[web.RouteDef]:
        """The routes of this part."""
        return [web.get(f"{SIGNED_PREFIX}{{name:.+}}", self.download)]

    async def download(self, request: web.Request) -> web.Response:
        """A file, or the part of it that was asked for; 403 for a link that was not signed here or has ended."""
        name = request.match_info["name"]
        self._simulation.links.check(name, request.query.get("expires", ""), request.query.get("signature", ""))
        path = self._simulation.bench.archive.folder(name)
        try:
            file = path.open("rb")
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise missing("File", path.name) from None
        return _answer(request, path, file)


def _answer(request: web.Request, path: Path, file: BinaryIO) -> web.Response:
    status = path.stat()
    version = Version(status.st_size, status.st_mtime_ns)
    headers = {
        "ETag": version.etag,
        "Last-Modified": version.last_modified,
        "Accept-Ranges": "bytes",
        "Content-Disposition": f'attachment; filename="{path.name}"',
    }
    if is_known(request.headers, version):
        file.close()
        return web.Response(status=304, headers=headers)
    try:
        part = asked_part(request.headers, version)
    except BaseException:
        file.close()
        raise
    if part is not None:
        headers["Content-Range"] = f"bytes {part.first}-{part.last}/{version.size}"
    sent = part or Part(0, version.size - 1)
    headers["Content-Length"] = str(sent.length)
    return web.Response(
        status=200 if part is None else 206,
        headers=headers,
        body=_pieces(file, sent),
        content_type="application/octet-stream",
    )


async def _pieces(file: BinaryIO, part: Part) -> AsyncIterator[bytes]:
    with file:
        file.seek(part.first)
        left = part.length
        while left and (piece := await asyncio.to_thread(file.read, min(_PIECE, left))):
            left -= len(piece)
            yield piece
