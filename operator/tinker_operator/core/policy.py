"""The decision of a CheckpointPolicy: what to delete now, and what its status says.

The policy controller calls `plan_policy`, performs the plan's actions, asks `conclude` when to look again, and
writes `next_policy_status`. A dry run prints the plan of the same call.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from tinker_operator.api.checkpoint_policy import (
    SHOWN_LIMIT,
    CheckpointPolicy,
    CheckpointPolicyStatus,
    DeletedCheckpoint,
    DueCheckpoint,
    KeptCheckpoint,
)
from tinker_operator.core.conditions import next_conditions
from tinker_operator.core.plan import AT_ONCE, Plan
from tinker_operator.core.policy_judgement import Judged, deletable, judge_governed
from tinker_operator.core.policy_seen import Governed, PolicySeen, gap, governed_by, gravity, is_bound, lets_go
from tinker_operator.core.policy_standing import Facts, policy_findings
from tinker_operator.core.retention import Due, Kept
from tinker_operator.core.world import DeleteCheckpoint, Done, Fault, ObservedCheckpoint, Outcome, Performed

DELETIONS_PER_PASS = 10
"""Deletions of one pass: few enough that status keeps up and a change of mind is heeded soon."""
SHORTEST_INTERVAL_SECONDS = 5.0
"""Listings cost more than a look at a run, so a policy looks no more often than this."""


@dataclass(frozen=True, slots=True)
class PolicyPlan:
    """What to do now, and what status needs to tell of it.

    Attributes:
        plan: The deletions of this pass, and when to look again if all of them succeed.
        judged: The checkpoints of every TrainingRun whose view is complete, newest first.
        gaps: Why a view is not complete, by the name of the TrainingRun.
        pending: What this policy is going to delete, oldest first, this pass's deletions among it.
        interval: Seconds until the next look when there is nothing more to do; None for never.
        blind: True when there is something to list and no view is complete.
    """

    plan: Plan
    judged: tuple[Judged, ...]
    gaps: Mapping[str, Fault]
    pending: tuple[Judged, ...]
    interval: float | None
    blind: bool

    def training_run_of(self, path: str) -> str:
        """Returns the name of the TrainingRun that a path to delete belongs to: delete it with its credentials.

        Raises:
            StopIteration: The path is not pending.
        """
        return next(one.training_run for one in self.pending if one.checkpoint.path == path)


def plan_policy(policy: CheckpointPolicy, seen: PolicySeen, now: datetime) -> PolicyPlan:
    """Returns what to delete now: nothing of a TrainingRun whose view is incomplete, the rest oldest first.

    Args:
        policy: The policy.
        seen: What was observed; the order within it does not matter.
        now: The time to judge at, timezone-aware.
    """
    governed = governed_by(policy, seen)
    gaps = {one.run.metadata.name: missing for one in governed if (missing := gap(one)) is not None}
    judged = judge_governed(policy, governed, gaps, seen, now)
    pending = deletable(judged) if lets_go(policy) else ()
    interval = _interval(governed)
    return PolicyPlan(
        plan=Plan(
            actions=tuple(_deletion(one.checkpoint) for one in pending[:DELETIONS_PER_PASS]),
            wake_after=AT_ONCE if len(pending) > DELETIONS_PER_PASS else interval,
            retry=any(not missing.needs_user for missing in gaps.values()),
        ),
        judged=judged,
        gaps=gaps,
        pending=pending,
        interval=interval,
        blind=_is_blind(governed, gaps),
    )


def conclude(plan: PolicyPlan, performed: Iterable[Performed]) -> Plan:
    """Returns the plan as it stands after its actions: when to look again, and whether with a growing back-off.

    A deletion that did not happen is judged anew at the next look and never at once, which would be a busy loop.

    Args:
        plan: The plan of this pass.
        performed: What came of its actions.
    """
    outcomes = [one.outcome for one in performed]
    if all(isinstance(outcome, Done) for outcome in outcomes):
        return plan.plan
    failed = any(isinstance(outcome, Fault) and not outcome.needs_user for outcome in outcomes)
    return replace(plan.plan, wake_after=plan.interval, retry=plan.plan.retry or failed)


def next_policy_status(
    policy: CheckpointPolicy, seen: PolicySeen, plan: PolicyPlan, performed: Iterable[Performed], now: datetime
) -> CheckpointPolicyStatus:
    """Returns the status after this pass; equal to the present one when nothing changed.

    Counts and lists tell of the TrainingRuns whose view is complete. When none is, they stay as they were.

    Args:
        policy: The policy, with the status that stands.
        seen: What the plan was made from.
        plan: The plan of this pass.
        performed: What came of its actions; empty if none was tried.
        now: Time of the deletions, and of a condition's change.
    """
    outcomes = _by_path(performed)
    gone = [one for one in plan.pending if isinstance(outcomes.get(one.checkpoint.path), Done)]
    governed = governed_by(policy, seen)
    findings = policy_findings(
        policy, Facts(len(governed), _troubles(plan, outcomes), pending=len(plan.pending) > len(gone))
    )
    before, generation = policy.status, policy.metadata.generation
    return (before if plan.blind else _shown(plan.judged, gone)).model_copy(
        update={
            "observed_generation": generation,
            "conditions": next_conditions(before.conditions, findings, generation=generation, now=now),
            "training_runs": len(governed),
            "deleted_total": before.deleted_total + len(gone),
            "deleted": (*before.deleted, *(_deleted(one, now) for one in gone))[-SHOWN_LIMIT:],
        }
    )


def _interval(governed: Sequence[Governed]) -> float | None:
    shortest = min((one.run.spec.poll_interval_seconds for one in governed), default=None)
    return None if shortest is None else max(float(shortest), SHORTEST_INTERVAL_SECONDS)


def _is_blind(governed: Sequence[Governed], gaps: Mapping[str, Fault]) -> bool:
    bound = [one.run.metadata.name for one in governed if is_bound(one)]
    return bool(bound) and all(name in gaps for name in bound)


def _deletion(checkpoint: ObservedCheckpoint) -> DeleteCheckpoint:
    return DeleteCheckpoint(checkpoint.path, checkpoint.run_id, checkpoint.time, checkpoint.size_bytes)


def _by_path(performed: Iterable[Performed]) -> dict[str, Outcome]:
    return {one.action.path: one.outcome for one in performed if isinstance(one.action, DeleteCheckpoint)}


def _troubles(plan: PolicyPlan, outcomes: Mapping[str, Outcome]) -> dict[str, Fault]:
    found: dict[str, Fault] = {}
    for one in plan.pending:
        outcome = outcomes.get(one.checkpoint.path)
        if isinstance(outcome, Fault):
            found[one.training_run] = min(found.get(one.training_run, outcome), outcome, key=gravity)
    return {**found, **plan.gaps}


def _shown(judged: Iterable[Judged], gone: Iterable[Judged]) -> CheckpointPolicyStatus:
    left = {one.checkpoint.path: one for one in judged}
    for one in gone:
        del left[one.checkpoint.path]
    kept = [(one, one.judgement) for one in left.values() if isinstance(one.judgement, Kept)]
    due = [one for one in left.values() if isinstance(one.judgement, Due)]
    return CheckpointPolicyStatus(
        checkpoints=len(left),
        kept_count=len(kept),
        due_count=len(due),
        kept_bytes=_bytes(one for one, _ in kept),
        due_bytes=_bytes(due),
        kept=tuple(_kept(one, judgement) for one, judgement in kept[:SHOWN_LIMIT]),
        due=tuple(map(_due, due[:SHOWN_LIMIT])),
    )


def _bytes(judged: Iterable[Judged]) -> int:
    return sum(one.checkpoint.size_bytes or 0 for one in judged)


def _kept(one: Judged, judgement: Kept) -> KeptCheckpoint:
    it = one.checkpoint
    return KeptCheckpoint(path=it.path, time=it.time, training_run=one.training_run, because=judgement.because)


def _due(one: Judged) -> DueCheckpoint:
    it = one.checkpoint
    return DueCheckpoint(path=it.path, time=it.time, training_run=one.training_run, size_bytes=it.size_bytes)


def _deleted(one: Judged, now: datetime) -> DeletedCheckpoint:
    return DeletedCheckpoint(
        path=one.checkpoint.path, time=one.checkpoint.time, training_run=one.training_run, deleted_at=now
    )
