"""Every fault that a service can have, over real HTTP, whatever was asked."""

import itertools
import time as wall
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from tinker_operator.tinker import LoraConfig, RetryPolicy, Timeouts, TinkerClient, errors
from tinker_operator.tinker.errors import TinkerError

pytestmark = pytest.mark.http

BASE_MODEL = "Qwen/Qwen3-8B"
Simulator = Any
World = Any
Method = Callable[[TinkerClient, World], Awaitable[object]]


METHODS: dict[str, tuple[str, Method]] = {
    "healthz": ("healthz$", lambda client, _: client.healthz()),
    "server_capabilities": ("get_server_capabilities$", lambda client, _: client.server_capabilities()),
    "training_runs": ("GET .*training_runs$", lambda client, _: client.training_runs()),
    "get_training_run": (r"GET .*training_runs/[^/]+$", lambda client, world: client.get_training_run(world.run_id)),
    "checkpoints": ("GET .*checkpoints$", lambda client, world: client.checkpoints(world.run_id)),
    "delete_checkpoint": ("DELETE .*checkpoints/", lambda client, world: client.delete_checkpoint(world.path())),
    "weights_info": ("weights_info$", lambda client, world: client.weights_info(world.path())),
    "get_info": ("get_info$", lambda client, world: client.get_info(world.run_id)),
    "create_session": ("create_session$", lambda client, _: client.create_session(idempotency_key="second")),
    "heartbeat": ("session_heartbeat$", lambda client, world: client.heartbeat(world.session_id)),
    "finish_session": ("finish$", lambda client, world: client.finish_session(world.session_id, "success")),
    "create_model": (
        "create_model$",
        lambda client, world: client.create_model(
            session_id=world.session_id,
            model_seq_id=7,
            base_model=BASE_MODEL,
            lora=LoraConfig(rank=4),
            wait_seconds=30,
        ),
    ),
    "load_weights": ("load_weights$", lambda client, world: world.load(client, 7)),
}
STATUSES = [400, 401, 402, 403, 409, 410, 418, 422, 429, 500, 502, 503, 504]
FAULTS: dict[str, tuple[dict[str, Any], type[TinkerError]]] = {
    "drop before": ({"kind": "drop", "when": "before"}, errors.ServiceUnreachable),
    "drop after": ({"kind": "drop", "when": "after"}, errors.ServiceUnreachable),
    "drop midway": ({"kind": "drop", "when": "midway"}, errors.InvalidResponse),
    "garbage": ({"kind": "garbage"}, errors.InvalidResponse),
    "half-body": ({"kind": "half-body"}, errors.InvalidResponse),
    "latency": ({"kind": "latency", "delay": 3}, errors.ServiceTimeout),
}
ANSWERED_WITH_NOTHING = "delete_checkpoint"
"""What cannot be cut short; and what was done once cannot be done again."""
ONLY_ONCE = "heartbeat"
MET = [
    (name, fault)
    for name, fault in itertools.product(METHODS, FAULTS)
    if name != ANSWERED_WITH_NOTHING or fault not in {"half-body", "drop midway"}
]


@pytest.mark.parametrize("name", METHODS)
async def test_every_status_has_its_class_whatever_was_asked(world: World, name: str) -> None:
    route, method = METHODS[name]
    async with world.simulator.connect() as client:
        for status in STATUSES:
            world.simulator.order("faults", kind="http", status=status, route=route)
            with pytest.raises(errors.StatusError) as refusal:
                await method(client, world)
            assert refusal.value.status == status
            assert refusal.value.transient is (status == 429 or status >= 500)
            world.simulator.sound()
        await method(client, world)


@pytest.mark.parametrize(("name", "fault"), MET)
async def test_every_fault_has_its_class_and_passes_when_it_is_mended(world: World, name: str, fault: str) -> None:
    route, method = METHODS[name]
    rule, kind = FAULTS[fault]
    world.simulator.order("faults", route=route, **rule)
    impatient = Timeouts(attempt=0.3, heartbeat=0.3) if fault == "latency" else Timeouts()
    deleted = (name, fault) == (ANSWERED_WITH_NOTHING, "drop after")
    late = (name, fault) == (ANSWERED_WITH_NOTHING, "latency")  # what was held back goes on when the fault is mended
    async with world.simulator.connect(timeouts=impatient) as client:
        with pytest.raises(kind):
            await method(client, world)
    world.simulator.sound()
    async with world.simulator.connect() as client:
        if late:
            with suppress(errors.NotFound):
                await method(client, world)
        if deleted or late:
            assert len(await client.checkpoints(world.run_id)) == 2
        else:
            await method(client, world)


@pytest.mark.parametrize(
    "rule",
    [
        {"kind": "http", "status": 503},
        {"kind": "http", "status": 429, "retry_after": 0.05},
        {"kind": "drop", "when": "before"},
        {"kind": "drop", "when": "after"},
        {"kind": "drop", "when": "midway"},
    ],
    ids=["503", "429", "dropped before", "dropped after", "dropped midway"],
)
@pytest.mark.parametrize("name", sorted(METHODS.keys() - {ONLY_ONCE, ANSWERED_WITH_NOTHING}))
async def test_a_fault_that_passes_is_not_noticed_and_nothing_is_made_twice(
    world: World, name: str, rule: dict[str, Any]
) -> None:
    route, method = METHODS[name]
    world.simulator.order("faults", route=route, count=1, **rule)
    sessions_before = len(world.simulator.raw("GET", "sessions")["sessions"])
    async with world.simulator.connect() as client:
        await method(client, world)
        runs = await client.training_runs()
    made = len(world.simulator.raw("GET", "sessions")["sessions"]) - sessions_before
    assert made == (name == "create_session")
    assert len(runs) == (2 if name in {"create_model", "load_weights"} else 1)


@pytest.mark.parametrize(
    "rule",
    [
        {"kind": "http", "status": 500, "count": 3},
        {"kind": "http", "status": 400, "count": 3},
        {"kind": "http", "status": 408, "count": 3},
        {"kind": "drop", "count": 2},
        {"kind": "drop", "when": "midway", "count": 2},
    ],
    ids=["500", "400", "408", "dropped", "dropped midway"],
)
async def test_polling_outlasts_the_faults_of_the_moment(world: World, rule: dict[str, Any]) -> None:
    world.simulator.order("faults", route="retrieve_future", **rule)
    async with world.simulator.connect() as client:
        assert await world.load(client, 1) == f"{world.session_id}:train:1"


async def test_work_that_is_not_ready_in_time_is_pending_and_continues(world: World) -> None:
    world.simulator.order("faults", kind="http", status=408, route="retrieve_future")
    async with world.simulator.connect() as client:
        with pytest.raises(errors.FuturePending) as pending:
            await world.load(client, 1, wait_seconds=0.5)
        assert pending.value.request_id
        world.simulator.sound()
        assert await world.load(client, 1) == f"{world.session_id}:train:1"
        assert len(await client.training_runs()) == 2


@pytest.mark.parametrize("runs", [1, 7, 150])
async def test_half_pages_are_an_incomplete_listing_and_pass_when_mended(simulator: Simulator, runs: int) -> None:
    simulator.order("seed", runs=runs, owner=simulator.key)
    simulator.order("faults", kind="half-page")
    async with simulator.connect() as client:
        with pytest.raises(errors.IncompleteListing):
            await client.training_runs()
        simulator.sound()
        assert len(await client.training_runs()) == runs


async def test_one_half_page_costs_no_run(simulator: Simulator) -> None:
    simulator.order("seed", runs=150, owner=simulator.key)
    simulator.order("faults", kind="half-page", count=1)
    async with simulator.connect() as client:
        assert len(await client.training_runs()) == 150


async def test_a_wait_that_the_service_asks_for_is_kept(simulator: Simulator) -> None:
    simulator.order("faults", kind="http", status=429, retry_after=0.5, count=1)
    began = wall.monotonic()
    async with simulator.connect() as client:
        assert await client.healthz() == "ok"
    assert wall.monotonic() - began >= 0.5


async def test_a_wait_beyond_the_deadline_is_handed_on(simulator: Simulator) -> None:
    simulator.order("faults", kind="http", status=429, retry_after=3600)
    began = wall.monotonic()
    async with simulator.connect(retry=RetryPolicy(total_seconds=60)) as client:
        with pytest.raises(errors.RateLimited) as limited:
            await client.healthz()
    assert limited.value.retry_after == 3600
    assert wall.monotonic() - began < 30
