"""What a plan says, in a form that programs can rely on: `kubectl tinker plan -o json`.

It is made from the very plan that the operator acts on (`plan_policy`), so the two cannot differ. Fields are only ever
added to it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import Field

from tinker_operator.api.checkpoint_policy import CheckpointPolicy
from tinker_operator.api.meta import GROUP, VERSION, ApiModel
from tinker_operator.api.policy_status import DueRule, KeepReason
from tinker_operator.api.reasons import Reason
from tinker_operator.api.retention_spec import RetentionAction
from tinker_operator.core.policy import PolicyPlan, plan_policy
from tinker_operator.core.policy_judgement import Judged, deletable
from tinker_operator.core.policy_pace import Identity, since
from tinker_operator.core.policy_seen import PolicySeen, governed_by, lets_go
from tinker_operator.core.retention import Kept
from tinker_operator.core.world import CheckpointKind


class Fate(StrEnum):
    """What becomes of a checkpoint."""

    STAYS = "Stays"
    """Something keeps it."""

    GOES = "Goes"
    """It is deleted as soon as maxDeletionsPerHour allows."""

    WAITS = "Waits"
    """It is deleted when its grace period has ended."""

    WOULD_GO = "WouldGo"
    """Nothing keeps it, and this policy deletes nothing: its action is Report, or it is suspended."""

    LEFT = "Left"
    """Nothing keeps it, and an older policy deletes it."""

    WITHHELD = "Withheld"
    """Nothing keeps it, and another TrainingRun that follows its run cannot be seen whole now."""


class PlannedCheckpoint(ApiModel):
    """A governed checkpoint and what becomes of it."""

    path: str = Field(description="Path at the service.")
    training_run: str = Field(description="Name of the TrainingRun that it belongs to.")
    type: CheckpointKind = Field(description="training, sampler or external.")
    time: datetime | None = Field(default=None, description="When it was saved.")
    size_bytes: int | None = Field(default=None, description="Size in bytes, if the service tells.")
    expires_at: datetime | None = Field(default=None, description="When the service deletes it by itself.")
    fate: Fate = Field(description="What becomes of it.")
    because: tuple[KeepReason, ...] = Field(default=(), description="Every rule and protection that keeps it.")
    rule: DueRule | None = Field(default=None, description="Why it goes.")
    not_before: datetime | None = Field(default=None, description="When its grace period ends, if one has begun.")
    was: Fate | None = Field(default=None, description="What becomes of it by the policy as it is in the cluster.")


class Gap(ApiModel):
    """A TrainingRun that cannot be seen whole: nothing of it is planned."""

    training_run: str = Field(description="Its name.")
    reason: Reason = Field(description="Why, in a word of status conditions.")
    message: str = Field(description="Why, and what to do about it.")


class Sum(ApiModel):
    """How many, and how big."""

    checkpoints: int = Field(description="How many.")
    bytes: int = Field(description="Their bytes, as far as the service tells sizes.")
    of_unknown_size: int = Field(description="How many of them have no known size.")


class PolicyReport(ApiModel):
    """What one CheckpointPolicy does."""

    namespace: str = Field(description="Namespace of the policy.")
    name: str = Field(description="Name of the policy.")
    action: RetentionAction = Field(description="Report or Delete.")
    suspended: bool = Field(description="Whether spec.suspend holds deletions back.")
    edited: bool = Field(description="Whether the policy is from a file, not as it is in the cluster.")
    training_runs: int = Field(description="TrainingRuns that the selector matches.")
    max_deletions_per_hour: int = Field(description="How many may go within any hour.")
    totals: dict[Fate, Sum] = Field(description="By fate; every fate is there.")
    kept_by_reason: dict[KeepReason, int] = Field(description="How many each reason keeps; one may have several.")
    due_by_rule: dict[DueRule, int] = Field(description="How many nothing keeps, by rule.")
    left_to: tuple[str, ...] = Field(default=(), description="The older policies that delete what is Left.")
    gaps: tuple[Gap, ...] = Field(default=(), description="TrainingRuns that cannot be seen whole.")
    checkpoints: tuple[PlannedCheckpoint, ...] = Field(description="In order: what goes, as it goes; then the newest.")


class PlanReport(ApiModel):
    """What the CheckpointPolicies of a namespace do at a moment."""

    api_version: str = f"{GROUP}/{VERSION}"
    kind: str = "RetentionPlan"
    as_of: datetime = Field(description="The moment that the plan is made for.")
    observed_at: datetime = Field(description="When cluster and service were looked at.")
    policies: tuple[PolicyReport, ...] = Field(description="By name.")


def report_on(
    policy: CheckpointPolicy, seen: PolicySeen, as_of: datetime, before: Mapping[str, Fate] | None = None
) -> PolicyReport:
    """Returns what the policy does at a moment.

    Args:
        policy: The policy.
        seen: What was observed; its policies hold this one as it is here.
        as_of: The moment.
        before: Where this policy is an edited one: what becomes of each checkpoint, by path, by the one that stands.
    """
    plan = plan_policy(policy, seen, as_of)
    fates = _fates(policy, plan)
    ends = _grace_ends(policy, plan)
    entries = tuple(_entry(one, fates[one.checkpoint.path], before or {}, ends) for one in _ordered(plan))
    kept = Counter(reason for entry in entries for reason in entry.because)
    due = Counter(entry.rule for entry in entries if entry.rule is not None)
    return PolicyReport(
        namespace=policy.metadata.namespace,
        name=policy.metadata.name,
        action=policy.spec.retention.action,
        suspended=policy.spec.suspend,
        edited=before is not None,
        training_runs=len(governed_by(policy, seen)),
        max_deletions_per_hour=policy.spec.retention.max_deletions_per_hour,
        totals={fate: _sum(entry for entry in entries if entry.fate is fate) for fate in Fate},
        kept_by_reason={reason: kept[reason] for reason in KeepReason if reason in kept},
        due_by_rule={rule: due[rule] for rule in DueRule if rule in due},
        left_to=plan.left_to,
        gaps=tuple(
            Gap(training_run=name, reason=gap.reason, message=gap.message) for name, gap in sorted(plan.gaps.items())
        ),
        checkpoints=entries,
    )


def fates_of(policy: CheckpointPolicy, seen: PolicySeen, as_of: datetime) -> Mapping[str, Fate]:
    """Returns what becomes of each checkpoint, by path."""
    return _fates(policy, plan_policy(policy, seen, as_of))


def _fates(policy: CheckpointPolicy, plan: PolicyPlan) -> Mapping[str, Fate]:
    """By path. What is beyond maxDeletionsPerHour goes too, only later."""
    pending, ripe = ({one.checkpoint.path for one in its} for its in (plan.pending, plan.ripe))
    return {one.checkpoint.path: _fate(one, policy, pending, ripe) for one in plan.judged}


def _fate(one: Judged, policy: CheckpointPolicy, pending: set[str], ripe: set[str]) -> Fate:
    path = one.checkpoint.path
    if isinstance(one.judgement, Kept):
        return Fate.STAYS
    if path in pending:
        return Fate.GOES if path in ripe else Fate.WAITS
    if one.withheld:
        return Fate.WITHHELD
    return Fate.LEFT if lets_go(policy) else Fate.WOULD_GO


def _ordered(plan: PolicyPlan) -> Iterable[Judged]:
    first = deletable(plan.judged)
    paths = {one.checkpoint.path for one in first}
    return (*first, *(one for one in plan.judged if one.checkpoint.path not in paths))


def _entry(one: Judged, fate: Fate, before: Mapping[str, Fate], ends: Mapping[Identity, datetime]) -> PlannedCheckpoint:
    it = one.checkpoint
    return PlannedCheckpoint(
        path=it.path,
        training_run=one.training_run,
        type=it.kind,
        time=it.time,
        size_bytes=it.size_bytes,
        expires_at=it.expires_at,
        fate=fate,
        because=one.judgement.because if isinstance(one.judgement, Kept) else (),
        rule=None if isinstance(one.judgement, Kept) else one.judgement.rule,
        not_before=ends.get((it.path, it.time, it.size_bytes)) if fate in {Fate.GOES, Fate.WAITS} else None,
        was=before.get(it.path),
    )


def _grace_ends(policy: CheckpointPolicy, plan: PolicyPlan) -> Mapping[Identity, datetime]:
    grace = timedelta(seconds=policy.spec.retention.grace_period_seconds)
    return {which: begun + grace for which, begun in since(plan.marks).items()}


def _sum(entries: Iterable[PlannedCheckpoint]) -> Sum:
    sizes = [entry.size_bytes for entry in entries]
    known = [size for size in sizes if size is not None]
    return Sum(checkpoints=len(sizes), bytes=sum(known), of_unknown_size=len(sizes) - len(known))
