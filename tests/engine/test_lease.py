"""Two candidates with clocks of their own, one record: never two leaders."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tinker_operator.engine.lease import NOBODY, Candidacy, LeaseRecord, LeaseTimings

pytestmark = pytest.mark.pure

WALL = datetime(2026, 1, 1, tzinfo=UTC)
TIMINGS = LeaseTimings()


class Cell:
    """A record that is written by compare-and-swap, as the API server writes a Lease."""

    def __init__(self) -> None:
        self.record: LeaseRecord | None = None
        self._version = 0

    def swap(self, record: LeaseRecord) -> LeaseRecord | None:
        """The record as stored, or None when another version is stored."""
        stored = self.record.resource_version if self.record else ""
        if record.resource_version != stored:
            return None
        if record != self.record:
            self._version += 1
            self.record = replace(record, resource_version=str(self._version))
        return self.record


class Replica:
    """A candidate, its skewed clock, and the one request it may have under way."""

    def __init__(self, name: str, offset: float, rate: float) -> None:
        self.name, self.offset, self.rate = name, offset, rate
        self.candidacy = Candidacy(name, TIMINGS)
        self.sent: tuple[LeaseRecord, float] | None = None
        self.answer: tuple[LeaseRecord, float] | None = None

    def now(self, true_time: float) -> float:
        return self.offset + self.rate * true_time


REPLICAS = st.integers(min_value=0, max_value=1)
RATES = st.floats(min_value=0.85, max_value=1.15)
OFFSETS = st.floats(min_value=-1e6, max_value=1e6)


class TwoCandidates(RuleBasedStateMachine):
    """Reads, writes, lost answers, pauses, crashes and releases, in any order."""

    @initialize(offsets=st.tuples(OFFSETS, OFFSETS), rates=st.tuples(RATES, RATES))
    def start(self, offsets: tuple[float, float], rates: tuple[float, float]) -> None:
        self.time = 0.0
        self.wall = WALL
        self.cell = Cell()
        self.generation = 0
        self.replicas = [Replica(f"r{i}", offsets[i], rates[i]) for i in range(2)]

    @rule(seconds=st.floats(min_value=0, max_value=20))
    def time_passes(self, seconds: float) -> None:
        self.time += seconds

    @rule(ticks=st.booleans())
    def the_wall_clock_ticks_or_stands_still(self, ticks: bool) -> None:
        self.wall += timedelta(seconds=ticks)

    @rule(which=REPLICAS)
    def reads(self, which: int) -> None:
        replica = self.replicas[which]
        if replica.sent is None and replica.answer is None:
            replica.candidacy.observe(self.cell.record, replica.now(self.time), replica.now(self.time))

    @rule(which=REPLICAS)
    def sends_a_bid(self, which: int) -> None:
        replica = self.replicas[which]
        now = replica.now(self.time)
        bid = replica.candidacy.bid(now, self.wall)
        if bid is not None and replica.sent is None and replica.answer is None:
            replica.sent = (bid, now)

    @rule(which=REPLICAS)
    def the_bid_arrives(self, which: int) -> None:
        replica = self.replicas[which]
        if replica.sent is not None:
            stored, asked_at = self.cell.swap(replica.sent[0]), replica.sent[1]
            replica.sent = None
            replica.answer = None if stored is None else (stored, asked_at)

    @rule(which=REPLICAS)
    def the_answer_arrives(self, which: int) -> None:
        replica = self.replicas[which]
        if replica.answer is not None:
            replica.candidacy.won(*replica.answer)
            replica.answer = None

    @rule(which=REPLICAS)
    def the_answer_is_lost(self, which: int) -> None:
        self.replicas[which].answer = None

    @rule(which=REPLICAS)
    def releases(self, which: int) -> None:
        replica = self.replicas[which]
        if replica.sent is None and replica.answer is None:
            record = replica.candidacy.resign(self.wall)
            if record is not None:
                self.cell.swap(record)

    @rule(which=REPLICAS)
    def crashes_and_starts_again(self, which: int) -> None:
        old = self.replicas[which]
        self.generation += 1
        self.replicas[which] = Replica(f"r{which}.{self.generation}", old.offset, old.rate)

    @rule(which=REPLICAS)
    def does_all_it_can(self, which: int) -> None:
        """The usual course, so that leadership is common and not a stroke of luck."""
        self.reads(which)
        self.sends_a_bid(which)
        self.the_bid_arrives(which)
        self.the_answer_arrives(which)

    @precondition(lambda self: hasattr(self, "replicas"))
    @invariant()
    def at_most_one_leads(self) -> None:
        leaders = [replica.name for replica in self.replicas if replica.candidacy.leads(replica.now(self.time))]
        assert len(leaders) <= 1, leaders


TestTwoCandidates = TwoCandidates.TestCase


def elected(cell: Cell, name: str, now: float) -> Candidacy:
    candidacy = Candidacy(name, TIMINGS)
    candidacy.observe(cell.record, now, now)
    bid = candidacy.bid(now, WALL)
    assert bid is not None
    stored = cell.swap(bid)
    assert stored is not None
    candidacy.won(stored, now)
    return candidacy


def test_the_first_to_come_leads() -> None:
    cell = Cell()

    assert elected(cell, "a", 0).leads(0)
    assert cell.record == LeaseRecord("a", 15, 0, WALL, WALL, "1")


def test_a_leader_stops_at_its_deadline_and_another_may_follow_only_after_the_duration() -> None:
    cell = Cell()
    first, second = elected(cell, "a", 0), Candidacy("b", TIMINGS)
    second.observe(cell.record, 0, 0)

    assert [first.leads(9.9), first.leads(10)] == [True, False]
    assert second.bid(14.9, WALL) is None
    late = second.bid(15, WALL)
    assert late is not None
    assert (late.holder, late.transitions) == ("b", 1)


def test_a_candidate_counts_from_its_own_first_sight_and_not_from_the_holder_s_wall_clock() -> None:
    cell = Cell()
    elected(cell, "a", 0)
    second = Candidacy("b", TIMINGS)
    second.observe(cell.record, 1000, 1000)

    assert second.bid(1014, WALL) is None


def test_a_renewal_that_is_seen_starts_the_wait_anew() -> None:
    cell = Cell()
    first, second = elected(cell, "a", 0), Candidacy("b", TIMINGS)
    second.observe(cell.record, 0, 0)
    renewal = first.bid(8, WALL + timedelta(seconds=8))
    assert renewal is not None
    assert cell.swap(renewal) is not None
    second.observe(cell.record, 8, 8)

    assert second.bid(16, WALL) is None


def test_a_released_lease_is_free_at_once() -> None:
    cell = Cell()
    first, second = elected(cell, "a", 0), Candidacy("b", TIMINGS)
    released = first.resign(WALL)
    assert released is not None
    assert cell.swap(released) is not None
    second.observe(cell.record, 1, 1)

    assert not first.leads(1)
    assert released.holder == NOBODY
    assert second.bid(1, WALL) is not None


def test_a_leader_that_sees_another_holder_stops_at_once() -> None:
    cell = Cell()
    first = elected(cell, "a", 0)
    first.observe(LeaseRecord("b", 15, 1, WALL, WALL, "9"), 1, 1)

    assert not first.leads(1)
    assert first.resign(WALL) is None


def test_a_renewal_that_changed_nothing_is_none() -> None:
    """The API server keeps the version when the content is the same: nobody can have seen it."""
    cell = Cell()
    candidacy = elected(cell, "a", 0)
    assert cell.record is not None
    candidacy.won(cell.record, asked_at=8)

    assert not candidacy.leads(10)


def test_the_time_to_lead_counts_from_the_request_and_not_from_the_answer() -> None:
    cell = Cell()
    candidacy = Candidacy("a", TIMINGS)
    bid = candidacy.bid(100, WALL)
    assert bid is not None
    stored = cell.swap(bid)
    assert stored is not None
    candidacy.won(stored, asked_at=100)

    assert candidacy.seconds_left(109) == 1


@pytest.mark.parametrize(
    ("duration", "deadline", "retry"),
    [
        pytest.param(10, 10, 2, id="a deadline as long as the duration"),
        pytest.param(15, 2, 2, id="no retry before the deadline"),
        pytest.param(15, 10, 0, id="no pause between attempts"),
    ],
)
def test_timings_under_which_two_could_lead_are_refused(duration: int, deadline: float, retry: float) -> None:
    with pytest.raises(ValueError, match="must fall"):
        LeaseTimings(duration, deadline, retry)
