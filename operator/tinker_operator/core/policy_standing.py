"""What a CheckpointPolicy's conditions say: an ordered chain of checks over the facts of one pass.

Messages name TrainingRuns and labels in sorted order and hold neither times nor counters, so that they stand still
while nothing changes.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from tinker_operator.api.checkpoint_policy import CheckpointPolicy
from tinker_operator.api.meta import ConditionStatus
from tinker_operator.api.reasons import ConditionType, Reason
from tinker_operator.api.retention_spec import RetentionAction
from tinker_operator.core.conditions import Finding, Standing, findings_of, standing_findings
from tinker_operator.core.policy_seen import gravity
from tinker_operator.core.world import Fault

_MESSAGE_LIMIT = 4096
"""Characters that metav1.Condition allows in a message."""
_FAULT_LIMIT = 1024
"""Characters of a fault's message, so that the names beside it fit."""
_TOLD_HERE = frozenset({ConditionType.STALLED, ConditionType.RECONCILING, ConditionType.READY, ConditionType.SYNCED})
_NAMED_LIMIT = 5
"""TrainingRuns that a message names."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the conditions are made from.

    Attributes:
        governed: How many TrainingRuns the selector matches.
        troubles: What went wrong, by the name of the TrainingRun: an incomplete view, or a deletion that failed.
        pending: Whether checkpoints remain that this policy is going to delete.
        left_to: The older policies, as namespace/name, that delete what this one lets go too.
        waiting: Whether checkpoints wait out their grace period.
    """

    governed: int
    troubles: Mapping[str, Fault]
    pending: bool
    left_to: tuple[str, ...] = ()
    waiting: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """How the policy stands, and why."""

    standing: Standing
    reason: Reason
    message: str


def policy_findings(policy: CheckpointPolicy, facts: Facts) -> tuple[Finding, ...]:
    """Returns Ready with its companion, and Synced: one legal set whatever the facts are.

    While a service has not been asked yet, as after a start of the operator, what was told before stands.
    """
    status = policy.status
    unasked = any(fault.reason is Reason.OBSERVING for fault in facts.troubles.values())
    told = findings_of(status.conditions) if status.observed_generation == policy.metadata.generation else ()
    if unasked and told:
        return tuple(finding for finding in told if finding.type in _TOLD_HERE)
    verdict = next(found for check in _CHECKS if (found := check(policy, facts)) is not None)
    return (*standing_findings(verdict.standing, verdict.reason, clipped(verdict.message)), _synced(facts))


def clipped(message: str, limit: int = _MESSAGE_LIMIT) -> str:
    """Returns the message, cut with an ellipsis where it is longer than `limit` characters."""
    return message if len(message) <= limit else f"{message[: limit - 1]}…"


def _suspended(policy: CheckpointPolicy, _facts: Facts) -> Verdict | None:
    if not policy.spec.suspend:
        return None
    message = "spec.suspend is true, so nothing is deleted; status shows the plan. Set it to false to go on."
    return Verdict(Standing.HELD, Reason.SUSPENDED, message)


def _no_runs(policy: CheckpointPolicy, facts: Facts) -> Verdict | None:
    if facts.governed:
        return None
    labels = sorted(f"{key}={value}" for key, value in policy.spec.selector.match_labels.items())
    return Verdict(Standing.CURRENT, Reason.NO_RUNS, _nothing_matches(policy.metadata.namespace, labels))


def _nothing_matches(namespace: str, labels: list[str]) -> str:
    if not labels:
        return f"Namespace {namespace} has no TrainingRun; the policy takes effect when there is one."
    asked = clipped(", ".join(labels), _FAULT_LIMIT)
    return f"No TrainingRun of namespace {namespace} carries {asked}. Label one, or change spec.selector.matchLabels."


def _troubled(_policy: CheckpointPolicy, facts: Facts) -> Verdict | None:
    if not facts.troubles:
        return None
    worst = _worst(facts.troubles)
    return Verdict(Standing.STALLED if worst.needs_user else Standing.IN_PROGRESS, worst.reason, _told(facts.troubles))


def _deleting(_policy: CheckpointPolicy, facts: Facts) -> Verdict | None:
    if not facts.pending:
        return None
    message = "Checkpoints that nothing keeps are being deleted, oldest first, at most maxDeletionsPerHour."
    return Verdict(Standing.IN_PROGRESS, Reason.DELETING, message)


def _settled(policy: CheckpointPolicy, facts: Facts) -> Verdict:
    if policy.spec.retention.action is RetentionAction.REPORT:
        message = "Nothing is deleted: spec.retention.action is Report. status.due shows what Delete would delete."
        return Verdict(Standing.CURRENT, Reason.REPORTED, message)
    if facts.waiting:
        message = "What nothing keeps waits out its grace period, as status.nextDeletions shows; the rest is in order."
        return Verdict(Standing.CURRENT, Reason.ENFORCED, message)
    if facts.left_to:
        message = f"What is still due is left to an older policy that lets it go too: {', '.join(facts.left_to)}."
        return Verdict(Standing.CURRENT, Reason.ENFORCED, message)
    return Verdict(Standing.CURRENT, Reason.ENFORCED, "Every governed checkpoint is as the policy says.")


_CHECKS: tuple[Callable[[CheckpointPolicy, Facts], Verdict | None], ...] = (
    _suspended,
    _no_runs,
    _troubled,
    _deleting,
    _settled,
)
"""The first that has something to say decides; the last one always has."""


def _synced(facts: Facts) -> Finding:
    if not facts.troubles:
        message = "The service lists the checkpoints of every governed TrainingRun."
        return Finding(ConditionType.SYNCED, ConditionStatus.TRUE, Reason.OBSERVED, message)
    worst = _worst(facts.troubles)
    status = ConditionStatus.UNKNOWN if worst.reason is Reason.OBSERVING else ConditionStatus.FALSE
    return Finding(ConditionType.SYNCED, status, worst.reason, clipped(_told(facts.troubles)))


def _worst(troubles: Mapping[str, Fault]) -> Fault:
    return min(troubles.values(), key=gravity)


def _told(troubles: Mapping[str, Fault]) -> str:
    worst = _worst(troubles)
    same = [name for name, fault in troubles.items() if gravity(fault) == gravity(worst)]
    others = [name for name, fault in troubles.items() if gravity(fault) != gravity(worst)]
    also = f" {_names(others)}: in trouble too." if others else ""
    held = "Nothing is deleted there until this is over."
    return f"{_names(same)}: {clipped(worst.message, _FAULT_LIMIT)} {held}{also}"


def _names(names: Iterable[str]) -> str:
    ordered = sorted(names)
    more = " and others" if len(ordered) > _NAMED_LIMIT else ""
    return f"TrainingRun{'s' if len(ordered) > 1 else ''} {', '.join(ordered[:_NAMED_LIMIT])}{more}"
