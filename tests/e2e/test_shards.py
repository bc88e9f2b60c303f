"""Two shards become three while runs are lost: each object is in one hand, nothing is lost, nothing is done twice."""

import re
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from tests.e2e.failover import Failover
from tests.e2e.replicas import Replica, another_leads, holder, replicas_of
from tests.e2e.stage import GROUP, Stage, wait_for
from tests.simulator.bare import KEYS, Wire

from playground.controlplane import ControlPlane
from tinker_operator.core.shards import shard_of

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400)]
RUNS = 12
SHARDS = [(0, 2), (1, 2), (0, 3), (1, 3), (2, 3)]
OBJECT = re.compile(r"/(?:trainingruns|checkpointpolicies)/([^/]+)/status")


@pytest.fixture
def world(stage: Stage, control_plane: ControlPlane, tmp_path: Path) -> Iterator[Failover]:
    """All shards of two layouts, none of them started; the stage's own operator has ended."""
    stage.operator.end()
    arguments = [(f"--shard={index}/{count}",) for index, count in SHARDS]
    with replicas_of(stage, control_plane, tmp_path, arguments) as replicas:
        yield Failover(stage, replicas, Random(11))  # noqa: S311 - chance that can be repeated


def worked_on(replica: Replica) -> set[str]:
    """Returns the objects whose status a replica wrote."""
    found = (OBJECT.search(one.target) for one in replica.written)
    return {match.group(1) for match in found if match is not None}


def foreign(world: Failover, replica: Replica) -> list[str]:
    """Returns those of them that belong to another shard."""
    index, count = SHARDS[world.replicas.index(replica)]
    return sorted(name for name in worked_on(replica) if shard_of(world.stage.namespace, name, count) != index)


def lose(world: Failover, names: list[str]) -> None:
    for name in names:
        world.stage.corrupt(world.runs[name])


def test_two_shards_become_three(world: Failover) -> None:
    """One of the old ones is killed, the other frozen; it wakes when the new layout works, and does nothing."""
    stage, (old, new) = world.stage, (world.replicas[:2], world.replicas[2:])
    world.begin(RUNS, old)
    names = list(world.runs)
    lose(world, names[:4])
    wait_for(lambda: not world.unready(1, names[:4]), "recoveries by two shards")
    assert holder(stage) == "2-shards"
    assert set.union(*map(worked_on, old)) == set(names), "all are worked on"

    for replica in new:
        replica.start()
    lose(world, names[4:8])
    old[0].kill()
    wait_for(lambda: len(world.unready(1, names[4:8])) < 4, "the shard that is left goes on")
    assert not any(one.written for one in new), "no shard works beside another layout"
    lose(world, names[8:])
    old[1].freeze()
    assert another_leads(stage, "2-shards") == "3-shards"
    wait_for(lambda: not world.unready(1), "recoveries by three shards", 120)
    assert old[1].thaw() == 1

    world.judge()
    assert [foreign(world, one) for one in world.replicas] == [[]] * len(world.replicas)
    assert set(names[8:]) <= set.union(*map(worked_on, new))
    assert all(holder(stage, f"tinker-operator-shard-{index}") for index in range(3))


def test_a_policy_sees_the_runs_of_other_shards(world: Failover) -> None:
    """Also those behind a key that nobody else in its shard uses; and what they refer to stays."""
    stage, shards = world.stage, world.replicas[:2]
    mine = shard_of(stage.namespace, "keep", 2)
    name = next(f"far-{n}" for n in range(99) if shard_of(stage.namespace, f"far-{n}", 2) != mine)
    wire = Wire(stage.served.url, KEYS[1])
    with wire.http:
        run = wire.run()
        for step in range(4):
            wire.saved(run, f"step-{step}")
    key = {"metadata": {"name": "other"}, "stringData": {"TINKER_API_KEY": KEYS[1]}}
    retention = {"keepLast": 1, "action": "Delete", "gracePeriodSeconds": 0}
    followed = stage.training_run({"credentialsRef": {"name": "other"}, "run": {"trainingRunId": run}}, name)
    stage.apply({"apiVersion": "v1", "kind": "Secret", **key}, followed, stage.policy(retention))
    for replica in shards:
        replica.start()

    wait_for(lambda: stage.status("keep", "checkpointpolicy").get("deletedTotal") == 3, "three deletions", 60)
    assert stage.condition("Ready", "keep", "checkpointpolicy")["status"] == "True"
    assert [foreign(world, one) for one in shards] == [[], []]


def test_two_objects_on_one_lost_run_in_two_shards_make_one_successor(world: Failover) -> None:
    """Though each shard sees seconds later only what the other one does: which is longer than a recovery takes."""
    stage, shards = world.stage, world.replicas[:2]
    run, _ = stage.trained_run(2)
    stage.corrupt(run)
    names = [next(f"twin-{n}" for n in range(99) if shard_of(stage.namespace, f"twin-{n}", 2) == one) for one in (0, 1)]
    for replica in shards:
        replica.watches_late = 8.0
        replica.start()
    wait_for(lambda: all(holder(stage, f"tinker-operator-shard-{one}") for one in (0, 1)), "both shards to be at work")
    stage.apply(*(stage.training_run({"run": {"trainingRunId": run}}, name) for name in names))

    def told() -> list[str]:
        return sorted(stage.condition("Ready", name).get("reason", "") for name in names)

    wait_for(
        lambda: "RunClaimed" in told() and any(stage.status(name).get("recoveries") for name in names), "an end", 60
    )
    mine = [one for one in stage.remote_runs() if f"{GROUP}/owner" in (one["user_metadata"] or {})]
    assert len(mine) == 1
