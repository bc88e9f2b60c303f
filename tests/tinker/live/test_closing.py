"""Leaving a client ends everything that it began: nothing goes on, nothing waits, and nobody's cancellation is lost."""

import asyncio
from typing import Any

import httpx
import pytest
from tests.tinker.conftest import until
from tests.tinker.live.service import BATCH, PARAMS, PROMPT, Enter, Service, Ticks

from tinker_operator.tinker import AdamParams, RetryPolicy, TinkerClient, errors

pytestmark = pytest.mark.pure


class Gate:
    """A service of which one route does not answer before it is let."""

    def __init__(self, service: Service, route: str) -> None:
        self.service, self.route = service, route
        self.reached, self.opened = asyncio.Event(), asyncio.Event()

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith(self.route):
            self.reached.set()
            await self.opened.wait()
        return self.service(request)


async def used_after_close(client: TinkerClient) -> list[Any]:
    """Make one of everything, leave the client, and give what can still be called."""
    training = await client.create_training_client("Q")
    sampler = await client.create_sampling_client(base_model="Q")
    pending = await training.forward_backward(BATCH, "cross_entropy")
    await client.close()
    return [
        lambda: pending,
        lambda: training.optim_step(AdamParams()),
        training.get_info,
        lambda: sampler.sample(PROMPT, 1, PARAMS),
        client.healthz,
        client.training_runs,
        lambda: client.create_training_client("Q"),
        lambda: client.create_sampling_client(base_model="Q"),
    ]


@pytest.mark.parametrize("number", range(8))
async def test_what_is_called_after_the_end_fails_at_once_and_for_good(
    enter: Enter, service: Service, ticks: Ticks, number: int
) -> None:
    """However patient the law of repetition is: nobody opens the client again."""
    call = (await used_after_close(enter(retry=RetryPolicy())))[number]
    asked = len(service.asked)
    async with asyncio.timeout(5):
        with pytest.raises(errors.ClientClosed, match="closed"):
            await call()
    assert (ticks.sleepers, len(service.asked)) == ([], asked)


async def test_a_session_that_is_being_opened_when_the_client_is_left_is_finished_and_does_not_beat(
    enter: Enter, service: Service
) -> None:
    gate = Gate(service, "create_session")
    client = enter(carrier=httpx.MockTransport(gate))
    opening = asyncio.create_task(client.create_sampling_client(base_model="Q"))
    await gate.reached.wait()
    closing = asyncio.create_task(client.close())
    await asyncio.sleep(0)
    gate.opened.set()
    await closing
    with pytest.raises(errors.ClientClosed):
        await opening
    assert service.routes == ["client/config", "create_session", "sessions/S/finish"]


async def test_whoever_leaves_and_is_cancelled_meanwhile_is_cancelled(
    enter: Enter, service: Service, ticks: Ticks
) -> None:
    gate = Gate(service, "session_heartbeat")
    client = enter(carrier=httpx.MockTransport(gate))
    await client.create_sampling_client(base_model="Q")
    await ticks.wake()
    await gate.reached.wait()
    closing = asyncio.create_task(client.close())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    await client.close()


async def test_beats_that_end_by_a_mistake_neither_hide_nor_stop_the_farewell(
    enter: Enter, service: Service, ticks: Ticks
) -> None:
    """Whatever the carrier raises: the session is finished all the same."""

    async def broken(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("session_heartbeat"):
            raise LookupError("a mistake of the carrier")
        return service(request)

    before = asyncio.all_tasks()
    client = enter(carrier=httpx.MockTransport(broken))
    await client.create_sampling_client(base_model="Q")
    await ticks.wake()
    await until(lambda: not asyncio.all_tasks() - before)
    await client.close()
    assert service.routes[-1] == "sessions/S/finish"
