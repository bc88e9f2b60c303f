"""Each method: what it asks the service, and what it makes of the answer."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

import tinker_operator.tinker as package
from tinker_operator.tinker import LoraConfig, TinkerClient, TinkerPath
from tinker_operator.tinker.errors import (
    InvalidResponse,
    NotFound,
    RouteMissing,
)

pytestmark = pytest.mark.pure

Connect = Callable[..., TinkerClient]
BASE = "/services/prod/api/v1/"
PATH = TinkerPath.parse("tinker://s:train:0/weights/step-3")
WAITING: dict[str, Any] = {"session_id": "s", "model_seq_id": 0, "wait_seconds": 10}

ASKED: list[tuple[str, Callable[[TinkerClient], Awaitable[object]], Any, str, str, Any]] = [
    ("healthz", lambda c: c.healthz(), {"status": "ok"}, "GET", "healthz", None),
    (
        "capabilities",
        lambda c: c.server_capabilities(),
        {"supported_models": []},
        "GET",
        "get_server_capabilities",
        None,
    ),
    (
        "all runs",
        lambda c: c.training_runs(),
        {"training_runs": [], "cursor": {"offset": 0, "limit": 100, "total_count": 0}},
        "GET",
        "training_runs?limit=100&offset=0&access_scope=owned",
        None,
    ),
    (
        "one run",
        lambda c: c.get_training_run("s:train:0"),
        {"training_run_id": "s:train:0", "base_model": "Q", "is_lora": True},
        "GET",
        "training_runs/s:train:0?access_scope=owned",
        None,
    ),
    (
        "checkpoints of a run",
        lambda c: c.checkpoints("s:train:0"),
        {"checkpoints": []},
        "GET",
        "training_runs/s:train:0/checkpoints",
        None,
    ),
    (
        "delete",
        lambda c: c.delete_checkpoint(PATH),
        None,
        "DELETE",
        "training_runs/s:train:0/checkpoints/weights/step-3",
        None,
    ),
    (
        "weights_info",
        lambda c: c.weights_info(PATH),
        {"base_model": "Q", "is_lora": True},
        "POST",
        "weights_info",
        {"tinker_path": "tinker://s:train:0/weights/step-3"},
    ),
    (
        "get_info",
        lambda c: c.get_info("m"),
        {"model_id": "m", "model_data": {}},
        "POST",
        "get_info",
        {"model_id": "m", "type": "get_info"},
    ),
    (
        "create_session",
        lambda c: c.create_session(tags=("a",), user_metadata={"k": "v"}, idempotency_key="3f2a"),
        {"session_id": "s"},
        "POST",
        "create_session",
        {"tags": ["a"], "user_metadata": {"k": "v"}, "sdk_version": "0.38.0", "type": "create_session"},
    ),
    (
        "heartbeat",
        lambda c: c.heartbeat("s"),
        {},
        "POST",
        "session_heartbeat",
        {"session_id": "s", "type": "session_heartbeat"},
    ),
    (
        "finish",
        lambda c: c.finish_session("s", "errored", "out of luck"),
        None,
        "POST",
        "sessions/s/finish",
        {"reason": {"type": "errored"}, "detail": "out of luck"},
    ),
    (
        "finish without a detail",
        lambda c: c.finish_session("s", "success"),
        None,
        "POST",
        "sessions/s/finish",
        {"reason": {"type": "success"}, "detail": None},
    ),
    (
        "create_model",
        lambda c: c.create_model(base_model="Q", lora=LoraConfig(rank=8, train_mlp=False), **WAITING),
        {"request_id": "r", "model_id": "s:train:0"},
        "POST",
        "create_model",
        {
            "session_id": "s",
            "model_seq_id": 0,
            "base_model": "Q",
            "user_metadata": {},
            "lora_config": {"rank": 8, "train_unembed": True, "train_mlp": False, "train_attn": True},
            "optimizer_config": {"type": "adamw"},
            "type": "create_model",
        },
    ),
]


@pytest.mark.parametrize(
    ("call", "answer", "method", "url", "body"), [row[1:] for row in ASKED], ids=[row[0] for row in ASKED]
)
async def test_each_method_asks_as_the_wire_has_it(
    *,
    connect: Connect,
    script: Callable[..., Any],
    call: Callable[[TinkerClient], Awaitable[object]],
    answer: Any,
    method: str,
    url: str,
    body: Any,
) -> None:
    service = script(httpx.Response(204) if answer is None else answer)
    await call(connect(service))
    request = service.asked[0]
    assert (request.method, request.url.raw_path.decode()) == (method, BASE + url)
    assert (json.loads(request.content) if request.content else None) == body


@pytest.mark.parametrize(
    ("call", "answer"),
    [
        pytest.param(
            lambda c: c.get_training_run("r1"),
            {"training_run_id": "r2", "base_model": "Q", "is_lora": True},
            id="a run",
        ),
        pytest.param(lambda c: c.get_info("m1"), {"model_id": "m2", "model_data": {}}, id="a model"),
    ],
)
async def test_an_answer_about_something_else_is_invalid(
    connect: Connect,
    script: Callable[..., Any],
    call: Callable[[TinkerClient], Awaitable[object]],
    answer: dict[str, Any],
) -> None:
    with pytest.raises(InvalidResponse, match="another"):
        await call(connect(script(answer)))


@pytest.mark.parametrize(
    "call",
    [
        lambda c: c.get_training_run("r"),
        lambda c: c.checkpoints("r"),
        lambda c: c.delete_checkpoint(PATH),
        lambda c: c.training_runs(),
    ],
    ids=["a run", "its checkpoints", "a deletion", "all runs"],
)
async def test_a_missing_route_is_never_a_missing_thing(
    connect: Connect, script: Callable[..., Any], call: Callable[[TinkerClient], Awaitable[object]]
) -> None:
    with pytest.raises(RouteMissing):
        await call(connect(script(httpx.Response(404, json={"detail": "Not Found"}))))
    with pytest.raises(NotFound):
        await call(connect(script(httpx.Response(404, json={"detail": "Training run r not found"}))))


async def test_a_delete_that_the_service_lacks_is_not_a_deletion(connect: Connect, script: Callable[..., Any]) -> None:
    with pytest.raises(RouteMissing):
        await connect(script(httpx.Response(405, json={"detail": "Method Not Allowed"}))).delete_checkpoint(PATH)


def test_the_package_offers_its_names_in_order() -> None:
    assert sorted(package.__all__) == package.__all__
    assert all(hasattr(package, name) for name in package.__all__)
