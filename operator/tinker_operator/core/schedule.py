"""Which CheckpointPolicy says when a TrainingRun's loop saves, and what the others that say so too are told.

The TrainingRun controller puts the deciding schedule into the hand-over; the policy controller shows Conflicted.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from tinker_operator.api.checkpoint_policy import CheckpointPolicy
from tinker_operator.api.meta import ConditionStatus
from tinker_operator.api.policy_status import CheckpointPolicyStatus
from tinker_operator.api.reasons import ConditionType, Reason
from tinker_operator.api.schedule_spec import Schedule
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.core.conditions import Finding, next_conditions
from tinker_operator.core.policy_judgement import policy_key
from tinker_operator.core.policy_seen import PolicySeen, governs

_LATEST = datetime.max.replace(tzinfo=UTC)
_NAMED_LIMIT = 5
"""Policies that a message names."""


@dataclass(frozen=True, slots=True)
class Deciding:
    """The schedule that holds for a TrainingRun.

    Attributes:
        policy: Name of the CheckpointPolicy that it comes from.
        schedule: What it says.
    """

    policy: str
    schedule: Schedule


def deciding(run: TrainingRun, policies: Iterable[CheckpointPolicy]) -> Deciding | None:
    """Returns the schedule that holds for a TrainingRun: that of the oldest policy that has one and governs it.

    A suspended policy takes part: suspend holds deletions back, and whoever pauses those must not thin out the saves.
    One that is being deleted does not.

    Args:
        run: The TrainingRun.
        policies: All that there are; their order does not matter.
    """
    oldest = eldest(run, policies)
    if oldest is None or oldest.spec.schedule is None:
        return None
    return Deciding(oldest.metadata.name, oldest.spec.schedule)


def eldest(run: TrainingRun, policies: Iterable[CheckpointPolicy]) -> CheckpointPolicy | None:
    """Returns the oldest policy that has a schedule and governs a TrainingRun; None when there is none.

    Args:
        run: The TrainingRun.
        policies: All that there are.
    """
    return min((one for one in policies if _takes_part(one) and governs(one, run)), key=seniority, default=None)


def seniority(policy: CheckpointPolicy) -> tuple[datetime, tuple[str, str]]:
    """Returns what the older of two policies has less of."""
    return policy.metadata.creation_timestamp or _LATEST, policy_key(policy)


def with_conflict(
    policy: CheckpointPolicy, status: CheckpointPolicyStatus, seen: PolicySeen, now: datetime
) -> CheckpointPolicyStatus:
    """Returns the status with the condition Conflicted, if the policy has a schedule.

    Ready does not change: what the policy says of retention is in force whoever decides when to save.

    Args:
        policy: The policy, with the status that stands.
        status: The status that is going to be written.
        seen: What was observed.
        now: Becomes the time of the transition, if there is one.
    """
    if policy.spec.schedule is None:
        return status
    told = next_conditions(
        policy.status.conditions, (_conflict(policy, seen),), generation=policy.metadata.generation, now=now
    )
    order = list(ConditionType)
    conditions = sorted((*status.conditions, *told), key=lambda one: order.index(ConditionType(one.type)))
    return status.model_copy(update={"conditions": tuple(conditions)})


def _conflict(policy: CheckpointPolicy, seen: PolicySeen) -> Finding:
    own = policy.metadata.name
    mine = (one.run for one in seen.governed if governs(policy, one.run))
    holding = [held for run in mine if (held := deciding(run, seen.policies)) is not None]
    winners = sorted({held.policy for held in holding} - {own})
    if not winners:
        message = "No older policy with a schedule governs a TrainingRun that this one governs."
        return Finding(ConditionType.CONFLICTED, ConditionStatus.FALSE, Reason.SCHEDULE_IN_FORCE, message)
    more = " and others" if len(winners) > _NAMED_LIMIT else ""
    named = f"CheckpointPolic{'y' if len(winners) == 1 else 'ies'} {', '.join(winners[:_NAMED_LIMIT])}{more}"
    part = "some of" if any(held.policy == own for held in holding) else "all of"
    message = (
        f"The schedule does not hold for {part} the TrainingRuns that the policy governs: the older {named} "
        "says when those save. Remove one schedule, or narrow a selector so that no TrainingRun has two."
    )
    return Finding(ConditionType.CONFLICTED, ConditionStatus.TRUE, Reason.SCHEDULE_OVERRULED, message)


def _takes_part(policy: CheckpointPolicy) -> bool:
    return policy.spec.schedule is not None and policy.metadata.deletion_timestamp is None
