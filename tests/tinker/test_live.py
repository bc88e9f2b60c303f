"""The session that clients share: opened once, kept alive, finished; and what is submitted in it."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from tests.tinker.conftest import until

from tinker_operator.tinker import (
    AdamParams,
    CallNotPossible,
    Datum,
    ModelInput,
    RetryPolicy,
    SamplingParams,
    SessionTerms,
    Timekeeper,
    TinkerClient,
    errors,
)
from tinker_operator.tinker.live.session import BEAT_SECONDS
from tinker_operator.tinker.payload.tensors import packed
from tinker_operator.tinker.proto import tinker_public_pb2 as wire
from tinker_operator.tinker.sampling import SampleRequest

pytestmark = pytest.mark.pure

BATCH = [Datum(ModelInput.from_ints([token]), {"target_tokens": [token]}) for token in range(5)]
PROMPT = ModelInput.from_ints([1, 2])
PARAMS = SamplingParams(max_tokens=1)


@dataclass
class Ticks:
    """A time in which whoever sleeps waits until the test lets so many seconds pass."""

    now: float = 0.0
    sleepers: list[tuple[float, asyncio.Event]] = field(default_factory=list)

    async def sleep(self, seconds: float) -> None:
        woken = asyncio.Event()
        self.sleepers.append((self.now + seconds, woken))
        await woken.wait()

    async def sleeping(self) -> float:
        """Wait until somebody sleeps, and say until when."""
        await until(lambda: self.sleepers)
        return self.sleepers[0][0]

    async def wake(self) -> None:
        """Let the time pass that the first sleeper waits for."""
        self.now = await self.sleeping()
        self.sleepers.pop(0)[1].set()

    def keeper(self) -> Timekeeper:
        return Timekeeper(lambda: self.now, self.sleep, lambda _, high: high, iter(map(str, range(99))).__next__)


@dataclass
class Service:
    """Answers every route with what is laid out for it, and remembers what it was asked."""

    answers: dict[str, list[httpx.Response | Any]] = field(default_factory=dict)
    asked: list[tuple[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        route = request.url.path.split("/api/v1/")[1]
        body: Any = wire.ForwardBackwardRequest.FromString(request.content) if route == "forward_backward" else None
        self.asked.append((route, body or json.loads(request.content or b"null")))
        self.keys.append(request.headers.get("X-Idempotency-Key"))
        laid = self.answers.get(route, [])
        answer = (laid.pop(0) if len(laid) > 1 else laid[0]) if laid else USUAL[route]
        return answer if isinstance(answer, httpx.Response) else httpx.Response(200, json=answer)

    @property
    def routes(self) -> list[str]:
        return [route for route, _ in self.asked]

    def bodies(self, route: str) -> list[Any]:
        return [body for asked, body in self.asked if asked == route]


USUAL: dict[str, Any] = {
    "client/config": {},
    "create_session": {"session_id": "S"},
    "session_heartbeat": {},
    "sessions/S/finish": {},
    "create_model": {"request_id": "made"},
    "load_weights": {"request_id": "made"},
    "retrieve_future": {"model_id": "S:train:0", "path": "tinker://r/weights/n", "sampling_session_id": "S:sample:1"},
    "get_info": {"model_id": "S:train:0", "model_data": {"model_name": "Q"}},
    "create_sampling_session": {"sampling_session_id": "S:sample:0"},
    "save_weights": {"request_id": "saved"},
    "save_weights_for_sampler": {"request_id": "saved"},
    "forward_backward": {"request_id": "summed"},
    "optim_step": {"request_id": "stepped"},
    "asample": {"request_id": "drawn", "sample_sequence_ids": ["one"]},
    "samplers/S:sample:0": {"sampler_id": "S:sample:0", "base_model": "Q"},
}


@pytest.fixture
def ticks() -> Ticks:
    return Ticks()


@pytest.fixture
def service() -> Service:
    return Service()


Enter = Callable[..., TinkerClient]


@pytest.fixture
async def enter(ticks: Ticks, service: Service) -> AsyncIterator[Enter]:
    """Connect clients that the test leaves; when it is over, no task is left."""
    before = asyncio.all_tasks()

    def make(**settings: Any) -> TinkerClient:
        usual: dict[str, Any] = {
            "keeper": ticks.keeper(),
            "carrier": httpx.MockTransport(service),
            "retry": RetryPolicy(max_attempts=1),
        }
        return TinkerClient("https://x.test", SecretStr("tml-k"), **(usual | settings))

    yield make
    assert {task for task in asyncio.all_tasks() if task is not asyncio.current_task()} - before == set()


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


async def test_a_batch_is_sent_in_the_portions_that_the_service_wants(enter: Enter, service: Service) -> None:
    service.answers["client/config"] = [{"fwdbwd_max_chunk_len": 2}]
    service.answers["forward_backward"] = [{"request_id": name} for name in ("a", "b", "c")]
    result = wire.ForwardBackwardOutput(
        loss_fn_outputs=[
            wire.ArrayRecord(
                num_datums=1,
                fields={
                    "logprobs": wire.BatchedTensor(data=bytes(4), offsets=packed("q", [0, 4]), dtype=wire.DTYPE_FLOAT32)
                },
            )
        ],
        metrics={"loss:sum": 2.0},
    )
    content = httpx.Response(
        200, headers={"Content-Type": "application/x-protobuf"}, content=result.SerializeToString()
    )
    async with enter() as client:
        training = await client.create_training_client("Q")
        service.answers["retrieve_future"] = [content]
        pending = await training.forward_backward(BATCH, "cross_entropy", {"a": 1.0})
        step = await training.optim_step(AdamParams())
        output = await pending
        assert await pending is output
        assert step.request_ids == ("stepped",)
    requests = service.bodies("forward_backward")
    assert [(request.seq_id, len(request.data)) for request in requests] == [(1, 2), (2, 2), (3, 1)]
    assert service.bodies("optim_step")[0]["seq_id"] == 4
    assert pending.request_ids == ("a", "b", "c")
    assert (output.metrics, len(output.loss_fn_outputs)) == ({"loss:sum": 6.0}, 3)
    polls = [body["request_id"] for body in service.bodies("retrieve_future")][1:]
    assert polls == ["a", "b", "c"]


async def test_an_empty_batch_is_refused_and_uses_no_number(enter: Enter, service: Service) -> None:
    async with enter() as client:
        training = await client.create_training_client("Q")
        with pytest.raises(CallNotPossible, match="empty"):
            await training.forward_backward([], "cross_entropy")
        await training.optim_step(AdamParams())
    assert service.bodies("optim_step")[0]["seq_id"] == 1


async def test_a_result_of_another_form_is_not_trusted(enter: Enter) -> None:
    async with enter() as client:
        training = await client.create_training_client("Q")
        pending = await training.forward(BATCH, "cross_entropy")
        with pytest.raises(errors.InvalidResponse):
            await pending


async def test_a_snapshot_that_is_sent_again_keeps_both_of_its_numbers(enter: Enter, service: Service) -> None:
    service.answers["save_weights_for_sampler"] = [httpx.Response(502), {"request_id": "saved"}]
    async with enter() as client:
        training = await client.create_training_client("Q")
        with pytest.raises(errors.ServerFault):
            await training.save_weights_and_get_sampling_client()
        await training.save_weights_and_get_sampling_client()
        await training.save_weights_and_get_sampling_client()
    sent = [(body["seq_id"], body["sampling_session_seq_id"]) for body in service.bodies("save_weights_for_sampler")]
    assert sent == [(1, 0), (1, 0), (2, 1)]


async def test_a_service_of_the_older_form_has_used_the_first_number_up(enter: Enter, service: Service) -> None:
    service.answers["load_weights"] = [
        httpx.Response(422, json={"detail": [{"loc": ["body", "model_id"], "msg": "Field required"}]}),
        {"request_id": "loaded"},
    ]
    service.answers["weights_info"] = [{"base_model": "Q", "is_lora": True, "lora_rank": 8}]
    async with enter() as client:
        training = await client.create_training_client_from_state("tinker://r/weights/n")
        await training.optim_step(AdamParams())
    assert [body.get("seq_id") for body in service.bodies("load_weights")] == [None, 1]
    assert service.bodies("optim_step")[0]["seq_id"] == 2


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


@pytest.mark.parametrize("adapter", [{"rank": 0}, {"rank": 2**64}, {"rank": "8"}, {"seed": "x"}])
async def test_an_adapter_that_cannot_be_is_refused(enter: Enter, service: Service, adapter: dict[str, Any]) -> None:
    async with enter() as client:
        with pytest.raises(CallNotPossible, match="adapter"):
            await client.create_training_client("Q", **adapter)
    assert service.routes == []


async def test_nothing_that_opens_another_accounts_weights_is_shown(enter: Enter, service: Service) -> None:
    token = SecretStr("rosebud")
    service.answers["load_weights"] = [httpx.Response(400, json={"detail": "token rosebud is not valid"})]
    async with enter() as client:
        with pytest.raises(errors.BadRequest) as refusal:
            await client.create_training_client_from_state("tinker://r/weights/n", weights_access_token=token)
    assert "rosebud" not in str(refusal.value)
    assert service.bodies("load_weights")[0]["weights_access_token"] == "rosebud"
