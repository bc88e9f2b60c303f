"""What goes with a TrainingRun that is deleted: its own checkpoints that nobody needs. Nothing holds it up for long."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.core.builders import CLUSTER, FIRST, MODEL, START, UNREACHABLE, checkpoint, path_of, training_run

from tinker_operator.api.meta import OWNER_KEY
from tinker_operator.api.policy_status import KeepReason
from tinker_operator.api.reasons import Reason
from tinker_operator.api.run_status import TrainingRunStatus
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.core.farewell import Farewell, FarewellSeen, plan_farewell
from tinker_operator.core.policy_references import References
from tinker_operator.core.world import (
    Absent,
    Answer,
    CheckpointKind,
    CheckpointsOf,
    DeleteCheckpoint,
    DeleteTrainerJob,
    Fault,
    JobPhase,
    JobSeen,
    JobsSeen,
    ObservedCheckpoint,
    ObservedRun,
    Question,
    RunView,
    TrainerJobs,
)

pytestmark = pytest.mark.pure
NOW = START + timedelta(hours=2)
REFUSED = Fault(Reason.UNAUTHORIZED, "The key is refused. Renew it.", needs_user=True)
UNREADABLE = Fault(Reason.INVALID_SPEC, "Something does not parse. Correct it.", needs_user=True)
SEEN = ObservedRun(FIRST, MODEL)
TRAINER: Mapping[str, Any] = {"trainer": {"template": {"spec": {}}}}


def leaving(spec: Mapping[str, Any] | None = None, **recovery: Any) -> TrainingRun:
    """An object that is being deleted, with deletionPolicy Delete unless told otherwise."""
    status = TrainingRunStatus(training_run_id=FIRST, lineage=(FIRST,))
    run = training_run({"deletionPolicy": "Delete", **(spec or {})}, recovery=recovery, status=status)
    return run.model_copy(update={"metadata": run.metadata.model_copy(update={"deletion_timestamp": NOW})})


def seen(
    *listed: ObservedCheckpoint,
    view: RunView = SEEN,
    others: References | None = None,
    unreadable: Fault | None = None,
    answers: Mapping[Question, Answer] | None = None,
) -> FarewellSeen:
    """What is seen of a run with these checkpoints."""
    known = {CheckpointsOf(FIRST): listed, TrainerJobs(): JobsSeen(), **(answers or {})}
    return FarewellSeen(CLUSTER, {FIRST: view}, others or References(), unreadable, known)


def going(farewell: Farewell) -> list[str]:
    return [one.path for one in farewell.actions if isinstance(one, DeleteCheckpoint)]


def named(path: str) -> References:
    return References(named={KeepReason.HANDED_OVER: frozenset({path})})


@pytest.mark.parametrize(
    ("listed", "others", "gone"),
    [
        pytest.param(checkpoint(10), None, True, id="a checkpoint that nobody needs goes"),
        pytest.param(checkpoint(10, public=True), None, False, id="a published one stays"),
        pytest.param(checkpoint(10, metadata={"pinned": "true"}), None, False, id="a pinned one stays"),
        pytest.param(checkpoint(10), named(path_of(10)), False, id="one that another object refers to stays"),
        pytest.param(
            checkpoint(10), References(recovering=frozenset({FIRST})), False, id="a candidate of another stays"
        ),
        pytest.param(
            checkpoint(10), References(followers={FIRST: ()}), False, id="one of a run that another follows stays"
        ),
        pytest.param(checkpoint(10, kind=CheckpointKind.SAMPLER), None, False, id="a sampler's one stays"),
        pytest.param(checkpoint(10, kind=CheckpointKind.UNKNOWN), None, False, id="one of an unknown kind stays"),
    ],
)
def test_what_goes(listed: ObservedCheckpoint, others: References | None, gone: bool) -> None:
    """Only what is the object's alone."""
    farewell = plan_farewell(leaving(), seen(listed, others=others), NOW)

    assert going(farewell) == ([path_of(10)] if gone else [])
    assert farewell.over is not gone


def test_the_oldest_goes_first() -> None:
    """A deletion that is broken off has taken what is needed least."""
    assert going(plan_farewell(leaving(), seen(checkpoint(30), checkpoint(10)), NOW)) == [path_of(10), path_of(30)]


@pytest.mark.parametrize("changes", [{"deletionPolicy": "Retain"}, {"managementPolicy": "ObserveOnly"}])
def test_nothing_goes_unasked(changes: Mapping[str, Any]) -> None:
    """The policy may be changed back while the object waits."""
    assert plan_farewell(leaving(changes), seen(checkpoint(10)), NOW) == Farewell(over=True)


def test_a_foreign_run_keeps_its_checkpoints() -> None:
    """It carries another object's owner key, whatever this one has followed."""
    view = ObservedRun(FIRST, MODEL, metadata={OWNER_KEY: "test/team/other"})

    assert plan_farewell(leaving(), seen(checkpoint(10), view=view), NOW).over


def test_a_run_that_is_gone_holds_nothing_up() -> None:
    """There is nothing left to delete of it."""
    assert plan_farewell(leaving(), seen(view=Absent(2)), NOW).over


@pytest.mark.parametrize(
    ("world", "after", "over"),
    [
        pytest.param(seen(view=UNREACHABLE), 0, False, id="a silent service is waited for"),
        pytest.param(seen(view=UNREACHABLE), 3601, True, id="but not for more than an hour"),
        pytest.param(seen(view=None), 0, False, id="a service that was not asked yet is waited for"),
        pytest.param(seen(view=REFUSED), 0, True, id="a refused key ends the wait: the namespace may be going"),
        pytest.param(
            seen(answers={CheckpointsOf(FIRST): UNREACHABLE}), 0, False, id="a listing that fails is waited for"
        ),
        pytest.param(seen(checkpoint(10), unreadable=UNREADABLE), 0, False, id="another's mistake is waited for"),
        pytest.param(
            seen(checkpoint(10), unreadable=UNREADABLE), 3601, True, id="another's mistake not for ever either"
        ),
    ],
)
def test_trouble(world: FarewellSeen, after: int, over: bool) -> None:
    """Nothing goes on half a view, and no deletion hangs."""
    farewell = plan_farewell(leaving(), world, NOW + timedelta(seconds=after))

    assert farewell.actions == ()
    assert farewell.over is over
    assert farewell.fault is not None


def test_the_loop_goes_before_its_checkpoints() -> None:
    """Its Job first, then its pods, then what it saved."""
    run = leaving(TRAINER, mode="Relaunch")
    job = JobSeen("sft-a1", "uid-1", 1, JobPhase.RUNNING)
    first = plan_farewell(run, seen(checkpoint(10), answers={TrainerJobs(): JobsSeen((job,))}), NOW)
    ending = JobsSeen((replace(job, phase=JobPhase.DELETING),))
    then = plan_farewell(run, seen(checkpoint(10), answers={TrainerJobs(): ending}), NOW)

    assert first.actions == (DeleteTrainerJob("sft-a1", "uid-1"),)
    assert (then.actions, then.over) == ((), False)
    assert going(plan_farewell(run, seen(checkpoint(10)), NOW)) == [path_of(10)]
