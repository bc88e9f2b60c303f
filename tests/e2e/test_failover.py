"""The leader is killed and frozen while runs are recovered: nothing is lost, nothing is done twice."""

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from tests.e2e.failover import Failover
from tests.e2e.replicas import replicas_of
from tests.e2e.stage import Stage

from playground.controlplane import ControlPlane

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]
RUNS, STRIKES = 12, 4


@pytest.fixture
def failover(stage: Stage, control_plane: ControlPlane, tmp_path: Path) -> Iterator[Failover]:
    """Two replicas in place of the stage's own operator."""
    stage.operator.end()
    with replicas_of(stage, control_plane, tmp_path, [(), ()]) as replicas:
        yield Failover(stage, replicas, Random(7))  # noqa: S311 - chance that can be repeated


def test_a_leader_that_dies_or_freezes_again_and_again_costs_no_run_and_doubles_none(failover: Failover) -> None:
    """A frozen one wakes when another has led for a while, and does nothing of what it was about to do."""
    failover.begin(RUNS)
    failover.run(STRIKES)
    failover.judge()

    assert failover.strikes["frozen"] > 0
    assert failover.strikes["killed"] > 0
    assert all(replica.written for replica in failover.replicas), "each led for a while"
