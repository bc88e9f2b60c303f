"""What leaves for the service and what is accepted from it."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from tinker_operator.tinker import Timeouts, TinkerClient, TinkerPath, exchange
from tinker_operator.tinker.errors import (
    CallNotPossible,
    InvalidResponse,
    ServiceTimeout,
    UnexpectedStatus,
)

pytestmark = pytest.mark.pure

Connect = Callable[..., TinkerClient]
PATH = TinkerPath.parse("tinker://r/weights/a")


async def test_a_request_goes_below_the_prefix_with_the_key_in_its_header(
    connect: Connect, script: Callable[..., Any]
) -> None:
    service = script({"status": "ok"})
    await connect(service).healthz()
    (request,) = service.asked
    assert str(request.url) == "https://tinker.test/services/prod/api/v1/healthz"
    assert request.headers["x-api-key"] == "tml-secret-of-the-tests"
    assert "authorization" not in request.headers
    assert request.headers["user-agent"].startswith("tinker-operator/")


@pytest.mark.parametrize("target", ["https://elsewhere.test/", "/api/v1/healthz2", "http://tinker.test/"])
async def test_a_redirect_is_not_followed_with_the_key(
    connect: Connect, script: Callable[..., Any], target: str
) -> None:
    service = script(httpx.Response(307, headers={"location": target}), {"status": "ok"})
    with pytest.raises(UnexpectedStatus, match="307"):
        await connect(service).healthz()
    assert len(service.asked) == 1


@pytest.mark.parametrize("status", [200, 201, 202, 203])
async def test_any_success_with_the_right_body_is_a_success(
    connect: Connect, script: Callable[..., Any], status: int
) -> None:
    assert await connect(script(httpx.Response(status, json={"status": "ok"}))).healthz() == "ok"


@pytest.mark.parametrize("status", [200, 202, 204])
async def test_a_call_without_a_result_ignores_the_body(
    connect: Connect, script: Callable[..., Any], status: int
) -> None:
    await connect(script(httpx.Response(status))).finish_session("s", "success")


@pytest.mark.parametrize("body", [b"{}", b"null", b'{"a_field_of_tomorrow": 1}', b"[]", b" "])
async def test_a_call_without_a_result_takes_any_json(
    connect: Connect, script: Callable[..., Any], body: bytes
) -> None:
    await connect(script(httpx.Response(200, content=body))).delete_checkpoint(PATH)


@pytest.mark.parametrize("body", [b"<html>please log in</html>", b'{"status": "o', b"deleted"])
async def test_a_page_of_a_portal_deletes_nothing(connect: Connect, script: Callable[..., Any], body: bytes) -> None:
    with pytest.raises(InvalidResponse):
        await connect(script(httpx.Response(200, content=body))).delete_checkpoint(PATH)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"ok", id="no JSON"),
        pytest.param(b"<html><body>please log in</body></html>", id="a page of a portal"),
        pytest.param(b'{"status": "o', id="half a JSON"),
        pytest.param(b'{"status": "ok"}{"status": "ok"}', id="two of them"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"null", id="null"),
        pytest.param(b'"ok"', id="a string"),
        pytest.param(b"{}", id="the field is missing"),
        pytest.param(b'{"status": 1}', id="a number for a text"),
        pytest.param(b'{"status": null}', id="null for a text"),
        pytest.param(b'{"status": "\xff"}', id="no UTF-8"),
        pytest.param(b'{"status": "\\ud800"}', id="half a surrogate pair"),
        pytest.param(b"[" * 100_000, id="nested without end"),
        pytest.param(b'{"status": ' + b"9" * 10_000 + b"}", id="a number of ten thousand digits"),
        pytest.param(b"\x00\x01\x02", id="binary"),
    ],
)
async def test_what_is_not_the_promised_body_is_an_invalid_response(
    connect: Connect, script: Callable[..., Any], body: bytes
) -> None:
    with pytest.raises(InvalidResponse) as refusal:
        await connect(script(httpx.Response(200, content=body))).healthz()
    assert "GET healthz" in refusal.value.message
    assert str(refusal.value).isprintable()


async def test_an_invalid_response_names_the_field_and_not_its_value(
    connect: Connect, script: Callable[..., Any]
) -> None:
    page = {"training_runs": [{"training_run_id": "r", "base_model": "b", "is_lora": True, "corrupted": "value"}]}
    with pytest.raises(InvalidResponse, match=r"training_runs\.0\.corrupted") as refusal:
        await connect(script(page)).training_runs()
    assert "'value'" not in str(refusal.value)


async def test_a_body_whose_compression_is_broken_is_an_invalid_response(connect: Connect) -> None:
    broken = gzip.compress(b'{"status": "ok"}' * 100)[:-20] + b"garbage-that-is-no-gzip-"

    def service(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-encoding": "gzip"}, stream=Chunks([b"\x00\x01", broken]))

    with pytest.raises(InvalidResponse):
        await connect(service).healthz()


class Chunks(httpx.AsyncByteStream):
    """A body in pieces, of which one may be a fault or a wait."""

    def __init__(self, pieces: list[Any]) -> None:
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            if isinstance(piece, Exception):
                raise piece
            if isinstance(piece, asyncio.Event):
                await piece.wait()
                continue
            yield piece


@pytest.mark.parametrize("fault", [httpx.ReadError("reset"), httpx.RemoteProtocolError("incomplete body")])
async def test_a_body_cut_short_is_asked_for_again(connect: Connect, fault: Exception) -> None:
    asked: list[httpx.Request] = []

    def service(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        whole = len(asked) > 1
        return httpx.Response(200, stream=Chunks([b'{"status": ', b'"ok"}' if whole else fault]))

    assert await connect(service).healthz() == "ok"
    assert len(asked) == 2


async def test_a_body_that_stays_cut_short_is_an_invalid_response(connect: Connect) -> None:
    def service(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, stream=Chunks([b'{"status": ', httpx.ReadError("reset")]))

    with pytest.raises(InvalidResponse, match="cut short"):
        await connect(service).healthz()


async def test_a_body_that_never_ends_is_given_up(connect: Connect) -> None:
    def service(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, stream=Chunks([b'{"status": ', asyncio.Event()]))

    with pytest.raises(ServiceTimeout, match="GET healthz got no whole answer in time"):
        await connect(service, timeouts=Timeouts(attempt=0.01)).healthz()


async def test_a_body_without_bounds_is_not_read_into_memory(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "LARGEST_ANSWER", 1000)

    def service(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, stream=Chunks([b"x" * 600, b"x" * 600, AssertionError("read on")]))

    with pytest.raises(InvalidResponse, match="larger than"):
        await connect(service).healthz()


@pytest.mark.parametrize(
    ("run_id", "path"),
    [
        ("0b5c:train:0", b"/services/prod/api/v1/training_runs/0b5c:train:0"),
        ("model_1a2b", b"/services/prod/api/v1/training_runs/model_1a2b"),
        ("a b&c=d;e+ü", b"/services/prod/api/v1/training_runs/a%20b%26c%3Dd%3Be%2B%C3%BC"),
    ],
)
async def test_an_id_travels_as_one_segment(
    connect: Connect, script: Callable[..., Any], run_id: str, path: bytes
) -> None:
    service = script({"training_run_id": run_id, "base_model": "b", "is_lora": True})
    assert (await connect(service).get_training_run(run_id)).training_run_id == run_id
    assert service.asked[0].url.raw_path.split(b"?")[0] == path


@pytest.mark.parametrize("run_id", ["", ".", "..", "a/b", "../x", "a?b", "a#b", "a%2fb", "a\\b", "a\nb", " a"])
async def test_an_id_that_would_reach_elsewhere_is_not_sent(
    connect: Connect, script: Callable[..., Any], run_id: str
) -> None:
    service = script({})
    client = connect(service)
    for call in (client.get_training_run, client.checkpoints):
        with pytest.raises(CallNotPossible, match="The training run id"):
            await call(run_id)
    with pytest.raises(CallNotPossible, match="The session id"):
        await client.finish_session(run_id, "success")
    assert service.asked == []


@pytest.mark.parametrize("key", ["", "  ", "a\nX-Other: b", "schlüssel"])
async def test_an_idempotency_key_that_is_no_header_value_is_not_sent(
    connect: Connect, script: Callable[..., Any], key: str
) -> None:
    service = script({})
    with pytest.raises(CallNotPossible, match="idempotency key"):
        await connect(service).create_session(idempotency_key=key)
    assert service.asked == []


async def test_arguments_that_are_no_json_are_not_sent(connect: Connect, script: Callable[..., Any]) -> None:
    service = script({})
    metadata: Any = {"loss": float("nan")}
    with pytest.raises(CallNotPossible, match="JSON"):
        await connect(service).create_session(user_metadata=metadata, idempotency_key="k")
    assert service.asked == []


async def test_bodies_are_json_and_say_so(connect: Connect, script: Callable[..., Any]) -> None:
    service = script({})
    await connect(service).heartbeat("s")
    (request,) = service.asked
    assert request.headers["content-type"] == "application/json"
    assert json.loads(request.content) == {"session_id": "s", "type": "session_heartbeat"}
