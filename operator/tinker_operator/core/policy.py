"""The decision of a CheckpointPolicy: what to delete now, and what its status says.

The policy controller calls `plan_policy`, performs the plan's actions, asks `conclude` when to look again, and
writes `next_policy_status`. A dry run prints the plan of the same call. Deletions are announced in status first
(`policy_journal`) and judged once more right before they happen (`still_due`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from tinker_operator.api.checkpoint_policy import (
    SHOWN_LIMIT,
    CheckpointPolicy,
    CheckpointPolicyStatus,
    DeletedCheckpoint,
    DeletingCheckpoint,
    DueCheckpoint,
    KeptCheckpoint,
)
from tinker_operator.core.conditions import next_conditions
from tinker_operator.core.plan import AT_ONCE, Plan
from tinker_operator.core.policy_journal import DELETIONS_PER_PASS, Fates, announced, fates, next_journal
from tinker_operator.core.policy_judgement import Judged, deletable, deleter_of, judge_governed, policy_key
from tinker_operator.core.policy_seen import Governed, PolicySeen, gap, governed_by, gravity, is_bound, lets_go
from tinker_operator.core.policy_standing import Facts, policy_findings
from tinker_operator.core.retention import Due, Kept
from tinker_operator.core.world import (
    DeleteCheckpoint,
    Done,
    Fault,
    ObservedCheckpoint,
    Outcome,
    Performed,
    PreconditionFailed,
)

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
        fates: What became of checkpoints that were announced and are not deleted in this pass.
        left_to: The older policies, as namespace/name, that delete what this one lets go too.
        interval: Seconds until the next look when there is nothing more to do; None for never.
        blind: True when there is something to list and no view is complete.
    """

    plan: Plan
    judged: tuple[Judged, ...]
    gaps: Mapping[str, Fault]
    pending: tuple[Judged, ...]
    fates: Fates
    left_to: tuple[str, ...]
    interval: float | None
    blind: bool

    def training_run_of(self, path: str) -> str:
        """Returns the name of the TrainingRun that a path to delete belongs to: delete it with its credentials.

        Raises:
            StopIteration: The path is not pending.
        """
        return next(one.training_run for one in self.pending if one.checkpoint.path == path)


def plan_policy(policy: CheckpointPolicy, seen: PolicySeen, now: datetime) -> PolicyPlan:
    """Returns what to delete now: what status announces and what is due still, oldest first.

    Nothing of a TrainingRun whose view is incomplete is due, nor what an older policy deletes.

    Args:
        policy: The policy.
        seen: What was observed; the order within it does not matter.
        now: The time to judge at, timezone-aware.
    """
    governed = governed_by(policy, seen)
    gaps = {one.run.metadata.name: missing for one in governed if (missing := gap(one)) is not None}
    judged = judge_governed(policy, governed, gaps, seen, now)
    pending, left_to = _shared_out(policy, deletable(judged) if lets_go(policy) else (), seen)
    now_due, known = announced(policy.status.deleting, pending), fates(policy.status.deleting, governed, gaps)
    more = len(pending) > len(now_due) and len(known.unclear) < DELETIONS_PER_PASS
    interval = _interval(governed)
    return PolicyPlan(
        plan=Plan(
            actions=tuple(_deletion(one.checkpoint) for one in now_due),
            wake_after=AT_ONCE if more else interval,
            retry=any(not missing.needs_user for missing in gaps.values()),
        ),
        judged=judged,
        gaps=gaps,
        pending=pending,
        fates=known,
        left_to=left_to,
        interval=interval,
        blind=_is_blind(governed, gaps),
    )


def still_due(
    action: DeleteCheckpoint, judged: CheckpointPolicy, policy: CheckpointPolicy | None, seen: PolicySeen, now: datetime
) -> bool:
    """Tells whether a deletion that was planned may happen still.

    Args:
        action: The deletion.
        judged: The policy that it was planned for.
        policy: The same policy as it is now; None when it is gone.
        seen: What is known now.
        now: The time to judge at.
    """
    if policy is None or policy.metadata.uid != judged.metadata.uid:
        return False
    same = policy.metadata.generation == judged.metadata.generation
    return same and action in plan_policy(policy, seen, now).plan.actions


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
    outcomes, before, generation = _by_path(performed), policy.status, policy.metadata.generation
    gone = [one for one in plan.pending if isinstance(outcomes.get(one.checkpoint.path), Done)]
    left = [one for one in plan.pending if not _is_settled(outcomes.get(one.checkpoint.path))]
    deleted = (*(_deleted(it, now) for it in plan.fates.vanished), *(_deleted(_due(one), now) for one in gone))
    governed = governed_by(policy, seen)
    facts = Facts(len(governed), _troubles(plan, outcomes), len(plan.pending) > len(gone), plan.left_to)
    findings = policy_findings(policy, facts)
    return (before if plan.blind else _shown(plan.judged, gone)).model_copy(
        update={
            "observed_generation": generation,
            "conditions": next_conditions(before.conditions, findings, generation=generation, now=now),
            "training_runs": len(governed),
            "deleted_total": before.deleted_total + len(deleted),
            "deleting": next_journal(before.deleting, plan.fates.unclear, left),
            "deleted": (*before.deleted, *deleted)[-SHOWN_LIMIT:],
        }
    )


def _shared_out(
    policy: CheckpointPolicy, due: Sequence[Judged], seen: PolicySeen
) -> tuple[tuple[Judged, ...], tuple[str, ...]]:
    """Returns what this policy deletes, and the names of the policies that delete the rest."""
    deleters = {run_id: deleter_of(run_id, policy, seen) for run_id in {one.checkpoint.run_id for one in due}}
    own = policy_key(policy)
    others = sorted({deleter for deleter in deleters.values() if deleter != own})
    mine = tuple(one for one in due if deleters[one.checkpoint.run_id] == own)
    return mine, tuple("/".join(other) for other in others)


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


def _is_settled(outcome: Outcome | None) -> bool:
    """What turned out to be another checkpoint, kept or gone is judged anew before it is announced again."""
    return isinstance(outcome, Done | PreconditionFailed)


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


def _deleted(one: DueCheckpoint | DeletingCheckpoint, now: datetime) -> DeletedCheckpoint:
    return DeletedCheckpoint(path=one.path, time=one.time, training_run=one.training_run, deleted_at=now)
