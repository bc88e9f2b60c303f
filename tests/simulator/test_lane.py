"""The order in which one model's operations run."""

import asyncio
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinker_simulator.execution.lane import Lane
from tinker_simulator.records import FutureRecord, Operation

pytestmark = pytest.mark.pure

NEVER = 60.0


def numbered(seq_id: int) -> FutureRecord:
    return FutureRecord(f"m:{seq_id}", "o", Operation.OPTIM_STEP, "m", seq_id, b"")


@dataclass
class Ran:
    """What a lane ran, in order."""

    seqs: list[int] = field(default_factory=list)
    enough: asyncio.Event = field(default_factory=asyncio.Event)
    expected: int = 0

    async def run(self, future: FutureRecord) -> None:
        await asyncio.sleep(0)
        self.seqs.append(future.seq_id)
        if len(self.seqs) >= self.expected:
            self.enough.set()

    async def wait_for(self, count: int) -> list[int]:
        """The first `count` numbers that ran."""
        self.expected = count
        if len(self.seqs) < count:
            self.enough.clear()
            await asyncio.wait_for(self.enough.wait(), 10)
        return self.seqs


@given(order=st.permutations(range(1, 9)), pauses=st.lists(st.booleans(), min_size=8, max_size=8))
@settings(max_examples=50, deadline=None)
def test_any_order_of_arrival_runs_in_the_order_of_numbers(order: list[int], pauses: list[bool]) -> None:
    """Nothing runs before what comes before it, however they arrive."""

    async def arrive() -> list[int]:
        ran = Ran()
        lane = Lane(ran.run, next_seq=1, gap_seconds=NEVER)
        for seq_id, pause in zip(order, pauses, strict=True):
            lane.add(numbered(seq_id))
            if pause:
                await asyncio.sleep(0)
        return await ran.wait_for(8)

    assert asyncio.run(arrive()) == list(range(1, 9))


async def test_refused_numbers_are_passed_over_at_once() -> None:
    """Whether they were refused before or after what follows them arrived."""
    ran = Ran()
    lane = Lane(ran.run, next_seq=1, gap_seconds=NEVER)
    lane.refuse(1)
    lane.add(numbered(3))
    await asyncio.sleep(0)
    assert ran.seqs == []
    lane.refuse(2)

    assert await ran.wait_for(1) == [3]


async def test_a_missing_number_is_waited_for_but_not_for_ever() -> None:
    """After the gap time the lane goes on; the late number still runs when it comes."""
    ran = Ran()
    lane = Lane(ran.run, next_seq=1, gap_seconds=0.01)
    lane.add(numbered(2))
    assert await ran.wait_for(1) == [2]
    lane.add(numbered(1))

    assert await ran.wait_for(2) == [2, 1]


async def test_a_closed_lane_leaves_what_it_has_not_begun() -> None:
    """It stays stored, for the next start."""
    ran = Ran()
    lane = Lane(ran.run, next_seq=1, gap_seconds=NEVER)
    lane.add(numbered(2))
    await asyncio.sleep(0)
    await asyncio.wait_for(lane.close(), 10)

    assert ran.seqs == []
