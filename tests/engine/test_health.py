"""What probes are told, as a table: who is alive, and who is ready."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from tests.engine.test_engine import Clock, FakeCluster, Replica

from tinker_operator.engine.health import END_SECONDS, Health, Vitals, liveness, readiness

pytestmark = pytest.mark.pure

NOW = 10_000.0
WELL = Vitals(synced=True, leading=True, listed_at=NOW - 5, resync_seconds=300.0)
STANDBY = replace(WELL, leading=False)


@pytest.mark.parametrize(
    ("vitals", "well", "told"),
    [
        pytest.param(None, False, "waits for the API server", id="the API server has not answered yet"),
        pytest.param(replace(WELL, synced=False, listed_at=None), False, "lists", id="the store is not filled yet"),
        pytest.param(WELL, True, "leads", id="it leads"),
        pytest.param(STANDBY, True, "stands by", id="a standby with a warm store is ready"),
        pytest.param(replace(STANDBY, listed_at=NOW - 900), True, "stands by", id="two listings were missed"),
        pytest.param(replace(STANDBY, listed_at=NOW - 901), False, "too long", id="three listings were missed"),
        pytest.param(replace(WELL, listed_at=NOW - 901), True, "leads", id="a leader does the work all the same"),
        pytest.param(replace(WELL, listed_at=None), True, "leads", id="all was listed, though not in one round"),
    ],
)
def test_it_is_ready_who_leads_or_could(vitals: Vitals | None, well: bool, told: str) -> None:
    found = readiness(vitals, NOW)
    assert (found.well, told in found.told) == (well, True)


@pytest.mark.parametrize(
    ("ended_at", "well"),
    [
        pytest.param(None, True, id="the engine runs, or waits for an API server, which a restart would not mend"),
        pytest.param(NOW - END_SECONDS, True, id="the engine has just ended, and the process follows"),
        pytest.param(NOW - END_SECONDS - 1, False, id="the engine ended and the process stays"),
    ],
)
def test_it_is_alive_who_need_not_be_restarted(ended_at: float | None, well: bool) -> None:
    assert liveness(ended_at, NOW).well is well


def test_of_two_replicas_both_are_ready_and_one_leads(run_jumping: Any) -> None:
    """Before the first listing neither is; after the end the leader neither leads nor is ready, and the other does."""

    async def main(clock: Clock) -> None:
        cluster = FakeCluster(clock)
        first, second = Replica("a", cluster, clock), Replica("b", cluster, clock)
        healths = [Health(clock), Health(clock)]
        for health, replica in zip(healths, (first, second), strict=True):
            health.begun(replica.engine.vitals)
        assert [each.readiness().well for each in healths] == [False, False]
        await asyncio.sleep(60)
        assert [each.readiness().well for each in healths] == [True, True]
        assert [each.leading for each in healths].count(True) == 1
        leader = next(index for index, each in enumerate(healths) if each.leading)
        await (first, second)[leader].end()
        healths[leader].ended()
        await asyncio.sleep(60)
        assert [each.leading for each in healths] == [index != leader for index in range(2)]
        assert healths[leader].readiness().told == "ends"
        await (first, second)[1 - leader].end()

    run_jumping(main)
