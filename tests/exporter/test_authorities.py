"""A service that shows a certificate of its own authority is exported from when that was given, and only then."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from aiohttp import web
from tests.exporter.exporting import exported, result
from tests.exporter.servers import serving
from tests.tinker.conftest import World
from tests.tinker.test_tls_http import Identity, identity

pytestmark = pytest.mark.http
HOP = frozenset({"host", "transfer-encoding", "content-length", "content-encoding", "connection"})


def front(url: str) -> web.Application:
    """Hands on what it is asked to a service that speaks no TLS, and sends its addresses back to itself."""

    async def hand_on(request: web.Request) -> web.Response:
        async with httpx.AsyncClient(timeout=60) as client:
            headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP}
            body = await request.read()
            answer = await client.request(request.method, url + request.raw_path, headers=headers, content=body)
        kept = {name: value for name, value in answer.headers.items() if name.lower() not in HOP}
        if "location" in kept:
            kept["location"] = kept["location"].replace(url, f"https://{request.host}")
        content = answer.content.replace(url.encode(), f"https://{request.host}".encode())
        return web.Response(status=answer.status_code, headers=kept, body=content)

    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/{path:.*}", hand_on)
    return app


@pytest.fixture
def shown(tmp_path: Path) -> Identity:
    """The certificate that the service shows, its own authority."""
    return identity(tmp_path, "localhost")


@pytest.fixture
def url(world: World, shown: Identity) -> Iterator[str]:
    """The service behind TLS: its API and its files."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(shown.file)
    with serving(front(world.simulator.url), tls) as address:
        yield address


@pytest.mark.parametrize("how", ["file", "variable"])
async def test_an_authority_that_is_given_is_trusted(
    how: str, world: World, tmp_path: Path, url: str, shown: Identity
) -> None:
    """Also where the files are fetched; as a person gives it, and as a Job does."""
    given = tmp_path / "ca.pem"
    given.write_text(shown.certificate)
    option = ("--ca-file", str(given)) if how == "file" else ()
    variable = {} if how == "file" else {"TINKER_CA_FILE": str(given)}
    to = ("--to", str(tmp_path / "target"), "-o", "json", *option)
    told = result(exported(world, str(world.path()), tmp_path, *to, TINKER_BASE_URL=url, **variable))
    assert told["sentBytes"] > 0


async def test_without_it_nothing_is_sent(world: World, tmp_path: Path, url: str) -> None:
    """A file that the Secret did not have is none; one line with the remedy."""
    to = ("--to", str(tmp_path / "target"))
    done = exported(world, str(world.path()), tmp_path, *to, TINKER_BASE_URL=url, TINKER_CA_FILE=str(tmp_path / "none"))
    assert (done.returncode, "certificate verify failed" in done.stderr) == (1, True)


@pytest.mark.parametrize(
    ("option", "variable", "named"),
    [
        pytest.param(("--ca-file", "missing.pem"), "", "--ca-file", id="a file that is not there"),
        pytest.param(("--ca-file", __file__), "", "--ca-file", id="a file that holds none"),
        pytest.param((), __file__, "TINKER_CA_FILE", id="a Secret's entry that holds none"),
    ],
)
async def test_an_authority_that_cannot_be_read_is_one_line_and_status_two(
    option: tuple[str, ...], variable: str, named: str, world: World, tmp_path: Path
) -> None:
    done = exported(world, str(world.path()), tmp_path, "--to", "x", *option, TINKER_CA_FILE=variable)
    assert (done.returncode, len(done.stderr.splitlines()), done.stdout) == (2, 1, "")
    assert named in done.stderr
