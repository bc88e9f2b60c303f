"""Making runs: what is submitted, and what counts as made."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tinker_operator.tinker import LoraConfig, TinkerClient, TinkerPath
from tinker_operator.tinker.errors import InvalidResponse

pytestmark = pytest.mark.pure

Connect = Callable[..., TinkerClient]
PATH = TinkerPath.parse("tinker://old:train:0/weights/step-3")
SUBMITTED = {"request_id": "req-1"}


async def create(client: TinkerClient) -> str:
    return await client.create_model(
        session_id="s", model_seq_id=0, base_model="Q", lora=LoraConfig(rank=8), wait_seconds=100
    )


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param({}, id="an empty object"),
        pytest.param([], id="a list"),
        pytest.param({"model_id": None}, id="no id"),
        pytest.param({"model_id": ""}, id="an empty id"),
        pytest.param(httpx.Response(200, content=b"half a "), id="no JSON"),
        pytest.param(httpx.Response(204), id="nothing"),
    ],
)
async def test_a_result_of_another_shape_is_invalid(connect: Connect, script: Callable[..., Any], answer: Any) -> None:
    with pytest.raises(InvalidResponse):
        await create(connect(script(SUBMITTED, answer)))


@pytest.mark.parametrize("answer", [{}, {"request_id": ""}, {"request_id": 7}, []])
async def test_a_submission_without_a_request_id_is_invalid(
    connect: Connect, script: Callable[..., Any], answer: Any
) -> None:
    with pytest.raises(InvalidResponse):
        await create(connect(script(answer)))


@pytest.mark.parametrize(
    ("result", "run_id"),
    [
        pytest.param({"type": "load_weights"}, "s:train:4", id="not said: computed as the official client does"),
        pytest.param({"model_id": None, "path": "x"}, "s:train:4", id="null"),
        pytest.param({"model_id": "model_1a2b"}, "model_1a2b", id="an id of another form"),
    ],
)
async def test_the_id_of_a_restored_run_is_the_services_or_the_official_form(
    connect: Connect, script: Callable[..., Any], result: Any, run_id: str
) -> None:
    service = script(SUBMITTED, result)
    made = await connect(service).load_weights(
        session_id="s",
        model_seq_id=4,
        path=PATH,
        optimizer=True,
        user_metadata={"tinker-operator.dev/owner": "c/n/r"},
        wait_seconds=10,
    )
    assert made == run_id
    assert json.loads(service.asked[0].content) == {
        "session_id": "s",
        "model_seq_id": 4,
        "path": "tinker://old:train:0/weights/step-3",
        "optimizer": True,
        "user_metadata": {"tinker-operator.dev/owner": "c/n/r"},
        "type": "load_weights",
    }
