"""The most talkative logs of the libraries below, over real HTTP: no key, and no address that opens a file."""

import logging
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from pydantic import SecretStr

from tinker_operator.tinker import TinkerClient, errors
from tinker_operator.tinker.weights_models import ArchiveReady

pytestmark = pytest.mark.http
WORD = "rosebud"


async def redirect(request: web.Request) -> web.Response:
    """Send to a signed address, and set the key as a cookie, as a careless proxy might."""
    answer = web.Response(status=302, headers={"Location": f"https://store.test/a?sig={WORD}"})
    answer.set_cookie("session", request.headers["X-API-Key"])
    return answer


async def echo(request: web.Request) -> web.Response:
    """Refuse, and repeat the key in a header."""
    return web.json_response({"detail": "no"}, status=400, headers={"X-Echo": request.headers["X-API-Key"]})


@pytest.fixture
async def url() -> AsyncIterator[str]:
    """A service that redirects archives and echoes the key."""
    app = web.Application()
    app.router.add_get("/api/v1/training_runs/{run}/checkpoints/weights/{name}/archive", redirect)
    app.router.add_get("/api/v1/healthz", echo)
    runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    yield f"http://{host}:{port}"
    await runner.cleanup()


async def test_no_log_of_any_library_shows_a_key_or_a_signed_address(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever a service writes into the heads of its answers."""
    caplog.set_level(logging.DEBUG)
    for name in ("httpx", "httpcore", "httpcore.http11", "httpcore.connection", "hpack", "asyncio"):
        caplog.set_level(logging.DEBUG, logger=name)
    async with TinkerClient(url, SecretStr(f"tml-{WORD}")) as client:
        ready = await client.archive("tinker://r/weights/n")
        with pytest.raises(errors.BadRequest):
            await client.healthz()
    assert isinstance(ready, ArchiveReady)
    assert WORD in ready.url.get_secret_value()
    assert WORD not in caplog.text
    assert "HTTP Request: GET" in caplog.text
