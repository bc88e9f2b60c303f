"""A file store over real HTTP, with faults to switch on; and what downloads from it, in this process or in another."""

import asyncio
import hashlib
import json
import os
import sys
from base64 import b64encode
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aiohttp import web
from pydantic import SecretStr

from tinker_operator.tinker.download import SignedFiles

SIGNATURE = "signature-of-the-tests"
START = datetime(2026, 1, 1, tzinfo=UTC)
PIECE = 64 * 1024


@dataclass
class Content:
    """The bytes of a file, made as they are read: a large one takes no memory."""

    size: int
    seed: int = 0

    def read(self, begin: int, end: int) -> bytes:
        block = hashlib.sha256(str(self.seed).encode()).digest() * 2048
        first = begin % len(block)
        repeated = block * ((first + end - begin) // len(block) + 1)
        return repeated[first : first + end - begin]

    @property
    def etag(self) -> str:
        return f'"{self.seed}-{self.size}"'

    def sha256(self) -> str:
        digest = hashlib.sha256()
        for begin in range(0, self.size, 1 << 20):
            digest.update(self.read(begin, min(self.size, begin + (1 << 20))))
        return digest.hexdigest()


@dataclass
class Bytes(Content):
    """The bytes of a small file, given."""

    given: bytes = b""

    def read(self, begin: int, end: int) -> bytes:
        return self.given[begin:end]


def given(content: bytes) -> Bytes:
    return Bytes(len(content), given=content)


@dataclass
class FakeStore:
    """A store of files and what is wrong with it.

    Attributes:
        files: What it holds.
        cuts: After how many bytes of its body the next answers break off.
        statuses: What the next requests are answered instead, with headers.
        valid: The numbers of signatures that it takes; None takes all.
        ranges: Whether it honours Range.
        etags: "strong", "weak" or "none".
        dated: Whether it says Last-Modified.
        headers: What it says beside.
        redirect: Where it sends requests instead.
        chunked: Whether it leaves out how long its answers are; then a cut looks like a proper end.
        chunked_rest: The same, for ranges alone.
        pause: Seconds between two pieces.
        excess: Bytes that its Content-Length claims beside those that it sends.
        heeds_conditions: Whether it knows If-Range; one that does not sends the rest of whatever it has.
    """

    files: dict[str, Content]
    url: str = ""
    cuts: deque[int] = field(default_factory=deque)
    statuses: deque[tuple[int, dict[str, str]]] = field(default_factory=deque)
    valid: set[int] | None = None
    ranges: bool = True
    etags: str = "strong"
    dated: bool = False
    chunked: bool = False
    chunked_rest: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    redirect: str | None = None
    pause: float = 0.0
    excess: int = 0
    heeds_conditions: bool = True
    asked: list[Any] = field(default_factory=list)
    numbers: list[str | None] = field(default_factory=list)
    sent: int = 0

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["FakeStore"]:
        app = web.Application()
        app.router.add_get("/files/{name:.+}", self._file)
        runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _file(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(dict(request.headers))
        self.numbers.append(request.query.get("number"))
        if self.statuses:
            status, headers = self.statuses.popleft()
            return web.Response(status=status, headers=headers, text="not now")
        if self.redirect is not None:
            return web.Response(status=302, headers={"Location": self.redirect})
        if self.valid is not None and int(request.query.get("number", "-1")) not in self.valid:
            return web.Response(status=403, text=f"the signature {request.query.get('sig')} has expired")
        return await self._sent(request, self.files[request.match_info["name"]])

    async def _sent(self, request: web.Request, content: Content) -> web.StreamResponse:
        begin, etag = 0, self._etag(content)
        headers = dict(self.headers) | ({"ETag": etag} if etag else {})
        if self.dated:
            headers["Last-Modified"] = f"Thu, 01 Jan 2026 00:00:{content.seed:02} GMT"
        status, asked = 200, request.headers.get("Range", "")
        held = not self.heeds_conditions or request.headers.get("If-Range") in {etag, headers.get("Last-Modified")}
        if self.ranges and asked and held:
            begin, status = int(asked.removeprefix("bytes=").rstrip("-")), 206
            headers["Content-Range"] = f"bytes {begin}-{content.size - 1}/{content.size}"
        response = web.StreamResponse(status=status, headers=headers)
        if not (self.chunked or (self.chunked_rest and status == 206)):
            response.content_length = content.size - begin + self.excess
        await response.prepare(request)
        await self._body(request, response, content, begin)
        return response

    async def _body(self, request: web.Request, response: web.StreamResponse, content: Content, begin: int) -> None:
        left = self.cuts.popleft() if self.cuts else content.size
        while begin < content.size:
            piece = content.read(begin, min(content.size, begin + min(PIECE, left)))
            if piece:
                await response.write(piece)
            self.sent += len(piece)
            begin, left = begin + len(piece), left - len(piece)
            if left <= 0 and begin < content.size and response.content_length is None:
                return  # it looks like a proper end
            if left <= 0 and begin < content.size:
                await asyncio.sleep(0)
                assert request.transport is not None
                request.transport.close()
                return
            if self.pause:
                await asyncio.sleep(self.pause)

    def _etag(self, content: Content) -> str | None:
        return {"strong": content.etag, "weak": f"W/{content.etag}"}.get(self.etags)


@dataclass
class StoreSource:
    """Signs the files of a store; each time with another signature, valid for a while or for ever."""

    store: FakeStore
    lasts: timedelta | None = None
    now: Any = lambda: START
    archive: bool = False
    total_bytes: int | None = None
    signed: int = 0

    async def urls(self) -> SignedFiles:
        self.signed += 1
        end = None if self.lasts is None else self.now() + self.lasts
        mark = f"sig={SIGNATURE}&number={self.signed}"
        urls = {name: SecretStr(f"{self.store.url}/files/{name}?{mark}") for name in self.store.files}
        return SignedFiles(urls, end, archive=self.archive, total_bytes=self.total_bytes)


def promised(content: Content) -> str:
    return b64encode(bytes.fromhex(content.sha256())).decode()


CHILD = """
import asyncio, json, resource, sys
from datetime import UTC, datetime
from pathlib import Path
from pydantic import SecretStr
from tinker_operator.tinker.download import SignedFiles, download, way_to

url, names, target, limit = json.loads(sys.argv[1])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

class Source:
    async def urls(self):
        return SignedFiles({name: SecretStr(f"{url}/files/{name}?sig=x&number=1") for name in names})

def peak():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) * 1024

async def main():
    async with way_to(url, lambda: datetime(2026, 1, 1, tzinfo=UTC)) as way:
        before = peak()
        try:
            done = await download(Source(), Path(target), way)
        except Exception as error:
            print(json.dumps({"error": type(error).__name__, "said": str(error)}))
        else:
            print(json.dumps({"sha256": done.files[0].sha256, "bytes": done.total_bytes, "grown": peak() - before}))

asyncio.run(main())
"""


def child_command(store: FakeStore, target: Path, *, file_limit: int = 0) -> list[str]:
    """Download everything from a store in a process of its own, which prints what came of it as JSON."""
    return [sys.executable, "-c", CHILD, json.dumps([store.url, list(store.files), str(target), file_limit])]


async def start_child(store: FakeStore, target: Path, *, file_limit: int = 0) -> asyncio.subprocess.Process:
    command = child_command(store, target, file_limit=file_limit)
    return await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, env=dict(os.environ))


async def outcome_of(child: asyncio.subprocess.Process) -> dict[str, Any]:
    out, _ = await child.communicate()
    found: dict[str, Any] = json.loads(out)
    return found


async def memory_growth(size: int, folder: Path) -> int:
    """Download one file of `size` bytes in a process of its own: by how many bytes its peak of memory grew."""
    async with FakeStore({"large.bin": Content(size)}).serving() as store:
        outcome = await outcome_of(await start_child(store, folder / "large"))
    assert outcome["bytes"] == size
    grown: int = outcome["grown"]
    return grown


def names_in(folder: Path) -> list[str]:
    """What is in a folder, hidden or not."""
    return sorted(path.name for path in folder.iterdir())
