"""Shards of two layouts and a single operator, each with a clock of its own: whose layout works, and that it works."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tinker_operator.engine.elector import Elector, LeadershipLost
from tinker_operator.engine.kube_errors import KubeUnavailable, WriteConflict
from tinker_operator.engine.lease import Candidacy, LeaseRecord, LeaseTimings
from tinker_operator.engine.shard_elector import ShardElector
from tinker_operator.engine.shared_lease import SharedCandidacy

pytestmark = pytest.mark.pure

Clock = Callable[[], float]
WALL = datetime(2026, 1, 1, tzinfo=UTC)
TIMINGS = LeaseTimings()
ALL = "all"


class Cells:
    """Records that are written by compare-and-swap, as the API server writes Leases."""

    def __init__(self) -> None:
        self.records: dict[str, LeaseRecord] = {}
        self.away = False
        self._version = 0

    def swap(self, name: str, record: LeaseRecord) -> LeaseRecord | None:
        """The record as stored, or None when another version is stored."""
        stored = self.records.get(name)
        if record.resource_version != (stored.resource_version if stored else ""):
            return None
        if record != stored:
            self._version += 1
            self.records[name] = replace(record, resource_version=str(self._version))
        return self.records[name]


@dataclass
class Bidder:
    """A candidate for one record, with the one question or bid that it may have under way."""

    cell: str
    candidacy: Candidacy
    asked_at: float | None = None
    heard: tuple[LeaseRecord | None, float] | None = None
    sent: tuple[LeaseRecord, float] | None = None
    stored: tuple[LeaseRecord, float] | None = None

    @property
    def idle(self) -> bool:
        return (self.asked_at, self.heard, self.sent, self.stored) == (None, None, None, None)


@dataclass
class Worker:
    """A process with a share of the objects, and its skewed clock."""

    layout: str
    shard: int
    offset: float
    rate: float
    bidders: list[Bidder] = field(default_factory=list)

    def now(self, true_time: float) -> float:
        return self.offset + self.rate * true_time

    def acts(self, true_time: float) -> bool:
        return all(one.candidacy.leads(self.now(true_time)) for one in self.bidders)


KINDS = [("2-shards", 0), ("2-shards", 1), ("2-shards", 1), ("3-shards", 0), ("3-shards", 1), ("single", 0)]
"""One of them stands by for its like."""
WORKERS = st.integers(min_value=0, max_value=len(KINDS) - 1)
BIDDERS = st.integers(min_value=0, max_value=1)
CLOCKS = st.tuples(st.floats(min_value=-1e6, max_value=1e6), st.floats(min_value=0.85, max_value=1.15))


class Layouts(RuleBasedStateMachine):
    """Questions, bids and answers that are late or lost, pauses and crashes, in any order."""

    @initialize(clocks=st.lists(CLOCKS, min_size=len(KINDS), max_size=len(KINDS)))
    def start(self, clocks: list[tuple[float, float]]) -> None:
        self.time, self.wall, self.cells, self.generation = 0.0, WALL, Cells(), 0
        self.workers = [self.begun(kind, clock) for kind, clock in zip(KINDS, clocks, strict=True)]

    def begun(self, kind: tuple[str, int], clock: tuple[float, float]) -> Worker:
        self.generation += 1
        layout, shard = kind
        me = f"p{self.generation}"
        if layout == "single":
            return Worker(layout, shard, *clock, [Bidder(ALL, Candidacy(me, TIMINGS))])
        shared = Bidder(ALL, SharedCandidacy(layout, TIMINGS))
        return Worker(layout, shard, *clock, [shared, Bidder(f"shard-{shard}", Candidacy(me, TIMINGS))])

    def pick(self, which: int, part: int) -> tuple[Worker, Bidder]:
        worker = self.workers[which]
        return worker, worker.bidders[part % len(worker.bidders)]

    @rule(seconds=st.floats(min_value=0, max_value=20))
    def time_passes(self, seconds: float) -> None:
        self.time += seconds

    @rule(ticks=st.booleans())
    def the_wall_clock_ticks_or_stands_still(self, ticks: bool) -> None:
        self.wall += timedelta(seconds=ticks)

    @rule(which=WORKERS, part=BIDDERS)
    def asks(self, which: int, part: int) -> None:
        worker, bidder = self.pick(which, part)
        if bidder.idle:
            bidder.asked_at = worker.now(self.time)

    @rule(which=WORKERS, part=BIDDERS)
    def the_question_arrives(self, which: int, part: int) -> None:
        _, bidder = self.pick(which, part)
        if bidder.asked_at is not None:
            bidder.heard, bidder.asked_at = (self.cells.records.get(bidder.cell), bidder.asked_at), None

    @rule(which=WORKERS, part=BIDDERS)
    def the_record_is_heard(self, which: int, part: int) -> None:
        worker, bidder = self.pick(which, part)
        if bidder.heard is not None:
            (record, asked_at), bidder.heard = bidder.heard, None
            bidder.candidacy.observe(record, worker.now(self.time), asked_at)

    @rule(which=WORKERS, part=BIDDERS)
    def sends_a_bid(self, which: int, part: int) -> None:
        worker, bidder = self.pick(which, part)
        now = worker.now(self.time)
        bid = bidder.candidacy.bid(now, self.wall)
        if bid is not None and bidder.idle:
            bidder.sent = (bid, now)

    @rule(which=WORKERS, part=BIDDERS)
    def the_bid_arrives(self, which: int, part: int) -> None:
        _, bidder = self.pick(which, part)
        if bidder.sent is not None:
            (record, asked_at), bidder.sent = bidder.sent, None
            stored = self.cells.swap(bidder.cell, record)
            bidder.stored = None if stored is None else (stored, asked_at)

    @rule(which=WORKERS, part=BIDDERS)
    def the_answer_arrives(self, which: int, part: int) -> None:
        _, bidder = self.pick(which, part)
        if bidder.stored is not None:
            stored, bidder.stored = bidder.stored, None
            bidder.candidacy.won(*stored)

    @rule(which=WORKERS, part=BIDDERS)
    def what_is_on_its_way_is_lost(self, which: int, part: int) -> None:
        _, bidder = self.pick(which, part)
        bidder.asked_at = bidder.heard = bidder.sent = bidder.stored = None

    @rule(which=WORKERS)
    def releases(self, which: int) -> None:
        for bidder in reversed(self.workers[which].bidders):
            record = bidder.candidacy.resign(self.wall) if bidder.idle else None
            if record is not None:
                self.cells.swap(bidder.cell, record)

    @rule(cell=st.sampled_from([ALL, "shard-1"]))
    def somebody_labels_the_lease(self, cell: str) -> None:
        stored = self.cells.records.get(cell)
        if stored is not None:
            labelled = replace(stored, renewed_at=None)
            self.cells.swap(cell, labelled)

    @rule(which=WORKERS)
    def crashes_and_starts_again(self, which: int) -> None:
        old = self.workers[which]
        self.workers[which] = self.begun(KINDS[which], (old.offset, old.rate))

    @rule(which=WORKERS)
    def does_all_it_can(self, which: int) -> None:
        """The usual course, so that leadership is common and not a stroke of luck."""
        steps = (self.asks, self.the_question_arrives, self.the_record_is_heard)
        bid = (self.sends_a_bid, self.the_bid_arrives, self.the_answer_arrives)
        for part in range(len(self.workers[which].bidders)):
            for step in (*steps, *bid):
                step(which, part)

    @precondition(lambda self: hasattr(self, "workers"))
    @invariant()
    def one_layout_acts_and_each_shard_once(self) -> None:
        acting = [one for one in self.workers if one.acts(self.time)]
        assert len({one.layout for one in acting}) <= 1, acting
        assert len({one.shard for one in acting}) == len(acting), acting


TestLayouts = Layouts.TestCase
TestLayouts.settings = settings(max_examples=100, stateful_step_count=60)


@settings(max_examples=400)
@given(
    clocks=st.lists(CLOCKS, min_size=len(KINDS), max_size=len(KINDS)),
    steps=st.lists(st.tuples(WORKERS, st.floats(min_value=0, max_value=16)), max_size=40),
)
def test_one_layout_acts_where_all_that_goes_wrong_is_time(
    clocks: list[tuple[float, float]], steps: list[tuple[int, float]]
) -> None:
    """Whoever comes late sees what others did long ago."""
    world = Layouts()
    world.start(clocks=clocks)
    for which, seconds in steps:
        world.time += seconds
        world.wall += timedelta(seconds=1)
        world.does_all_it_can(which=which)
        world.one_layout_acts_and_each_shard_once()


def test_a_renewal_of_another_member_counts_from_when_it_can_have_been_made() -> None:
    """Seen fourteen seconds later it is fourteen seconds old, for all that this member knows."""
    cells, late, other = Cells(), SharedCandidacy("2-shards", TIMINGS), SharedCandidacy("2-shards", TIMINGS)
    rival = SharedCandidacy("3-shards", TIMINGS)
    for member, at in ((late, 0.0), (other, 1.0)):
        renewed(cells, member, at)
    rival.observe(cells.records[ALL], 1.1, 1.05)
    late.observe(cells.records[ALL], 14.1, 14.0)

    assert not late.leads(14.1)
    assert rival.bid(16.2, WALL) is not None, "for now another layout may work"


def test_a_renewal_of_another_member_is_one_s_own() -> None:
    cells, mine, other = Cells(), SharedCandidacy("2-shards", TIMINGS), SharedCandidacy("2-shards", TIMINGS)
    renewed(cells, mine, 0.0)
    renewed(cells, other, 8.0)
    mine.observe(cells.records[ALL], 9.0, 8.9)
    assert mine.leads(9.9)
    renewed(cells, other, 11.0)
    mine.observe(cells.records[ALL], 11.5, 11.4)

    assert mine.leads(18.8), "it knew the former version at 8.9"
    assert not mine.leads(18.9)
    assert mine.bid(12.0, WALL) is None, "nothing is to be written"


def renewed(cells: Cells, member: SharedCandidacy, at: float) -> None:
    member.observe(cells.records.get(ALL), at, at)
    bid = member.bid(at, WALL + timedelta(seconds=at))
    stored = cells.swap(ALL, bid) if bid is not None else None
    assert stored is not None
    member.won(stored, at)


class CellOf:
    """One record, as an elector sees it."""

    def __init__(self, cells: Cells, name: str) -> None:
        self._cells, self._name = cells, name

    async def read(self) -> LeaseRecord | None:
        if self._cells.away:
            raise KubeUnavailable("No answer.", "Wait.")
        await asyncio.sleep(0.01)
        return self._cells.records.get(self._name)

    async def write(self, record: LeaseRecord) -> LeaseRecord:
        if self._cells.away:
            raise KubeUnavailable("No answer.", "Wait.")
        await asyncio.sleep(0.01)
        stored = self._cells.swap(self._name, record)
        if stored is None:
            raise WriteConflict("Another wrote.", "Read.")
        return stored


def shard_elector(cells: Cells, clock: Clock, layout: int, shard: int, name: str) -> ShardElector:
    def wall() -> datetime:
        return WALL + timedelta(seconds=clock())

    shared = Elector(
        CellOf(cells, ALL), f"{layout}-shards", timings=TIMINGS, monotonic=clock, clock=wall, kind=SharedCandidacy
    )
    own = Elector(CellOf(cells, f"shard-{shard}"), name, timings=TIMINGS, monotonic=clock, clock=wall)
    return ShardElector(shared, own)


async def held(elector: ShardElector, ends: list[float], clock: Clock) -> None:
    try:
        await elector.acquire()
        await elector.hold()
    except LeadershipLost:
        ends.append(clock())


@pytest.mark.parametrize("count", [2, 3, 12])
def test_all_shards_of_a_layout_work_at_once_and_for_long(run_jumping: Any, count: int) -> None:
    """However many renew the one record; few of them write it."""

    async def main(clock: Clock) -> None:
        cells, ends = Cells(), list[float]()
        shards = [shard_elector(cells, clock, count, number, f"p{number}") for number in range(count)]
        tasks = [asyncio.create_task(held(one, ends, clock)) for one in shards]
        await asyncio.sleep(10)
        before = int(cells.records[ALL].resource_version)
        for _ in range(600):
            await asyncio.sleep(1)
            assert all(one.leads() for one in shards)
        written = int(cells.records[ALL].resource_version) - before - 300 * count
        assert not ends
        assert written < 900, "one renewal for all of them, or a few at once"
        for task in tasks:
            task.cancel()

    run_jumping(main)


def test_another_layout_waits_until_the_last_shard_has_gone(run_jumping: Any) -> None:
    """And then works within the expiry of one Lease."""

    async def main(clock: Clock) -> None:
        cells, ends = Cells(), list[float]()
        two = [shard_elector(cells, clock, 2, number, f"a{number}") for number in range(2)]
        old = [asyncio.create_task(held(one, ends, clock)) for one in two]
        await asyncio.sleep(5)
        three = [shard_elector(cells, clock, 3, number, f"b{number}") for number in range(3)]
        new = [asyncio.create_task(held(one, ends, clock)) for one in three]
        await asyncio.sleep(100)
        old[1].cancel()
        await two[1].release()
        await asyncio.sleep(100)
        assert [one.leads() for one in (*two, *three)] == [True, False, False, False, False]

        old[0].cancel()
        await two[0].release()
        assert two[0].resigned
        gone_at = clock()
        while not all(one.leads() for one in three):
            assert not any(one.leads() for one in two)
            await asyncio.sleep(0.5)
        assert 12 <= clock() - gone_at <= 22
        for task in new:
            task.cancel()

    run_jumping(main)


def test_a_shard_that_cannot_renew_stops_in_time(run_jumping: Any) -> None:
    async def main(clock: Clock) -> None:
        cells, ends = Cells(), list[float]()
        shards = [shard_elector(cells, clock, 2, number, f"a{number}") for number in range(2)]
        tasks = [asyncio.create_task(held(one, ends, clock)) for one in shards]
        await asyncio.sleep(20)
        cells.away, away_at = True, clock()
        await asyncio.gather(*tasks)

        assert all(end - away_at <= TIMINGS.deadline_seconds for end in ends)
        assert len(ends) == 2

    run_jumping(main)


def test_a_second_process_of_a_shard_takes_over_from_the_first(run_jumping: Any) -> None:
    async def main(clock: Clock) -> None:
        cells, ends = Cells(), list[float]()
        first, second, other = (
            shard_elector(cells, clock, 2, shard, name) for shard, name in ((0, "a"), (0, "b"), (1, "c"))
        )
        tasks = [asyncio.create_task(held(one, ends, clock)) for one in (first, other)]
        await asyncio.sleep(5)
        tasks.append(asyncio.create_task(held(second, ends, clock)))
        await asyncio.sleep(60)
        assert [first.leads(), second.leads(), other.leads()] == [True, False, True]

        tasks[0].cancel()
        await asyncio.sleep(20)
        assert [first.leads(), second.leads(), other.leads()] == [False, True, True]
        for task in tasks:
            task.cancel()

    run_jumping(main)
