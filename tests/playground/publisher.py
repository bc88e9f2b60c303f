"""A web server on loopback that publishes binaries the way the real hosts do, and breaks the way they do."""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import yaml
from tests.playground.fake_go import install_fake_go

from playground.settings import Settings

ARCHIVED = ("etcd", "kube-apiserver", "kubectl")
PLATFORM = "linux-amd64"


@dataclass(slots=True)
class Page:
    """One path of the server.

    Attributes:
        body: What it serves.
        cuts: How many bytes each of the next answers sends before its connection breaks; none left: the whole.
        resumable: Whether it honours a Range.
        status: Status of a whole answer.
    """

    body: bytes
    cuts: list[int] = field(default_factory=list)
    resumable: bool = True
    status: int = HTTPStatus.OK


@dataclass(slots=True)
class Publisher:
    """The server: pages by path, and the requests it has seen as `path` or `path from BYTE`."""

    url: str
    pages: dict[str, Page] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)

    def settings(self, cache: Path, **changes: object) -> Settings:
        """Settings that know no other host than this one, and a Go that fails."""
        install_fake_go(cache.parent / "broken-go", failure="this Go builds nothing")
        base = Settings(
            cache=cache,
            index_url=f"{self.url}/index.yaml",
            release_url=f"{self.url}/release",
            connect_seconds=1.0,
            pause_seconds=0.01,
            build_bytes=0,
            search_path=str(cache.parent / "broken-go"),
            platform=PLATFORM,
        )
        return replace(base, **changes)  # type: ignore[arg-type]  # the keywords of Settings

    def publish(self, version: str, members: Mapping[str, bytes] | None = None) -> None:
        """Publish a release: archive, index entry, and the binary that the archive lacks."""
        archive = tarball(envtest(version) if members is None else members)
        path = f"/archives/envtest-v{version}-{PLATFORM}.tar.gz"
        self.pages[path] = Page(archive)
        self.index(version, {"hash": hashlib.sha512(archive).hexdigest(), "selfLink": self.url + path})
        self.component("kube-controller-manager", version)

    def index(self, version: str, entry: object) -> None:
        """Add a release to the index."""
        old = yaml.safe_load(self.pages["/index.yaml"].body) if "/index.yaml" in self.pages else {"releases": {}}
        old["releases"][f"v{version}"] = {f"envtest-v{version}-{PLATFORM}.tar.gz": entry}
        self.pages["/index.yaml"] = Page(yaml.safe_dump(old).encode())

    def component(self, name: str, version: str) -> None:
        """Publish one binary of a Kubernetes release with its checksum."""
        root, body = f"/release/v{version}/bin/linux/amd64", program(name, version)
        self.pages[f"{root}/{name}"] = Page(body)
        self.pages[f"{root}/{name}.sha512"] = Page(hashlib.sha512(body).hexdigest().encode())

    def archive(self, version: str) -> Page:
        """The page of a release's archive."""
        return self.pages[f"/archives/envtest-v{version}-{PLATFORM}.tar.gz"]


def program(name: str, version: str) -> bytes:
    """A stand-in for a binary, that answers `--version` as Kubernetes does."""
    return f"#!/bin/sh\n# {name}\necho Kubernetes v{version}\n".encode()


def envtest(version: str) -> dict[str, bytes]:
    """The members of an envtest archive."""
    return {f"controller-tools/envtest/{name}": program(name, version) for name in ARCHIVED}


def tarball(members: Mapping[str, bytes]) -> bytes:
    """A gzipped tar of these members."""
    collected = io.BytesIO()
    with tarfile.open(fileobj=collected, mode="w:gz") as tar:
        for name, body in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(body)
            tar.addfile(member, io.BytesIO(body))
    return collected.getvalue()


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a client that hangs up is part of the tests."""


@contextmanager
def publisher() -> Iterator[Publisher]:
    """Serve on a free port of loopback until the context is left."""
    server = _Server(("127.0.0.1", 0), BaseHTTPRequestHandler)
    published = Publisher(f"http://127.0.0.1:{server.server_address[1]}")
    server.RequestHandlerClass = _handler(published)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield published
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(published: Publisher) -> Callable[..., BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            page = published.pages.get(self.path, Page(b"no such page", status=HTTPStatus.NOT_FOUND))
            start = self._start(page)
            published.seen.append(f"{self.path} from {start}" if start else self.path)
            body = page.body[start:]
            self.send_response(HTTPStatus.PARTIAL_CONTENT if start else page.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if page.cuts:
                self.wfile.write(body[: page.cuts.pop(0)])
                self.close_connection = True
            else:
                self.wfile.write(body)

        def _start(self, page: Page) -> int:
            asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            return int(asked[1]) if asked and page.resumable else 0

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the signature of http.server
            """Say nothing."""

    return Handler
