"""Hours of trouble in one process: the real client, the real inventory and the real decisions on a clock that jumps.

What carries requests misbehaves, by chance that can be repeated. At every poll each TrainingRun is decided on, and no
plan holds an action, no status an attempt.
"""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from random import Random
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from tests.e2e.trouble import JSON, WARPS, Answer, Warp, flapping, skewed

from tinker_operator.api.meta import ConditionStatus
from tinker_operator.api.reasons import ConditionType
from tinker_operator.api.run_status import TrainingRunStatus
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.controllers import services as connections
from tinker_operator.controllers.accounts import BRIEF, OWN_ACCOUNT, Credentials, Keyring
from tinker_operator.controllers.observer import remote_answer
from tinker_operator.controllers.services import Service, Services
from tinker_operator.core.conditions import find_condition
from tinker_operator.core.run_plan import RunPlan, plan_run
from tinker_operator.core.run_status import next_run_status
from tinker_operator.core.seen import RunSeen, Unanswered, decided
from tinker_operator.core.world import (
    Action,
    CheckpointsOf,
    Done,
    HandOverSeen,
    Performed,
    Question,
    RunById,
    WeightsOf,
    WriteHandOver,
)
from tinker_operator.core.world import Answer as Told
from tinker_operator.tinker import TinkerClient
from tinker_operator.tinker.retry import Timekeeper

pytestmark = pytest.mark.pure

START = datetime(2026, 1, 1, tzinfo=UTC)
POLLS = 100
MANY_POLLS = 1000
"""For trouble of every kind, each time another: chance needs more of it."""
POLL_SECONDS = 30.0
URL = "http://service.test"
ROLES = ("healthy", "lost", "suspended", "handed")


@dataclass
class FakeClock:
    """Time that passes only when somebody waits."""

    seconds: float = 0.0

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds

    def now(self) -> datetime:
        return (START + timedelta(seconds=self.seconds)).replace(microsecond=0)


@dataclass
class Carrier(httpx.AsyncBaseTransport):
    """A service in memory, and the way to it.

    Attributes:
        rng: Chance.
        warp: What becomes of an answer; may raise what httpx raises. None passes it on.
        corrupted: Roles whose runs are flagged.
        troubled: Answers that were interfered with.
    """

    rng: Random
    clock: FakeClock
    warp: Warp | None = None
    corrupted: set[str] = field(default_factory=set)
    troubled: int = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = Answer(200, JSON, json.dumps(self._sound(request)).encode())
        if self.warp is not None:
            self.troubled += 1
            answer = self.warp(self.rng, answer)
        return httpx.Response(answer.status, headers=answer.headers, content=answer.body, request=request)

    def _sound(self, request: httpx.Request) -> dict[str, Any]:
        if request.url.path.endswith("/weights_info"):
            return {"base_model": "m", "is_lora": True, "lora_rank": 4}
        assert request.method == "GET", f"{request.method} {request.url}"
        if request.url.path.endswith("/checkpoints"):
            run = request.url.path.split("/")[-2]
            path = f"tinker://{run}/weights/step-1"
            row = {"checkpoint_id": "weights/step-1", "checkpoint_type": "training", "tinker_path": path}
            return {"checkpoints": [{**row, "time": START.isoformat(), "size_bytes": 1, "public": False}]}
        rows = [self._row(role) for role in ROLES]
        return {"training_runs": rows, "cursor": {"offset": 0, "limit": 100, "total_count": len(rows)}}

    def _row(self, role: str) -> dict[str, Any]:
        used = (self.clock.now() - timedelta(seconds=3)).isoformat()
        shape = {"base_model": "m", "model_owner": "me", "is_lora": True, "lora_rank": 4}
        flags = {"corrupted": role in self.corrupted, "last_request_time": used, "user_metadata": None}
        return {"training_run_id": f"s-{role}:train:0", **shape, **flags}


def raising(*errors: type[httpx.TransportError]) -> Warp:
    """Returns a way that answers never come back on."""

    def carry(rng: Random, _sound: Answer) -> Answer:
        raise rng.choice(errors)("it broke")

    return carry


def anything(rng: Random, sound: Answer) -> Answer:
    """Each answer is troubled in another way, by the service or on the way."""
    return rng.choice([flapping, *LOST.values()])(rng, sound)


LOST: dict[str, Warp] = {
    "timeouts": raising(httpx.ConnectTimeout, httpx.ReadTimeout, httpx.WriteTimeout, httpx.PoolTimeout),
    "connections that break": raising(httpx.ConnectError, httpx.ReadError, httpx.WriteError, httpx.CloseError),
    "half answers": raising(httpx.RemoteProtocolError),
}
KINDS: dict[str, Warp] = {**WARPS, **LOST, "anything": anything}


@dataclass
class World:
    """Four TrainingRuns and their service, polled as the operator does."""

    carrier: Carrier
    clock: FakeClock
    services: Services
    runs: dict[str, TrainingRun]
    hand_overs: dict[str, str] = field(default_factory=dict)

    async def poll(self) -> dict[str, RunPlan]:
        """Looks once, decides for each, and folds what was decided into status; actions are only returned."""
        watched = [run.spec.run.training_run_id or "" for run in self.runs.values()]
        await self.services.refresh(OWN_ACCOUNT, watched, max_age_seconds=0)
        plans = {role: await self._decide(role) for role in ROLES}
        await self.clock.sleep(POLL_SECONDS)
        return plans

    async def _decide(self, role: str) -> RunPlan:
        run, now = self.runs[role], self.clock.now()
        seen = RunSeen("test", self.services.inventory_of(OWN_ACCOUNT))
        while isinstance(plan := decided(partial(plan_run, run, seen, now)), Unanswered):
            seen = seen.learned(plan.question, await self._answer(role, plan.question))
        performed = tuple(self._perform(role, one) for one in plan.plan.actions if isinstance(one, WriteHandOver))
        status = next_run_status(run, plan, performed, now)
        self.runs[role] = run.model_copy(update={"status": status})
        return plan

    def _perform(self, role: str, action: WriteHandOver) -> Performed:
        self.hand_overs[role] = action.document
        return Performed(action, Done())

    async def _answer(self, role: str, question: Question) -> Told:
        if isinstance(question, CheckpointsOf | WeightsOf | RunById):
            service = self.services.of(OWN_ACCOUNT)
            assert isinstance(service, Service)
            return await remote_answer(question, service.client)
        return HandOverSeen(self.hand_overs.get(role))

    def status(self, role: str) -> TrainingRunStatus:
        """Returns a status."""
        return self.runs[role].status

    def is_true(self, role: str, kind: ConditionType) -> bool:
        """Tells whether a condition is True."""
        found = find_condition(self.status(role).conditions, kind)
        return found is not None and found.status is ConditionStatus.TRUE


def training_run(role: str) -> TrainingRun:
    """Returns a TrainingRun that would be recovered from anything."""
    mode = "HandOver" if role == "handed" else "Recreate"
    recovery = {"enabled": True, "onMissing": "Recover", "mode": mode}
    spec = {"run": {"trainingRunId": f"s-{role}:train:0"}, "recovery": recovery, "suspend": role == "suspended"}
    metadata = {"name": role, "namespace": "team", "uid": role, "generation": 1}
    return TrainingRun.model_validate({"metadata": metadata, "spec": spec})


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """Four runs that are well and were seen to be so."""
    rng, clock = Random(5), FakeClock()  # noqa: S311 - chance that can be repeated
    carrier = Carrier(rng, clock)
    keeper = Timekeeper(clock.monotonic, clock.sleep, rng.uniform)

    def connect(credentials: Credentials, *_others: object) -> TinkerClient:
        return TinkerClient(credentials.base_url, credentials.api_key, retry=BRIEF, keeper=keeper, carrier=carrier)

    monkeypatch.setattr(connections, "connect", connect)

    class NoSecrets:
        async def get_secret(self, namespace: str, name: str) -> dict[str, str] | None:
            raise AssertionError(f"{namespace}/{name} is asked for by nobody")

    own = Credentials(URL, SecretStr("tml-test"))
    services = Services(Keyring(NoSecrets(), own, URL, frozenset({URL})), clock=clock.now, monotonic=clock.monotonic)
    return World(carrier, clock, services, {role: training_run(role) for role in ROLES})


async def settled(world: World) -> None:
    """Polls until the healthy runs are Ready."""
    for _ in range(4):
        await world.poll()
    assert all(world.is_true(role, ConditionType.READY) for role in ("healthy", "lost", "handed"))


def is_a_word(action: Action) -> bool:
    """Tells whether an action only says how things are, of no attempt."""
    return isinstance(action, WriteHandOver) and action.states.attempt == 0


def assert_nothing_begun(world: World, plans: dict[str, RunPlan]) -> None:
    """No action, no attempt, no verdict about the run."""
    for role in ROLES:
        # What a loop that starts now resumes from may be told anew; that is no recovery.
        assert all(is_a_word(action) for action in plans[role].plan.actions), role
        recovery = world.status(role).recovery
        assert (recovery.attempt, recovery.in_flight, recovery.history) == (0, None, ()), role
        assert not world.is_true(role, ConditionType.CORRUPTED), role


@pytest.mark.parametrize("name", KINDS)
async def test_hours_of_trouble_begin_no_recovery(world: World, name: str) -> None:
    """Three runs are lost meanwhile; what is done about them is done when the service is heard again, and once."""
    await settled(world)
    world.carrier.warp = KINDS[name]
    world.carrier.corrupted = {"lost", "suspended", "handed"}
    began = world.clock.now()
    polls = MANY_POLLS if name == "anything" else POLLS
    for _ in range(polls):
        assert_nothing_begun(world, await world.poll())
    assert not any(world.is_true(role, ConditionType.READY) for role in ROLES)
    hours = (world.clock.now() - began).total_seconds() / 3600
    print(f"\n{name}: {world.carrier.troubled} faults in {polls} polls, {hours:.1f} h")  # noqa: T201

    world.carrier.warp = None
    for _ in range(3):
        await world.poll()
    assert world.is_true("healthy", ConditionType.READY)
    attempts = {role: world.status(role).recovery.in_flight is not None for role in ROLES}
    assert attempts == {"healthy": False, "lost": True, "suspended": False, "handed": True}


async def test_answers_between_trouble_are_heard_for_what_they_say(world: World) -> None:
    """Every other answer is sound, so the way flaps; runs that are well stay alone all the time."""
    await settled(world)

    def now_and_then(rng: Random, sound: Answer) -> Answer:
        return sound if rng.random() < 0.5 else anything(rng, sound)

    world.carrier.warp = now_and_then
    for _ in range(POLLS):
        assert_nothing_begun(world, await world.poll())


@pytest.mark.parametrize("hours", [-12, -1, 1, 12])
async def test_a_clock_that_is_hours_off_loses_no_run(world: World, hours: int) -> None:
    """The times of the service decide nothing about whether a run is alive."""
    await settled(world)
    world.carrier.warp = partial(skewed, timedelta(hours=hours))
    for _ in range(POLLS):
        plans = await world.poll()
        assert_nothing_begun(world, plans)
    assert all(world.is_true(role, ConditionType.READY) for role in ("healthy", "lost", "handed"))
