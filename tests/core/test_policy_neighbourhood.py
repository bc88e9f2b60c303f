"""Right before a deletion the rest of the cluster may speak of the checkpoint: whoever can, is heard."""

from collections.abc import Mapping

import pytest
from tests.core.strategies_policy import NOW, UNREACHABLE, World, checkpoint, path, policy, training_run

from tinker_operator.api.policy_status import CheckpointPolicyStatus, DeletingCheckpoint
from tinker_operator.api.recovery_spec import Recovery
from tinker_operator.core.policy import plan_policy, still_due
from tinker_operator.core.policy_neighbourhood import concerning
from tinker_operator.core.world import DeleteCheckpoint, Fault, ObservedCheckpoint, ObservedRun, SetCheckpointTtl

pytestmark = pytest.mark.pure

OLD, NEW = checkpoint("old", 9), checkpoint("new")
STRAY = checkpoint("old", 9, run_id="r2", path=path("r1", "old"))
FAR = checkpoint("far", 1, run_id="r2")
DELETION = DeleteCheckpoint(OLD.path, "r1", OLD.time, OLD.size_bytes)
ENTRY = DeletingCheckpoint(path=OLD.path, time=OLD.time, training_run="sft", size_bytes=OLD.size_bytes)
ANNOUNCED = policy(status=CheckpointPolicyStatus(deleting=(ENTRY,)))
NEXT_DOOR = training_run("other", lineage=("r2",), current="r2", recovery=Recovery(enabled=True))
SHARES = training_run("other", lineage=("r1", "r2"), current="r2")


def world(
    other: tuple[ObservedCheckpoint, ...] = (FAR,),
    view: ObservedRun | None = None,
    run: object = NEXT_DOOR,
    faults: Mapping[tuple[str, str], tuple[Fault | None, Fault | None]] | None = None,
) -> World:
    views = {"r1": ObservedRun("r1", "m"), "r2": view or ObservedRun("r2", "m")}
    return World((ANNOUNCED,), (training_run(), run), {"r1": (OLD, NEW), "r2": other}, views, faults or {})  # type: ignore[arg-type]


CASES = [
    pytest.param(world(), True, id="a neighbour that has nothing to do with it does not matter"),
    pytest.param(world((FAR, STRAY)), False, id="a neighbour that lists it too makes its age unproven"),
    pytest.param(
        world(view=ObservedRun("r2", "m", corrupted=True, last_checkpoint=OLD)),
        False,
        id="a corrupted run whose last checkpoint it is keeps it",
    ),
    pytest.param(
        world(run=SHARES, faults={("other", "r2"): (UNREACHABLE, UNREACHABLE)}),
        False,
        id="a TrainingRun that follows its run and cannot be seen whole holds it up",
    ),
    pytest.param(world(run=SHARES), True, id="one that can be seen, and lets it go, does not"),
]


@pytest.mark.parametrize(("given", "due"), CASES)
def test_who_can_speak_of_a_checkpoint_is_heard_before_it_goes(given: World, due: bool) -> None:
    assert still_due(DELETION, ANNOUNCED, ANNOUNCED, given.seen(), NOW) is due
    assert (DELETION in plan_policy(ANNOUNCED, given.seen(), NOW).plan.actions) is due


def test_who_cannot_is_not_asked() -> None:
    """That is what makes it quick; a new expiry is judged over everything."""
    seen = world().seen()
    assert [one.run.metadata.name for one in concerning(DELETION, ANNOUNCED, seen).governed] == ["sft"]
    assert concerning(SetCheckpointTtl(OLD.path, None), ANNOUNCED, seen) is seen
