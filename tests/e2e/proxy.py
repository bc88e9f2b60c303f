"""A proxy between the operator and whom it talks to, that passes everything on until it is told to misbehave.

It speaks HTTP/1.1 on a real socket, with TLS if it has a certificate, and runs in a thread of its own. What goes wrong
is a `Fault`: at the connection, at the handshake, or in place of an answer. It counts every fault that it injects.
"""

import asyncio
import socket
import ssl
import struct
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple, TypeAlias, TypeVar

import aiohttp
from yarl import URL

T = TypeVar("T")
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER with no time to linger: closing sends a reset."""
HOP_BY_HOP = {"connection", "content-length", "keep-alive", "transfer-encoding", "content-encoding", "host"}
BODILESS = {204, 304}
CLOSING_SECONDS = 0.1
"""TLS ends in the background, and a loop that closes before leaks."""


class Answered(NamedTuple):
    """A real answer."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it came, body and all.

    Attributes:
        method: HTTP method.
        target: Path and query.
        headers: In order, names in lower case.
        body: What was sent with it.
    """

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def key(self) -> str:
        """The key of the Tinker service that it carries; empty when it carries none."""
        return dict(self.headers).get("x-api-key", "")


@dataclass
class Exchange:
    """One request, and the means to do something about it.

    Attributes:
        request: What was asked.
        rng: Chance, seeded.
    """

    request: Request
    rng: Random
    _upstream: aiohttp.ClientSession
    _writer: asyncio.StreamWriter
    _statuses: Counter[int]

    async def answered(self) -> Answered:
        """Returns the real answer, whole."""
        async with self._asked() as answer:
            return Answered(answer.status, dict(answer.headers), await answer.read())

    async def pass_on(self) -> None:
        """Gives the real answer as it comes: a watch does not end."""
        async with self._asked() as answer:
            self._statuses[answer.status] += 1
            bodiless = answer.status in BODILESS
            framing = {} if bodiless else {"transfer-encoding": "chunked"}
            await self.write(_head(answer.status, dict(answer.headers), framing))
            async for chunk in answer.content.iter_any():
                await self.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
            if not bodiless:
                await self.write(b"0\r\n\r\n")

    def _asked(self) -> Any:
        request = self.request
        headers = [(name, value) for name, value in request.headers if name not in HOP_BY_HOP]
        target = URL(request.target, encoded=True)
        return self._upstream.request(
            request.method, target, headers=headers, data=request.body or None, allow_redirects=False
        )

    async def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        """Gives another answer, well-formed as far as HTTP goes."""
        await self.write(_head(status, headers, {"content-length": str(len(body))}) + body)

    async def write(self, content: bytes) -> None:
        """Sends bytes."""
        self._writer.write(content)
        await self._writer.drain()

    def hang_up(self, *, reset: bool) -> None:
        """Ends the connection, by a reset or in good order."""
        if reset:
            reset_connection(self._writer)
        else:
            self._writer.close()


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong.

    Attributes:
        name: Under which it is counted.
        strike: What is done in place of passing the request on.
        at_connect: Connections are reset before anything is read.
        certificate: Shown instead of the good one.
    """

    name: str
    strike: Callable[[Exchange], Awaitable[None]] = Exchange.pass_on
    at_connect: bool = False
    certificate: ssl.SSLContext | None = None


Choose: TypeAlias = Callable[[Request, Random], Fault | None]
"""Says what goes wrong with a request, if anything, by chance."""


@dataclass
class Proxy:
    """One port that leads to one server.

    Attributes:
        upstream: URL of the server.
        trust: What the server's certificate is checked by, if it has one.
        certificate: Its own; None for plain HTTP.
        fault: What goes wrong with everything, now.
        choose: What goes wrong with some requests, now.
        counts: Faults injected, by name.
        times: When each was injected, in monotonic seconds, by the key that the request carried.
        asked: Requests that met a fault, by method.
        statuses: Answers that were passed on, by status.
    """

    upstream: str
    trust: ssl.SSLContext | None = None
    certificate: ssl.SSLContext | None = None
    seed: int = 0
    port: int = 0
    fault: Fault | None = None
    choose: Choose | None = None
    counts: Counter[str] = field(default_factory=Counter)
    times: dict[str, list[float]] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._rng = Random(self.seed)  # noqa: S311 - chance that can be repeated
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._server: asyncio.Server
        self._http: aiohttp.ClientSession

    @property
    def url(self) -> str:
        """Its address."""
        return f"{'https' if self.certificate else 'http'}://127.0.0.1:{self.port}"

    async def open(self) -> None:
        """Begins to listen."""
        self._http = aiohttp.ClientSession(
            self.upstream,
            connector=aiohttp.TCPConnector(limit=0, ssl=self.trust or True),
            timeout=aiohttp.ClientTimeout(total=None),
        )
        if self.certificate is not None:
            self.certificate.sni_callback = self._shown
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, ssl=self.certificate)
        self.port = self._server.sockets[0].getsockname()[1]

    async def shut(self) -> None:
        """Ends, with every connection."""
        self._server.close()
        await self.cut()
        await self._http.close()
        await asyncio.sleep(CLOSING_SECONDS)

    async def cut(self) -> None:
        """Breaks every connection that is open; new ones are taken."""
        strands = list(self._open)
        for strand in strands:
            reset_connection(self._open[strand])
            strand.cancel()
        await asyncio.gather(*strands, return_exceptions=True)

    def _shown(self, handshake: ssl.SSLObject, _name: str | None, _own: ssl.SSLContext) -> None:
        if self.fault is not None and self.fault.certificate is not None:
            self._count(self.fault, "")
            handshake.context = self.fault.certificate

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.fault is not None and self.fault.at_connect:
            self._count(self.fault, "")
            reset_connection(writer)
            return
        strand = asyncio.create_task(self._carry(reader, writer))
        self._open[strand] = writer
        strand.add_done_callback(self._open.pop)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while not writer.is_closing():
                request = await read_request(reader)
                exchange = Exchange(request, self._rng, self._http, writer, self.statuses)
                fault = self.fault or (self.choose(request, self._rng) if self.choose else None)
                if fault is not None:
                    self._count(fault, request.key)
                    self.asked[request.method] += 1
                await (fault.strike(exchange) if fault is not None else exchange.pass_on())
        except (OSError, EOFError, aiohttp.ClientError):
            pass  # either side hung up, which is what the other side learns, too
        finally:
            writer.transport.abort()

    def _count(self, fault: Fault, key: str) -> None:
        self.counts[fault.name] += 1
        self.times.setdefault(key, []).append(time.monotonic())


@dataclass
class Underworld:
    """The thread that proxies live in."""

    loop: asyncio.AbstractEventLoop

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Has something done there, and returns what came of it."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout=20)


@contextmanager
def underworld() -> Iterator[Underworld]:
    """A thread with an event loop, which ends with everything that runs in it."""
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda _loop, _context: None)  # a client that refuses a certificate is what was wanted
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield Underworld(loop)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=10)
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


@contextmanager
def proxied(below: Underworld, proxy: Proxy) -> Iterator[Proxy]:
    """A proxy that listens until it is left."""
    below.do(proxy.open())
    try:
        yield proxy
    finally:
        below.do(proxy.shut())


async def read_request(reader: asyncio.StreamReader) -> Request:
    """Returns the next request.

    Raises:
        IncompleteReadError: The client hung up.
    """
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").strip().split("\r\n")
    method, target, _ = first.split(" ", 2)
    pairs = (line.partition(":") for line in lines)
    headers = tuple((name.strip().lower(), value.strip()) for name, _, value in pairs)
    body = await reader.readexactly(int(dict(headers).get("content-length", "0")))
    return Request(method, target, headers, body)


def reset_connection(writer: asyncio.StreamWriter) -> None:
    """Ends a connection by a reset."""
    bare: socket.socket | None = writer.get_extra_info("socket")
    if bare is not None:
        with suppress(OSError):
            bare.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()


def _head(status: int, headers: Mapping[str, str], framing: Mapping[str, str]) -> bytes:
    kept = [(name, value) for name, value in headers.items() if name.lower() not in HOP_BY_HOP]
    lines = [f"{name}: {value}" for name, value in (*kept, *framing.items())]
    return "\r\n".join([f"HTTP/1.1 {status} -", *lines, "", ""]).encode()
