"""The elector: it bears what networks do, and stops in time."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from structlog.testing import capture_logs

from tinker_operator.engine.elector import Elector, LeadershipLost
from tinker_operator.engine.kube_errors import KubeUnavailable, WriteConflict
from tinker_operator.engine.lease import NOBODY, LeaseRecord, LeaseTimings

pytestmark = pytest.mark.pure

Clock = Callable[[], float]
WALL = datetime(2026, 1, 1, tzinfo=UTC)


class SharedCell:
    """A record under compare-and-swap, which can be made unreachable or silent."""

    def __init__(self) -> None:
        self.record: LeaseRecord | None = None
        self.versions = 0
        self.unreachable = False
        self.silent = False

    async def _answer(self) -> None:
        if self.silent:
            await asyncio.Event().wait()
        if self.unreachable:
            raise KubeUnavailable("No answer.", "Wait.")

    async def read(self) -> LeaseRecord | None:
        await self._answer()
        return self.record

    async def write(self, record: LeaseRecord) -> LeaseRecord:
        await self._answer()
        if record.resource_version != (self.record.resource_version if self.record else ""):
            raise WriteConflict("Another wrote.", "Read.")
        self.versions += 1  # the wall clock of these tests stands still: every write counts as a change
        self.record = replace(record, resource_version=str(self.versions))
        return self.record


def elector(cell: SharedCell, name: str, clock: Clock, timings: LeaseTimings | None = None) -> Elector:
    return Elector(cell, name, timings=timings or LeaseTimings(), monotonic=clock, clock=lambda: WALL)


async def hold_until_lost(candidate: Elector, clock: Clock) -> float:
    with pytest.raises(LeadershipLost):
        await candidate.hold()
    return clock()


def test_one_leads_and_the_other_takes_over_after_a_crash(run_jumping: Any) -> None:
    async def main(clock: Clock) -> None:
        cell = SharedCell()
        first, second = elector(cell, "a", clock), elector(cell, "b", clock)
        await first.acquire()
        holding = asyncio.create_task(first.hold())
        waiting = asyncio.create_task(second.acquire())
        await asyncio.sleep(60)
        assert [first.leads(), second.leads()] == [True, False]

        holding.cancel()
        crashed_at = clock()
        await waiting
        assert 13 <= clock() - crashed_at <= 19
        assert [first.leads(), second.leads()] == [False, True]

    run_jumping(main)


def test_a_release_hands_over_within_one_retry(run_jumping: Any) -> None:
    async def main(clock: Clock) -> None:
        cell = SharedCell()
        first, second = elector(cell, "a", clock), elector(cell, "b", clock)
        await first.acquire()
        waiting = asyncio.create_task(second.acquire())
        await asyncio.sleep(1)
        await first.release()
        await waiting

        assert clock() <= 3

    run_jumping(main)


@pytest.mark.parametrize("fault", ["unreachable", "silent"])
def test_an_api_server_that_is_away_for_less_than_the_deadline_is_borne(run_jumping: Any, fault: str) -> None:
    async def main(clock: Clock) -> None:
        cell = SharedCell()
        candidate = elector(cell, "a", clock)
        await candidate.acquire()
        holding = asyncio.create_task(candidate.hold())
        await asyncio.sleep(5)
        setattr(cell, fault, True)
        await asyncio.sleep(4)
        setattr(cell, fault, False)
        await asyncio.sleep(60)

        assert not holding.done()
        assert candidate.leads()
        holding.cancel()

    run_jumping(main)


@pytest.mark.parametrize("fault", ["unreachable", "silent"])
def test_an_api_server_that_is_away_for_longer_costs_the_lease_in_time(run_jumping: Any, fault: str) -> None:
    """Ten seconds after the last renewal at the latest, which is before anybody else may lead."""

    async def main(clock: Clock) -> None:
        cell = SharedCell()
        candidate = elector(cell, "a", clock)
        await candidate.acquire()
        setattr(cell, fault, True)

        assert await hold_until_lost(candidate, clock) == pytest.approx(10)
        assert not candidate.leads()

    with capture_logs() as logs:
        run_jumping(main)
    assert [line["event"] for line in logs] == ["lease_acquired", "lease_attempt_failed", "lease_lost"]


def test_the_deadline_is_kept_though_it_falls_between_two_attempts(run_jumping: Any) -> None:
    async def main(clock: Clock) -> None:
        cell = SharedCell()
        candidate = elector(cell, "a", clock, LeaseTimings(15, 10, 3))
        await candidate.acquire()
        cell.unreachable = True

        assert await hold_until_lost(candidate, clock) == pytest.approx(10)

    run_jumping(main)


def test_a_leader_whose_lease_was_taken_stops_at_its_next_renewal(run_jumping: Any) -> None:
    async def main(clock: Clock) -> None:
        cell = SharedCell()
        candidate = elector(cell, "a", clock)
        await candidate.acquire()
        cell.record = LeaseRecord("b", 15, 1, WALL, WALL, "99")

        assert await hold_until_lost(candidate, clock) == pytest.approx(2)

    run_jumping(main)


def test_a_leader_bears_that_somebody_else_touched_the_record(run_jumping: Any) -> None:
    """A label on the Lease changes its version, and not who holds it."""

    async def main(clock: Clock) -> None:
        cell = SharedCell()
        candidate = elector(cell, "a", clock)
        await candidate.acquire()
        assert cell.record is not None
        cell.record = replace(cell.record, resource_version="99")
        holding = asyncio.create_task(candidate.hold())
        await asyncio.sleep(30)

        assert candidate.leads()
        holding.cancel()

    run_jumping(main)


def test_of_two_that_create_the_record_at_once_one_leads(run_jumping: Any) -> None:
    async def main(clock: Clock) -> None:
        cell = SharedCell()
        both = [elector(cell, name, clock) for name in "ab"]
        tasks = [asyncio.create_task(candidate.acquire()) for candidate in both]
        await asyncio.sleep(1)

        assert sum(candidate.leads() for candidate in both) == 1
        for task in tasks:
            task.cancel()

    run_jumping(main)


def test_a_release_that_cannot_be_told_ends_soon(run_jumping: Any) -> None:
    async def main(clock: Clock) -> None:
        cell = SharedCell()
        candidate = elector(cell, "a", clock)
        await candidate.acquire()
        cell.silent = True
        await candidate.release()

        assert clock() == 2
        assert not candidate.leads()

    run_jumping(main)


def test_who_never_led_releases_nothing(run_jumping: Any) -> None:
    async def main(clock: Clock) -> None:
        cell = SharedCell()
        first, second = elector(cell, "a", clock), elector(cell, "b", clock)
        await first.acquire()
        await second.release()

        assert cell.record is not None
        assert cell.record.holder not in {NOBODY, "b"}

    run_jumping(main)


def test_a_candidate_waits_out_an_api_server_that_is_not_there_yet(run_jumping: Any) -> None:
    async def main(clock: Clock) -> None:
        cell = SharedCell()
        cell.unreachable = True
        candidate = elector(cell, "a", clock)
        waiting = asyncio.create_task(candidate.acquire())
        await asyncio.sleep(600)
        cell.unreachable = False
        await waiting

        assert clock() <= 602

    with capture_logs() as logs:
        run_jumping(main)
    assert [line["event"] for line in logs] == ["lease_attempt_failed", "lease_acquired"], "a complaint is made once"
