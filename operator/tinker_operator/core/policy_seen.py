"""What a CheckpointPolicy's decision is made from: its TrainingRuns, their listings, and what is missing of them.

The shell asks `policy_questions`, fills `PolicySeen` and gives it to the planner. Whether a view is complete is
decided here and nowhere else, because nothing may be deleted on an incomplete one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tinker_operator.api.checkpoint_policy import CheckpointPolicy
from tinker_operator.api.reasons import Reason
from tinker_operator.api.retention_spec import RetentionAction
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.core.inventory import CONFIRMED
from tinker_operator.core.policy_group import TRAINING_ONLY, Group, Kinds, group_of
from tinker_operator.core.policy_references import References, followed_runs, run_key
from tinker_operator.core.world import (
    Absent,
    Answer,
    CheckpointsOf,
    Fault,
    ObservedCheckpoint,
    ObservedRun,
    Question,
    RunView,
)

_NOT_YET = Fault(Reason.OBSERVING, "The service has not been asked about every run of the lineage yet.")
_UNCONFIRMED = Fault(Reason.CONFIRMING, "The service does not list the current run; a second look must agree.")
_GONE = Fault(
    Reason.RUN_NOT_FOUND,
    "The service does not have the current run. Point the TrainingRun at a run that exists, or delete it.",
    needs_user=True,
)
_CONTRADICTION = Fault(
    Reason.INCOMPLETE_LISTING,
    "The service lists checkpoints of a run that its listing of runs does not contain; it must agree with itself.",
)


@dataclass(frozen=True, slots=True)
class Governed:
    """A TrainingRun that the policy's selector matches, as it was observed through its own credentials.

    Attributes:
        run: The TrainingRun.
        views: What the service says of each run of its lineage, by run id; a Fault for each if there is no way to ask.
        answers: Answers to its CheckpointsOf questions.
    """

    run: TrainingRun
    views: Mapping[str, RunView] = field(default_factory=dict)
    answers: Mapping[Question, Answer] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PolicySeen:
    """All that is known when a policy is decided upon.

    Attributes:
        governed: The TrainingRuns that the selector matches; one that it does not match is passed over.
        policies: All policies of the cluster: one of another namespace may govern a TrainingRun that shares a run.
        references: What the TrainingRuns of the whole cluster refer to.
    """

    governed: tuple[Governed, ...] = ()
    policies: tuple[CheckpointPolicy, ...] = ()
    references: References = field(default_factory=References)


def governs(policy: CheckpointPolicy, run: TrainingRun) -> bool:
    """Tells whether the policy's selector matches this TrainingRun; never one of another namespace."""
    same_namespace = policy.metadata.namespace == run.metadata.namespace
    return same_namespace and policy.spec.selector.match_labels.items() <= run.metadata.labels.items()


def lets_go(policy: CheckpointPolicy) -> bool:
    """Tells whether the policy deletes at all: action Delete, not suspended, and not on its own way out."""
    deletes = policy.spec.retention.action is RetentionAction.DELETE
    return deletes and not policy.spec.suspend and policy.metadata.deletion_timestamp is None


def policy_questions(
    policy: CheckpointPolicy, governed: Iterable[TrainingRun], answers: Mapping[Question, Answer]
) -> tuple[CheckpointsOf, ...]:
    """Returns what is still to be asked: the listing of each run in the lineage of each governed TrainingRun.

    Ask for one TrainingRun at a time where credentials differ. One that is not bound yet has nothing to ask.

    Args:
        policy: The policy; TrainingRuns that it does not govern are passed over.
        governed: The TrainingRuns to ask for.
        answers: What has been answered already.
    """
    followed = (run_id for run in governed if governs(policy, run) for run_id in followed_runs(run))
    return tuple(question for question in map(CheckpointsOf, dict.fromkeys(followed)) if question not in answers)


def governed_by(policy: CheckpointPolicy, seen: PolicySeen) -> tuple[Governed, ...]:
    """Returns the TrainingRuns that the policy governs, sorted by name."""
    return tuple(sorted((one for one in seen.governed if governs(policy, one.run)), key=lambda one: run_key(one.run)))


def is_bound(one: Governed) -> bool:
    """Tells whether the TrainingRun follows a run at the service yet."""
    return bool(followed_runs(one.run))


def gap(one: Governed) -> Fault | None:
    """Returns what keeps the view of this TrainingRun's checkpoints from being complete, None if it is complete.

    The gravest comes first: what a person must mend, then by reason and message, so that it does not flap.
    """
    found = (missing for run_id in followed_runs(one.run) if (missing := _missing(one, run_id)) is not None)
    return min(found, key=gravity, default=None)


def gravity(fault: Fault) -> tuple[bool, str, str]:
    """Sorts faults, the one to tell about first."""
    return not fault.needs_user, fault.reason, fault.message


def as_group(one: Governed, kinds: Kinds = TRAINING_ONLY) -> Group:
    """Returns the TrainingRun's checkpoints of these kinds, as far as they were listed."""
    followed = followed_runs(one.run)
    current = one.run.status.training_run_id
    return group_of(
        {run_id: _listing(one, run_id) for run_id in followed},
        (view for run_id in followed if isinstance(view := one.views.get(run_id), ObservedRun)),
        (current,) if current is not None and one.run.spec.recovery.enabled else (),
        kinds,
    )


def _listing(one: Governed, run_id: str) -> tuple[ObservedCheckpoint, ...]:
    answer = one.answers.get(CheckpointsOf(run_id))
    return answer if isinstance(answer, tuple) else ()


def _missing(one: Governed, run_id: str) -> Fault | None:
    view, answer = one.views.get(run_id), one.answers.get(CheckpointsOf(run_id))
    troubles = [it for it in (answer, view) if isinstance(it, Fault)]
    if troubles:
        return min(troubles, key=gravity)
    if view is None or not isinstance(answer, Absent | tuple):
        return _NOT_YET
    if run_id == one.run.status.training_run_id:
        return _current_missing(view, answer)
    return _CONTRADICTION if isinstance(view, Absent) and isinstance(answer, tuple) and answer else None


def _current_missing(view: RunView, answer: Answer) -> Fault | None:
    """A current run must be there; a former one may be gone, and its checkpoints with it."""
    absences = [it.agreeing for it in (view, answer) if isinstance(it, Absent)]
    if not absences:
        return None
    return _GONE if max(absences) >= CONFIRMED else _UNCONFIRMED
