"""The law of repetition, in a time that passes only when somebody sleeps."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinker_operator.tinker import RetryPolicy, TinkerClient
from tinker_operator.tinker.calls import Call
from tinker_operator.tinker.errors import Conflict, RateLimited, ServerFault, TinkerError
from tinker_operator.tinker.paths import TinkerPath

pytestmark = pytest.mark.pure

Connect = Callable[..., TinkerClient]
OK = httpx.Response(200, json={"status": "ok"})
DETAIL = b'{"detail": "it is so"}'


def refused(status: int, **headers: str) -> httpx.Response:
    return httpx.Response(
        status, content=DETAIL, headers={name.replace("_", "-"): value for name, value in headers.items()}
    )


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(httpx.ConnectError("refused"), id="no connection"),
        pytest.param(httpx.RemoteProtocolError("disconnected"), id="a dropped connection"),
        pytest.param(httpx.ReadTimeout("slow"), id="no answer in time"),
        pytest.param(refused(408), id="408"),
        pytest.param(refused(429), id="429"),
        pytest.param(refused(500), id="500"),
        pytest.param(refused(503), id="503"),
        pytest.param(refused(599), id="599"),
    ],
)
async def test_a_transient_failure_is_repeated_until_it_passes(
    connect: Connect, script: Callable[..., Any], time: Any, fault: Any
) -> None:
    service = script(fault, fault, OK)
    assert await connect(service).healthz() == "ok"
    assert (len(service.asked), time.slept) == (3, [0.5, 1.0])


@pytest.mark.parametrize("status", [301, 302, 400, 401, 402, 403, 404, 405, 409, 410, 418, 422, 451])
async def test_a_refusal_is_final_at_once(connect: Connect, script: Callable[..., Any], time: Any, status: int) -> None:
    service = script(refused(status), OK)
    with pytest.raises(TinkerError):
        await connect(service).healthz()
    assert (len(service.asked), time.slept) == (1, [])


async def test_garbage_is_not_asked_for_again(connect: Connect, script: Callable[..., Any]) -> None:
    service = script(httpx.Response(200, content=b"<html>"), OK)
    with pytest.raises(TinkerError):
        await connect(service).healthz()
    assert len(service.asked) == 1


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
async def test_the_whole_ends_before_its_deadline_whatever_chance_says(
    connect: Connect, script: Callable[..., Any], time: Any, share: float
) -> None:
    time.share, began = share, time.now
    service = script(refused(500))
    with pytest.raises(ServerFault):
        await connect(service, retry=RetryPolicy(total_seconds=30)).healthz()
    assert time.now - began <= 30
    assert 2 <= len(service.asked) <= 10


async def test_attempts_use_up_the_deadline_as_waits_do(connect: Connect, time: Any) -> None:
    asked = []

    def slow(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        time.now += 25
        return refused(500)

    with pytest.raises(ServerFault):
        await connect(slow).healthz()
    assert len(asked) == 3


@pytest.mark.parametrize(
    ("headers", "waited"),
    [
        pytest.param({"retry_after": "7"}, 7.0, id="seconds"),
        pytest.param({"retry_after": "90"}, 90.0, id="more than a minute"),
        pytest.param({"retry_after_ms": "1500"}, 1.5, id="milliseconds"),
        pytest.param(
            {"retry_after": "Fri, 02 Jan 2026 00:01:30 GMT", "date": "Fri, 02 Jan 2026 00:00:00 GMT"}, 90.0, id="a date"
        ),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
async def test_the_service_is_left_alone_as_long_as_it_asks(
    *, connect: Connect, script: Callable[..., Any], time: Any, status: int, headers: dict[str, str], waited: float
) -> None:
    client = connect(script(refused(status, **headers), OK), retry=RetryPolicy(total_seconds=100))
    assert await client.healthz() == "ok"
    assert time.slept == [waited]


async def test_a_wait_beyond_the_deadline_is_not_begun(connect: Connect, script: Callable[..., Any], time: Any) -> None:
    service = script(refused(429, retry_after="61"), OK)
    with pytest.raises(RateLimited) as limited:
        await connect(service, retry=RetryPolicy(total_seconds=60)).healthz()
    assert limited.value.retry_after == 61
    assert (len(service.asked), time.slept) == (1, [])


async def test_a_service_that_asks_to_come_back_at_once_is_not_hammered(
    connect: Connect, script: Callable[..., Any], time: Any
) -> None:
    service = script(refused(503, retry_after="0"))
    with pytest.raises(ServerFault):
        await connect(service, retry=RetryPolicy(max_attempts=4)).healthz()
    assert (len(service.asked), time.slept) == (4, [0.5, 1.0, 2.0])


async def test_the_service_may_forbid_a_repetition(connect: Connect, script: Callable[..., Any]) -> None:
    service = script(refused(500, x_should_retry="false"), OK)
    with pytest.raises(ServerFault):
        await connect(service).healthz()
    assert len(service.asked) == 1


async def test_the_service_may_ask_for_a_repetition(connect: Connect, script: Callable[..., Any]) -> None:
    assert await connect(script(refused(418, x_should_retry="true"), OK)).healthz() == "ok"


async def test_a_conflict_is_never_repeated_even_when_asked_for(connect: Connect, script: Callable[..., Any]) -> None:
    service = script(refused(409, x_should_retry="true", retry_after="1"), OK)
    with pytest.raises(Conflict):
        await connect(service).healthz()
    assert len(service.asked) == 1


async def test_a_heartbeat_is_not_repeated(connect: Connect, script: Callable[..., Any]) -> None:
    service = script(refused(503), OK)
    with pytest.raises(ServerFault):
        await connect(service).heartbeat("s")
    assert len(service.asked) == 1


async def test_a_repeated_creation_is_the_same_to_the_byte(connect: Connect, script: Callable[..., Any]) -> None:
    service = script(refused(503), httpx.ReadTimeout("slow"), {"session_id": "s"})
    await connect(service).create_session(idempotency_key="3f2a")
    keys = [(request.content, request.headers["x-idempotency-key"]) for request in service.asked]
    assert len(keys) == 3
    assert len(set(keys)) == 1


@given(
    attempt=st.integers(1, 10_000),
    asked=st.none() | st.floats(0, 1e9),
    share=st.floats(0, 1),
)
def test_a_wait_is_never_shorter_than_asked_nor_longer_than_both_bounds(
    attempt: int, asked: float | None, share: float
) -> None:
    policy = RetryPolicy(initial_seconds=0.5, max_seconds=10)
    error = ServerFault("it broke", status=503, retry_after=asked)
    wait = policy.wait_seconds(attempt, error, lambda low, high: low + share * (high - low))
    assert (asked or 0) <= wait <= max(10, asked or 0)


@pytest.mark.parametrize("answer", [refused(503), httpx.ReadTimeout("slow")], ids=["refused", "lost"])
async def test_a_deletion_is_asked_for_once(
    connect: Connect, script: Callable[..., Any], answer: httpx.Response | Exception
) -> None:
    """Another checkpoint may have been saved under the name before a repetition arrives."""
    service = script(answer, httpx.Response(204))
    with pytest.raises(TinkerError):
        await connect(service).delete_checkpoint(TinkerPath.parse("tinker://s:train:0/weights/step-3"))
    assert len(service.asked) == 1


def test_a_call_may_be_repeated_unless_it_says_otherwise() -> None:
    assert Call("GET", "healthz").repeatable
