"""The session that clients share: opened once, kept alive, finished."""

import asyncio
from contextlib import nullcontext

import httpx
import pytest
from tests.tinker.conftest import until
from tests.tinker.live.service import Enter, Service, Ticks

from tinker_operator.tinker import (
    SessionTerms,
    errors,
)

pytestmark = pytest.mark.pure


async def test_a_client_that_makes_none_opens_no_session(enter: Enter, service: Service) -> None:
    async with enter() as client:
        await client.get_info("S:train:0")
    assert service.routes == ["get_info"]


async def test_all_clients_share_one_session_and_count_in_it(enter: Enter, service: Service) -> None:
    async with enter(session=SessionTerms(("t",), {"k": "v"}, "p", "n")) as client:
        await asyncio.gather(
            client.create_training_client("Q"),
            client.create_training_client("Q"),
            client.create_sampling_client(base_model="Q"),
        )
        training = await client.create_training_client_from_state("tinker://r/weights/n")
        await client.create_sampling_client("tinker://r/weights/n")
        await training.save_weights_and_get_sampling_client()
    assert service.routes.count("create_session") == service.routes.count("client/config") == 1
    assert service.bodies("create_session")[0] == {
        "tags": ["t"],
        "user_metadata": {"k": "v"},
        "project_id": "p",
        "display_name": "n",
        "sdk_version": "0.38.0",
        "type": "create_session",
    }
    numbers = [body["model_seq_id"] for route in ("create_model", "load_weights") for body in service.bodies(route)]
    assert numbers == [0, 1, 2]
    assert [body["sampling_session_seq_id"] for body in service.bodies("create_sampling_session")] == [0, 1]
    assert [body["sampling_session_seq_id"] for body in service.bodies("save_weights_for_sampler")] == [2]


async def test_a_session_that_could_not_be_opened_is_asked_for_under_the_same_key(
    enter: Enter, service: Service
) -> None:
    service.answers["create_session"] = [httpx.Response(500), {"session_id": "S"}]
    async with enter() as client:
        with pytest.raises(errors.ServerFault):
            await client.create_sampling_client(base_model="Q")
        await client.create_sampling_client(base_model="Q")
    keys = [key for key, route in zip(service.keys, service.routes, strict=True) if route == "create_session"]
    assert len(keys) == 2
    assert len(set(keys)) == 1


async def test_a_session_beats_every_ten_seconds_through_faults_of_the_moment(
    enter: Enter, service: Service, ticks: Ticks
) -> None:
    service.answers["session_heartbeat"] = [httpx.Response(500), {}, httpx.Response(429), {}]
    async with enter() as client:
        await client.create_sampling_client(base_model="Q")
        for beat in range(1, 5):
            assert await ticks.sleeping() == beat * 10.0
            await ticks.wake()
        await ticks.sleeping()
    assert service.routes.count("session_heartbeat") == 4


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(httpx.Response(410, json={"detail": "finished"}), id="finished"),
        pytest.param(httpx.Response(404, json={"detail": "Session S not found"}), id="forgotten"),
        pytest.param(httpx.Response(404, json={"detail": "Not Found"}), id="a service without heartbeats"),
    ],
)
async def test_the_beats_of_a_session_that_is_over_end_quietly(
    enter: Enter, service: Service, ticks: Ticks, end: httpx.Response
) -> None:
    service.answers["session_heartbeat"] = [end]
    before = asyncio.all_tasks()
    async with enter() as client:
        await client.create_sampling_client(base_model="Q")
        await ticks.wake()
        await until(lambda: not asyncio.all_tasks() - before)
        assert (await client.get_sampler("S:sample:0")).base_model == "Q"
    assert service.routes.count("session_heartbeat") == 1


async def left_by(enter: Enter, fault: BaseException | None) -> None:
    async with enter() as client:
        await client.create_sampling_client(base_model="Q")
        if fault:
            raise fault


@pytest.mark.parametrize(
    ("fault", "reason", "detail"),
    [
        pytest.param(None, "success", None, id="nothing"),
        pytest.param(ZeroDivisionError("of the secret 7"), "errored", "ZeroDivisionError", id="an exception"),
        pytest.param(asyncio.CancelledError(), "interrupted", None, id="a cancellation"),
    ],
)
async def test_the_session_is_finished_by_what_left_the_client(
    enter: Enter, service: Service, fault: BaseException | None, reason: str, detail: str | None
) -> None:
    with pytest.raises(type(fault)) if fault else nullcontext():
        await left_by(enter, fault)
    assert service.asked[-1] == ("sessions/S/finish", {"reason": {"type": reason}, "detail": detail})


async def test_a_session_is_finished_once_and_its_loss_matters_to_nobody(enter: Enter, service: Service) -> None:
    service.answers["sessions/S/finish"] = [httpx.Response(500)]
    client = enter()
    await client.create_sampling_client(base_model="Q")
    await client.close("interrupted", "told to")
    await client.close()
    assert service.bodies("sessions/S/finish") == [{"reason": {"type": "interrupted"}, "detail": "told to"}]


async def test_a_service_without_wishes_is_spoken_to_in_the_usual_way(enter: Enter, service: Service) -> None:
    service.answers["client/config"] = [httpx.Response(404, json={"detail": "Not Found"})]
    async with enter() as client:
        assert (await client.create_sampling_client(base_model="Q")).sampling_session_id == "S:sample:0"
