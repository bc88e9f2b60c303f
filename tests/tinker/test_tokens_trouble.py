"""An exchange of the key that fails is a failure of the exchange, and of nothing that was to be asked."""

import asyncio
import json
import logging
from collections.abc import Callable
from contextlib import suppress

import httpx
import pytest
from tests.tinker.test_secrecy import everything_shown

from tinker_operator.tinker import RetryPolicy, TinkerClient, TinkerError, TinkerPath, errors
from tinker_operator.tinker.dialects import Capabilities
from tinker_operator.tinker.settings import Timeouts

pytestmark = pytest.mark.pure

Connect = Callable[..., TinkerClient]
ABOUT_A_THING = (errors.NotFound, errors.RouteMissing, errors.Gone, errors.Conflict, errors.BadRequest)


def exchanging(answer: httpx.Response) -> Callable[[httpx.Request], httpx.Response]:
    """A service that is sound but for its exchange."""

    def serve(request: httpx.Request) -> httpx.Response:
        made = answer if request.url.path.endswith("/auth/token") else httpx.Response(200, json={"status": "ok"})
        return httpx.Response(made.status_code, headers=made.headers, content=made.content)

    return serve


@pytest.mark.parametrize("status", [400, 404, 405, 409, 410, 422])
@pytest.mark.parametrize("said", ["Not Found", "no such key"])
async def test_a_refused_exchange_says_nothing_of_a_run_a_checkpoint_or_a_session(
    connect: Connect, status: int, said: str
) -> None:
    client = connect(exchanging(httpx.Response(status, json={"detail": said})), exchange_tokens=True)
    for call in (
        client.get_training_run("r"),
        client.training_runs(),
        client.heartbeat("s"),
        client.delete_checkpoint(TinkerPath.parse("tinker://r/weights/n")),
    ):
        with pytest.raises(TinkerError, match="auth/token") as refusal:
            await call
        assert not isinstance(refusal.value, (*ABOUT_A_THING, errors.Unprocessable))
    assert client.known_capabilities == Capabilities()


@pytest.mark.parametrize(("status", "kind"), [(401, errors.Unauthorized), (403, errors.Forbidden)])
async def test_a_key_that_cannot_be_exchanged_is_refused_as_a_key(
    connect: Connect, status: int, kind: type[TinkerError]
) -> None:
    client = connect(exchanging(httpx.Response(status, json={"detail": "no"})), exchange_tokens=True)
    with pytest.raises(kind):
        await client.healthz()
    assert client.known_capabilities == Capabilities()


async def test_calls_that_wait_for_an_exchange_wait_no_longer_than_for_their_own_answer(connect: Connect) -> None:
    """However many wait for it, one after the other."""

    async def silent(request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError(request)

    client = connect(silent, exchange_tokens=True, timeouts=Timeouts(attempt=0.2), retry=RetryPolicy(max_attempts=1))
    async with asyncio.timeout(2):
        outcomes = await asyncio.gather(*(client.healthz() for _ in range(20)), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {errors.ServiceTimeout}


@pytest.mark.parametrize(
    "token",
    [
        pytest.param("eyJ.a\nrosebud", id="a line break"),
        pytest.param("opaque\r\nrosebud", id="another header"),
        pytest.param("eyJ.\u00e9.rosebud", id="no ASCII"),
        pytest.param("eyJ.\u20ac rosebud", id="no Latin"),
        pytest.param(" rosebud", id="a space"),
    ],
)
async def test_a_token_that_cannot_be_sent_is_refused_and_shown_to_nobody(
    connect: Connect, token: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    answer = httpx.Response(200, content=json.dumps({"jwt": token}).encode())
    client = connect(exchanging(answer), exchange_tokens=True)
    del token  # this frame is in the traceback too
    with pytest.raises(errors.InvalidResponse) as refusal:
        await client.healthz()
    shown = everything_shown(refusal.value) + caplog.text
    assert "rosebud" not in shown


async def test_nothing_is_learned_of_a_call_whose_token_could_not_be_had(connect: Connect) -> None:
    client = connect(exchanging(httpx.Response(404, json={"detail": "Not Found"})), exchange_tokens=True)
    with suppress(TinkerError):
        await client.capabilities()
    assert client.known_capabilities == Capabilities()
