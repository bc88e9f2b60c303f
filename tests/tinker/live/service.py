"""A service that answers what is laid out for it, and a time that passes when the test lets it."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
from tests.tinker.conftest import until

from tinker_operator.tinker import (
    Datum,
    ModelInput,
    SamplingParams,
    Timekeeper,
    TinkerClient,
)
from tinker_operator.tinker.proto import tinker_public_pb2 as wire

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


Enter = Callable[..., TinkerClient]
