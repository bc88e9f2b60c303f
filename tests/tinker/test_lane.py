"""The operations of one run arrive in order, numbered without a gap unless one was refused."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.tinker.conftest import until

from tinker_operator.tinker import CallNotPossible, TinkerError
from tinker_operator.tinker.calls import Call
from tinker_operator.tinker.errors import (
    BadRequest,
    Conflict,
    InvalidResponse,
    RateLimited,
    ServerFault,
    ServiceTimeout,
    ServiceUnreachable,
)
from tinker_operator.tinker.live.lane import Lane
from tinker_operator.tinker.operations import Operation, save_weights
from tinker_operator.tinker.pending import Pending

pytestmark = pytest.mark.pure

REFUSALS: list[type[TinkerError]] = [BadRequest, Conflict]
SILENCES: list[type[TinkerError]] = [
    ServiceUnreachable,
    ServiceTimeout,
    ServerFault,
    RateLimited,
    InvalidResponse,
]


@dataclass
class Service:
    """Takes operations, one at a time, as its outcomes say: None takes, an error fails."""

    outcomes: list[type[TinkerError] | None] = field(default_factory=list)
    arrived: list[tuple[int, str]] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    busy: bool = False
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    async def submit(self, operation: Operation[Any], /) -> Pending[Any]:
        assert not self.busy, "two submissions at a time"
        self.busy = True
        body = json.loads(operation.call.content or b"")
        self.arrived.append((body["seq_id"], body["path"]))
        self.calls.append(operation.call)
        await asyncio.sleep(0)
        await self.gate.wait()
        self.busy = False
        if failure := self.outcomes.pop(0) if self.outcomes else None:
            raise failure("no")
        return Pending(_never, float, [body["path"]])


async def _never(_: float) -> Any:
    raise AssertionError


async def save(lane: Lane, *names: str) -> list[str]:
    def make(first: int) -> Sequence[Operation[Any]]:
        return [save_weights("m", number, name) for number, name in enumerate(names, first)]

    return [name for pending in await lane.take(make) for name in pending.request_ids]


@given(st.lists(st.integers(1, 3), min_size=1, max_size=12))
def test_many_tasks_send_in_the_order_in_which_they_were_called(sizes: list[int]) -> None:
    service = Service()
    groups = [[f"{task}-{part}" for part in range(size)] for task, size in enumerate(sizes)]

    async def all_at_once() -> None:
        lane = Lane(service.submit)
        assert await asyncio.gather(*(save(lane, *group) for group in groups)) == groups

    asyncio.run(all_at_once())
    assert service.arrived == list(enumerate((name for group in groups for name in group), 1))


@given(st.lists(st.sampled_from([None, *REFUSALS]), min_size=1, max_size=12))
def test_only_what_was_refused_leaves_its_number_unused(outcomes: list[type[TinkerError] | None]) -> None:
    service = Service([*outcomes])

    async def all_at_once() -> list[Any]:
        lane = Lane(service.submit)
        return await asyncio.gather(*(save(lane, str(task)) for task in range(len(outcomes))), return_exceptions=True)

    answers = asyncio.run(all_at_once())
    assert [type(answer) if isinstance(answer, TinkerError) else None for answer in answers] == outcomes
    assert service.arrived == [(number, str(number - 1)) for number in range(1, len(outcomes) + 1)]


@pytest.mark.parametrize("silence", SILENCES)
async def test_what_nobody_answered_is_sent_again_under_its_number(silence: type[TinkerError]) -> None:
    service = Service([None, silence])
    lane = Lane(service.submit)
    await save(lane, "a")
    with pytest.raises(silence):
        await save(lane, "b")
    with pytest.raises(CallNotPossible, match="abandon"):
        await save(lane, "c")
    assert await save(lane, "b") == ["b"]
    await save(lane, "c")
    assert service.arrived == [(1, "a"), (2, "b"), (2, "b"), (3, "c")]
    assert service.calls[1] == service.calls[2]


async def test_of_operations_that_belong_together_all_are_sent_again() -> None:
    service = Service([None, ServiceTimeout])
    lane = Lane(service.submit)
    with pytest.raises(ServiceTimeout):
        await save(lane, "a", "b", "c")
    await save(lane, "a", "b", "c")
    await save(lane, "d")
    assert service.arrived == [(1, "a"), (2, "b"), (1, "a"), (2, "b"), (3, "c"), (4, "d")]


async def test_behind_a_refusal_in_the_middle_the_rest_is_not_sent() -> None:
    service = Service([None, BadRequest])
    lane = Lane(service.submit)
    with pytest.raises(BadRequest):
        await save(lane, "a", "b", "c")
    await save(lane, "d")
    assert service.arrived == [(1, "a"), (2, "b"), (3, "d")]


async def test_what_is_abandoned_keeps_its_number() -> None:
    service = Service([ServiceTimeout])
    lane = Lane(service.submit)
    with pytest.raises(ServiceTimeout):
        await save(lane, "a")
    lane.abandon()
    await save(lane, "b")
    lane.abandon()
    await save(lane, "c")
    assert service.arrived == [(1, "a"), (2, "b"), (3, "c")]


async def test_a_cancelled_submission_counts_as_one_that_nobody_answered() -> None:
    service = Service()
    lane = Lane(service.submit)
    task = asyncio.create_task(save(lane, "a"))
    await until(lambda: service.arrived)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    service.busy = False
    with pytest.raises(CallNotPossible):
        await save(lane, "b")
    assert await save(lane, "a") == ["a"]
    assert [number for number, _ in service.arrived] == [1, 1]


async def test_what_waits_for_its_turn_and_is_cancelled_leaves_no_trace() -> None:
    service = Service()
    lane = Lane(service.submit)
    service.gate.clear()
    first, waiting = asyncio.create_task(save(lane, "a")), asyncio.create_task(save(lane, "b"))
    await until(lambda: service.arrived)
    waiting.cancel()
    service.gate.set()
    await first
    await save(lane, "c")
    assert service.arrived == [(1, "a"), (2, "c")]


async def test_what_cannot_be_written_uses_no_number() -> None:
    service = Service()
    lane = Lane(service.submit)

    def impossible(_: int) -> list[Operation[Any]]:
        raise CallNotPossible("no")

    with pytest.raises(CallNotPossible):
        await lane.take(impossible)
    await save(lane, "a")
    assert service.arrived == [(1, "a")]


async def test_a_run_may_begin_behind_its_first_operation() -> None:
    service = Service()
    await save(Lane(service.submit, first=2), "a")
    assert service.arrived == [(2, "a")]
