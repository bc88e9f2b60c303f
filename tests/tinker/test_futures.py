"""Waiting for work that the service does in the background."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tinker_operator.tinker import FutureCategory, LoraConfig, Timekeeper, TinkerClient, TinkerPath
from tinker_operator.tinker.errors import (
    BadRequest,
    BillingRequired,
    Conflict,
    Forbidden,
    FutureFailed,
    FuturePending,
    Gone,
    InvalidResponse,
    NotFound,
    RouteMissing,
    TinkerError,
    Unauthorized,
    Unprocessable,
)

pytestmark = pytest.mark.pure

Connect = Callable[..., TinkerClient]
PATH = TinkerPath.parse("tinker://old:train:0/weights/step-3")
SUBMITTED = {"request_id": "req-1"}
MADE = {"model_id": "s:train:0", "type": "create_model"}
TRY_AGAIN = {"type": "try_again", "request_id": "req-1", "queue_state": "paused_capacity"}
METADATA = {"status": "complete_metadata", "response_payload_size": 12}
PENDING = httpx.Response(408, json={"queue_state": "active"})


def refused(status: int, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, json={"detail": "it is so"}, headers=named)


async def create(client: TinkerClient, wait_seconds: float = 100) -> str:
    return await client.create_model(
        session_id="s", model_seq_id=0, base_model="Q", lora=LoraConfig(rank=8), wait_seconds=wait_seconds
    )


async def test_the_result_of_the_work_is_the_result_of_the_call(connect: Connect, script: Callable[..., Any]) -> None:
    service = script(SUBMITTED, MADE)
    assert await create(connect(service)) == "s:train:0"
    assert [request.url.path.rpartition("/")[2] for request in service.asked] == ["create_model", "retrieve_future"]
    assert json.loads(service.asked[1].content) == {"request_id": "req-1", "allow_metadata_only": False}


@pytest.mark.parametrize(
    "not_yet",
    [
        pytest.param(PENDING, id="408"),
        pytest.param(TRY_AGAIN, id="try_again"),
        pytest.param(METADATA, id="complete_metadata"),
        pytest.param(refused(500), id="500"),
        pytest.param(refused(503, retry_after="3"), id="503 with a wait"),
        pytest.param(refused(429), id="429"),
        pytest.param(refused(400), id="one 400"),
        pytest.param(httpx.ConnectError("refused"), id="no connection"),
        pytest.param(httpx.ReadTimeout("slow"), id="no answer in time"),
    ],
)
async def test_not_yet_is_asked_again_after_a_pause(
    connect: Connect, script: Callable[..., Any], time: Any, not_yet: Any
) -> None:
    service = script(SUBMITTED, not_yet, MADE)
    assert await create(connect(service)) == "s:train:0"
    assert len(service.asked) == 3
    assert [pause > 0 for pause in time.slept] == [True]


async def test_a_poll_that_the_service_held_open_is_followed_at_once(connect: Connect, time: Any) -> None:
    answers = iter([SUBMITTED, PENDING, MADE])

    def service(_: httpx.Request) -> httpx.Response:
        answer = next(answers)
        time.now += 40 if answer is PENDING else 0
        return answer if isinstance(answer, httpx.Response) else httpx.Response(200, json=answer)

    assert await create(connect(service)) == "s:train:0"
    assert time.slept == [0.0]


@pytest.mark.parametrize("not_yet", [PENDING, TRY_AGAIN, refused(500), refused(503, retry_after="0")])
async def test_a_service_that_is_not_ready_is_not_hammered(
    connect: Connect, script: Callable[..., Any], time: Any, not_yet: Any
) -> None:
    time.share = 0.0
    service = script(SUBMITTED, not_yet)
    with pytest.raises(FuturePending):
        await create(connect(service), wait_seconds=60)
    assert min(time.slept) >= 0.1
    assert len(service.asked) <= 602


async def test_the_wait_that_the_service_asks_for_is_kept_while_polling(
    connect: Connect, script: Callable[..., Any], time: Any
) -> None:
    await create(connect(script(SUBMITTED, refused(429, retry_after="75"), MADE)))
    assert time.slept == [75.0]


@pytest.mark.parametrize("wait_seconds", [0.0, 1.0, 30.0])
@pytest.mark.parametrize("not_yet", [PENDING, refused(503, retry_after="3600"), httpx.ReadTimeout("slow")])
async def test_patience_ends_in_time_and_names_the_request(
    connect: Connect, script: Callable[..., Any], time: Any, wait_seconds: float, not_yet: Any
) -> None:
    began = time.now
    with pytest.raises(FuturePending) as pending:
        await create(connect(script(SUBMITTED, not_yet)), wait_seconds)
    assert pending.value.request_id == "req-1"
    assert time.now - began <= wait_seconds


async def test_even_without_patience_a_result_that_is_there_is_taken(
    connect: Connect, script: Callable[..., Any]
) -> None:
    assert await create(connect(script(SUBMITTED, MADE)), wait_seconds=0) == "s:train:0"


async def test_calling_again_with_the_same_ids_continues(connect: Connect, script: Callable[..., Any]) -> None:
    service = script(SUBMITTED, PENDING, SUBMITTED, MADE)
    client = connect(service)
    with pytest.raises(FuturePending):
        await create(client, wait_seconds=0)
    assert await create(client) == "s:train:0"
    assert service.asked[0].content == service.asked[2].content


@pytest.mark.parametrize(
    ("answer", "category"),
    [
        ({"error": "checkpoint is broken", "category": "user"}, FutureCategory.USER),
        ({"error": "out of memory", "category": "server"}, FutureCategory.SERVER),
        ({"error": "?", "category": "unknown"}, FutureCategory.UNKNOWN),
        ({"error": "?", "category": "Server"}, FutureCategory.SERVER),
        ({"error": "?", "category": "cosmic"}, FutureCategory.UNKNOWN),
        ({"error": "?", "category": 7}, FutureCategory.UNKNOWN),
        ({"error": "?"}, FutureCategory.UNKNOWN),
        ({"error": ""}, FutureCategory.UNKNOWN),
        ({"error": {"why": "?"}, "type": "request_failed"}, FutureCategory.UNKNOWN),
        ({"type": "request_failed"}, FutureCategory.UNKNOWN),
    ],
)
async def test_failed_work_is_final_and_says_whose_fault_it_is(
    connect: Connect, script: Callable[..., Any], answer: Any, category: FutureCategory
) -> None:
    service = script(SUBMITTED, answer)
    with pytest.raises(FutureFailed) as failure:
        await create(connect(service))
    assert (failure.value.category, failure.value.request_id) == (category, "req-1")
    assert len(service.asked) == 2


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, Unauthorized),
        (402, BillingRequired),
        (403, Forbidden),
        (404, NotFound),
        (409, Conflict),
        (410, Gone),
        (422, Unprocessable),
    ],
)
async def test_a_refused_poll_is_final(
    connect: Connect, script: Callable[..., Any], status: int, kind: type[TinkerError]
) -> None:
    service = script(SUBMITTED, refused(status), MADE)
    with pytest.raises(kind):
        await create(connect(service))
    assert len(service.asked) == 2


async def test_a_missing_route_is_not_a_missing_future(connect: Connect, script: Callable[..., Any]) -> None:
    with pytest.raises(RouteMissing):
        await create(connect(script(SUBMITTED, httpx.Response(404, json={"detail": "Not Found"}))))


async def test_the_fourth_400_is_believed(connect: Connect, script: Callable[..., Any]) -> None:
    service = script(SUBMITTED, refused(400), refused(400), refused(400), refused(400), MADE)
    with pytest.raises(BadRequest):
        await create(connect(service))
    assert len(service.asked) == 5


async def test_a_result_announced_twice_and_not_given_is_invalid(connect: Connect, script: Callable[..., Any]) -> None:
    with pytest.raises(InvalidResponse):
        await create(connect(script(SUBMITTED, METADATA, METADATA, MADE)))


async def test_a_cancelled_wait_is_a_cancellation(connect: Connect, script: Callable[..., Any]) -> None:
    keeper_sleeps = asyncio.Event()

    async def sleep(_: float) -> None:
        keeper_sleeps.set()
        await asyncio.Event().wait()

    client = connect(script(SUBMITTED, PENDING), keeper=Timekeeper(sleep=sleep))
    task = asyncio.create_task(create(client))
    await keeper_sleeps.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
