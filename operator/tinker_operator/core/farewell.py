"""What becomes of the checkpoints of a TrainingRun that is being deleted: spec.deletionPolicy.

A finalizer holds the deletion up for that, and is there only where the policy asks for it. What the user would have to
mend first, or what lasts longer than an hour, ends the wait: a deletion that hangs is worse than a checkpoint that
stays, and a namespace that goes takes the Secret with the key along.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tinker_operator.api.meta import GROUP, OWNER_KEY
from tinker_operator.api.reasons import Reason
from tinker_operator.api.recovery_spec import RecoveryMode
from tinker_operator.api.run_spec import DeletionPolicy, ManagementPolicy
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.core.identity import owner_of
from tinker_operator.core.policy_group import is_pinned, is_training
from tinker_operator.core.policy_references import References, followed_runs
from tinker_operator.core.seen import answered
from tinker_operator.core.world import (
    Absent,
    Answer,
    CheckpointsOf,
    DeleteCheckpoint,
    DeleteTrainerJob,
    Fault,
    JobPhase,
    JobsSeen,
    ObservedCheckpoint,
    ObservedRun,
    Question,
    RunView,
    TrainerJobs,
)

FINALIZER = f"{GROUP}/checkpoints"
"""Holds the deletion of a TrainingRun up until its checkpoints are gone."""
_NOT_ASKED = Fault(Reason.OBSERVING, "The service has not been asked yet.")
PATIENCE = timedelta(hours=1)
"""How long trouble of the service may hold a deletion up."""


@dataclass(frozen=True, slots=True)
class FarewellSeen:
    """What was observed for an object that is being deleted.

    Attributes:
        cluster_id: First part of the owner key.
        views: What is known of each run of its lineage.
        others: What all other TrainingRuns refer to.
        unreadable: Why what others refer to is not known; None when it is.
        answers: Listings had so far in this round.
    """

    cluster_id: str
    views: Mapping[str, RunView]
    others: References
    unreadable: Fault | None = None
    answers: Mapping[Question, Answer] = field(default_factory=dict)

    def ask(self, question: Question) -> Answer:
        """Returns the answer.

        Raises:
            Unanswered: It has not been asked in this round.
        """
        return answered(self.answers, question)


@dataclass(frozen=True, slots=True)
class Farewell:
    """What to do before the object may go.

    Attributes:
        actions: Trainer Jobs to delete, and when there are none, checkpoints, the oldest first.
        over: Whether nothing holds the deletion up any more.
        fault: Why it cannot be told now what is to be deleted.
    """

    actions: tuple[DeleteCheckpoint, ...] | tuple[DeleteTrainerJob, ...] = ()
    over: bool = False
    fault: Fault | None = None


def wants_finalizer(run: TrainingRun) -> bool:
    """Tells whether the object's deletion has to wait for its checkpoints."""
    spec = run.spec
    return spec.deletion_policy is DeletionPolicy.DELETE and spec.management_policy is ManagementPolicy.FULL


def plan_farewell(run: TrainingRun, seen: FarewellSeen, now: datetime) -> Farewell:
    """Decides about an object that is being deleted.

    Args:
        run: The object.
        seen: What was observed.
        now: The time of the decision.

    Raises:
        Unanswered: A listing must be read first.
    """
    if not wants_finalizer(run):
        return Farewell(over=True)
    found = seen.unreadable or _loops(run, seen) or _going(run, seen)
    if isinstance(found, Fault):
        since = run.metadata.deletion_timestamp or now
        mine = found.needs_user and found is not seen.unreadable
        return Farewell(over=mine or now - since > PATIENCE, fault=found)
    return Farewell(actions=found, over=not found)


def _loops(run: TrainingRun, seen: FarewellSeen) -> tuple[DeleteTrainerJob, ...] | Fault | None:
    """A trainer Job goes first, pods and all: its loop would save on after the checkpoints were listed."""
    if run.spec.recovery.mode is not RecoveryMode.RELAUNCH:
        return None
    answer = seen.ask(TrainerJobs())
    if isinstance(answer, Fault):
        return answer
    jobs = answer.jobs if isinstance(answer, JobsSeen) else ()
    ending = [one.name for one in jobs if one.phase is JobPhase.DELETING]
    if ending:
        return Fault(Reason.DELETING, f"Job {', '.join(sorted(ending))} has to end first, with every pod of it.")
    return tuple(DeleteTrainerJob(one.name, one.uid) for one in jobs) or None


def goes(checkpoint: ObservedCheckpoint, others: References) -> bool:
    """Tells whether a checkpoint goes with the object: nobody else needs it, as far as anybody has said so."""
    referred = any(checkpoint.path in paths for paths in others.named.values())
    followed = {checkpoint.run_id} & (others.recovering | others.followers.keys())
    return is_training(checkpoint) and not (checkpoint.public or is_pinned(checkpoint) or referred or followed)


def _going(run: TrainingRun, seen: FarewellSeen) -> tuple[DeleteCheckpoint, ...] | Fault:
    going: list[ObservedCheckpoint] = []
    for run_id in followed_runs(run):
        view = seen.views.get(run_id)
        if view is None or isinstance(view, Fault):
            return view or _NOT_ASKED
        if not isinstance(view, ObservedRun) or _is_foreign(run, view, seen.cluster_id):
            continue
        listed = _listed(seen, run_id)
        if isinstance(listed, Fault):
            return listed
        going.extend(one for one in listed if goes(one, seen.others))
    return tuple(DeleteCheckpoint(one.path, one.run_id, one.time, one.size_bytes) for one in _oldest_first(going))


def _is_foreign(run: TrainingRun, view: ObservedRun, cluster_id: str) -> bool:
    """A run that carries another object's owner key is that object's, whatever this one has followed."""
    return view.metadata.get(OWNER_KEY) not in {None, owner_of(run, cluster_id)}


def _listed(seen: FarewellSeen, run_id: str) -> tuple[ObservedCheckpoint, ...] | Fault:
    match seen.ask(CheckpointsOf(run_id)):
        case Fault() as fault:
            return fault
        case tuple() as listed:
            return listed
        case Absent():
            return ()
        case other:
            raise AssertionError(f"not a listing: {other}")


def _oldest_first(checkpoints: Iterable[ObservedCheckpoint]) -> list[ObservedCheckpoint]:
    return sorted(checkpoints, key=lambda one: (one.time.timestamp() if one.time else 0.0, one.path))
