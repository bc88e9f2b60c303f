"""What sampling clients ask for, how often, and which answers they trust."""

import asyncio
from typing import Any

import httpx
import pytest
from tests.tinker.conftest import FakeTime, until
from tests.tinker.live.service import PARAMS, PROMPT, USUAL, Enter, Service, Ticks

from tinker_operator.tinker import (
    CallNotPossible,
    ModelInput,
    RetryPolicy,
    SamplingParams,
    TinkerClient,
    errors,
)
from tinker_operator.tinker.live.session import BEAT_SECONDS
from tinker_operator.tinker.payload.tensors import packed
from tinker_operator.tinker.proto import tinker_public_pb2 as wire
from tinker_operator.tinker.sampling import SampleRequest

pytestmark = pytest.mark.pure


def drawn(count: int = 1, prompt: list[float] | None = None) -> httpx.Response:
    message = wire.SampleResponse(
        sequences=[wire.SampledSequence(tokens=packed("i", [7]))] * count,
        prompt_logprobs=None if prompt is None else packed("f", prompt),
    )
    return httpx.Response(200, headers={"Content-Type": "application/x-protobuf"}, content=message.SerializeToString())


async def sampled(client: TinkerClient, **settings: Any) -> Any:
    sampler = await client.create_sampling_client(base_model="Q")
    return await sampler.sample(settings.pop("prompt", PROMPT), 1, PARAMS, **settings)


@pytest.mark.parametrize(
    ("prompt", "pause"),
    [pytest.param(PROMPT, 1.0, id="short"), pytest.param(ModelInput.from_ints(range(40_000)), 5.0, id="large")],
)
async def test_a_busy_service_is_asked_again_under_the_same_number(
    enter: Enter, service: Service, ticks: Ticks, prompt: ModelInput, pause: float
) -> None:
    busy = httpx.Response(429, json={"detail": "busy"})
    service.answers["asample"] = [busy, busy, USUAL["asample"]]
    service.answers["retrieve_future"] = [drawn()]
    async with enter() as client:
        sampler = await client.create_sampling_client(base_model="Q")
        work = asyncio.create_task(sampler.sample(prompt, 1, PARAMS))
        for _ in range(2):
            assert await slept_beside_the_beat(ticks) == pause
        assert (await work).sequences[0].tokens == (7,)
    assert [body["seq_id"] for body in service.bodies("asample")] == [0, 0, 0]


async def slept_beside_the_beat(ticks: Ticks) -> float:
    """Wait until somebody sleeps who does not beat, wake him, and say for how long he would have slept."""

    def others() -> list[tuple[float, asyncio.Event]]:
        return [sleeper for sleeper in ticks.sleepers if sleeper[0] != BEAT_SECONDS]

    await until(others)
    until_when, woken = others()[0]
    ticks.sleepers.remove((until_when, woken))
    woken.set()
    return until_when


async def test_a_service_that_stays_busy_is_told_so_within_the_time(enter: Enter, service: Service) -> None:
    service.answers["asample"] = [httpx.Response(429, headers={"Retry-After": "30"}, json={"detail": "busy"})]
    async with enter() as client:
        with pytest.raises(errors.RateLimited):
            await sampled(client, wait_seconds=20)
    assert len(service.bodies("asample")) == 1


@pytest.mark.parametrize("times", [1, 2])
async def test_lost_work_is_drawn_anew_under_another_number(enter: Enter, service: Service, times: int) -> None:
    service.answers["retrieve_future"] = [*[httpx.Response(410, json={"detail": "lost"})] * times, drawn()]
    async with enter() as client:
        assert (await sampled(client)).sequences[0].sequence_id == "one"
    assert [body["seq_id"] for body in service.bodies("asample")] == list(range(times + 1))


async def test_work_in_a_session_that_is_over_is_given_up(enter: Enter, service: Service) -> None:
    service.answers["asample"] = [httpx.Response(410, json={"detail": "finished"})]
    async with enter() as client:
        with pytest.raises(errors.Gone):
            await sampled(client)


@pytest.mark.parametrize(
    ("taken", "result"),
    [
        pytest.param({"request_id": "r"}, drawn(), id="no names"),
        pytest.param({"request_id": "r", "sample_sequence_ids": ["a", "b"]}, drawn(), id="too many names"),
        pytest.param(None, drawn(2), id="too many samples"),
        pytest.param(None, drawn(0), id="no sample"),
        pytest.param(None, {"sequences": []}, id="no message"),
    ],
)
async def test_samples_that_are_not_those_asked_for_are_not_trusted(
    enter: Enter, service: Service, taken: Any, result: Any
) -> None:
    service.answers["asample"] = [taken or USUAL["asample"]]
    service.answers["retrieve_future"] = [result]
    async with enter() as client:
        with pytest.raises(errors.InvalidResponse):
            await sampled(client)


@pytest.mark.parametrize("prompt", [None, [0.0], [0.0, 0.0, 0.0]])
async def test_logprobs_that_are_not_one_for_each_token_are_not_trusted(
    enter: Enter, service: Service, prompt: list[float] | None
) -> None:
    service.answers["retrieve_future"] = [drawn(prompt=prompt)]
    async with enter() as client:
        sampler = await client.create_sampling_client(base_model="Q")
        with pytest.raises(errors.InvalidResponse):
            await sampler.compute_logprobs(PROMPT)


async def test_only_so_many_samples_are_drawn_at_a_time_as_the_service_wants(enter: Enter, service: Service) -> None:
    service.answers["client/config"] = [{"sample_max_concurrent_requests": 1}]
    service.answers["retrieve_future"] = [drawn()]
    async with enter() as client:
        sampler = await client.create_sampling_client(base_model="Q")
        await asyncio.gather(*(sampler.sample(PROMPT, 1, PARAMS) for _ in range(3)))
    asked = [route for route in service.routes if route in {"asample", "retrieve_future"}]
    assert asked == ["asample", "retrieve_future"] * 3


@pytest.mark.parametrize("settings", [{"max_tokens": 0}, {"temperature": -1}, {"top_p": 0}, {"top_p": 2}])
def test_params_that_cannot_be_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(CallNotPossible):
        SamplingParams(**settings)


@pytest.mark.parametrize("counts", [{"num_samples": 0}, {"topk_prompt_logprobs": -1}, {"topk_sample_logprobs": -1}])
def test_counts_that_cannot_be_are_refused(counts: dict[str, Any]) -> None:
    with pytest.raises(CallNotPossible):
        SampleRequest(PROMPT, **counts)


async def test_a_fault_after_a_long_wait_for_a_busy_service_is_waited_out_like_any_other(
    enter: Enter, service: Service, time: FakeTime
) -> None:
    """A service that was busy for longer than faults are waited out has not used that patience up."""
    busy = httpx.Response(429, headers={"Retry-After": "70"}, json={"detail": "busy"})
    service.answers["asample"] = [busy, httpx.Response(503), httpx.Response(503), USUAL["asample"]]
    service.answers["retrieve_future"] = [drawn()]
    async with enter(keeper=time.keeper(), retry=RetryPolicy()) as client:
        drawn_at_last = await client.asample("S:sample:0", 0, SampleRequest(PROMPT))
    assert drawn_at_last.sequences[0].tokens == (7,)
    assert [body["seq_id"] for body in service.bodies("asample")] == [0, 0, 0, 0]
