"""The decision of a CheckpointPolicy: what to delete now, and what its status says.

The policy controller calls `plan_policy`, performs the plan's actions, asks `conclude` when to look again, and
writes `next_policy_status`. A dry run prints the plan of the same call. Deletions are announced in status first
(`policy_journal`) and judged once more right before they happen (`still_due`).
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain

from tinker_operator.api.checkpoint_policy import CheckpointPolicy
from tinker_operator.api.policy_status import SHOWN_LIMIT, CheckpointPolicyStatus, MarkedCheckpoint
from tinker_operator.core.conditions import next_conditions
from tinker_operator.core.plan import AT_ONCE, Plan
from tinker_operator.core.policy_expiry import expiring, extensions
from tinker_operator.core.policy_journal import DELETIONS_PER_PASS, Fates, announced, fates, next_journal
from tinker_operator.core.policy_judgement import Judged, deletable, deleter_of, judge_governed, policy_key
from tinker_operator.core.policy_neighbourhood import concerning
from tinker_operator.core.policy_pace import allowance, next_counts, next_deletions, next_marks, ripe
from tinker_operator.core.policy_seen import Governed, PolicySeen, gap, governed_by, gravity, is_bound, lets_go
from tinker_operator.core.policy_shown import deleted_entry, shown
from tinker_operator.core.policy_standing import Facts, policy_findings
from tinker_operator.core.world import (
    DeleteCheckpoint,
    Done,
    Fault,
    ObservedCheckpoint,
    Outcome,
    Performed,
    PreconditionFailed,
    SetCheckpointTtl,
)

SHORTEST_INTERVAL_SECONDS = 5.0
"""Listings cost more than a look at a run, so a policy looks no more often than this."""


@dataclass(frozen=True, slots=True)
class PolicyPlan:
    """What to do now, and what status needs to tell of it.

    Attributes:
        plan: The extensions and deletions of this pass, and when to look again if all of them succeed.
        judged: The checkpoints of every TrainingRun whose view is complete, newest first.
        gaps: Why a view is not complete, by the name of the TrainingRun.
        pending: What this policy is going to delete, in order, this pass's deletions among it.
        ripe: What of it has waited out its grace period.
        marks: What waits out its grace period, since when.
        soon: What stays by this policy and expires within a day.
        fates: What became of checkpoints that were announced and are not deleted in this pass.
        left_to: The older policies, as namespace/name, that delete what this one lets go too.
        interval: Seconds until the next look when there is nothing more to do; None for never.
        blind: True when there is something to list and no view is complete.
    """

    plan: Plan
    judged: tuple[Judged, ...]
    gaps: Mapping[str, Fault]
    pending: tuple[Judged, ...]
    ripe: tuple[Judged, ...]
    marks: tuple[MarkedCheckpoint, ...]
    soon: tuple[Judged, ...]
    fates: Fates
    left_to: tuple[str, ...]
    interval: float | None
    blind: bool

    def training_run_of(self, path: str) -> str:
        """Returns the name of the TrainingRun that an action's path belongs to: act with its credentials.

        Raises:
            StopIteration: The path is neither pending nor expiring.
        """
        return next(one.training_run for one in chain(self.soon, self.pending) if one.checkpoint.path == path)


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
    marks = next_marks(policy, pending, gaps, now)
    waited, known = ripe(policy, marks, pending, now), fates(policy.status.deleting, governed, gaps)
    may = allowance(policy, len(known.vanished) + len(known.unclear), now)
    now_due, soon = announced(policy.status.deleting, waited)[:may], expiring(judged, now)
    more = min(len(waited), may) > len(now_due) and len(known.unclear) < DELETIONS_PER_PASS
    interval = _interval(governed)
    return PolicyPlan(
        plan=Plan(
            actions=(*extensions(policy, soon, now), *(_deletion(one.checkpoint) for one in now_due)),
            wake_after=AT_ONCE if more else interval,
            retry=any(not missing.needs_user for missing in gaps.values()),
        ),
        judged=judged,
        gaps=gaps,
        pending=pending,
        ripe=waited,
        marks=marks,
        soon=soon,
        fates=known,
        left_to=left_to,
        interval=interval,
        blind=_is_blind(governed, gaps),
    )


def still_due(
    action: DeleteCheckpoint | SetCheckpointTtl,
    judged: CheckpointPolicy,
    policy: CheckpointPolicy | None,
    seen: PolicySeen,
    now: datetime,
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
    return same and action in plan_policy(policy, concerning(action, policy, seen), now).plan.actions


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
    left = [one for one in plan.ripe if not _is_settled(outcomes.get(one.checkpoint.path))]
    deleted = (*(deleted_entry(it, now) for it in plan.fates.vanished), *(deleted_entry(it, now) for it in gone))
    governed = governed_by(policy, seen)
    waiting = len(plan.pending) > len(plan.ripe)
    facts = Facts(len(governed), _troubles(plan, outcomes), len(plan.ripe) > len(gone), plan.left_to, waiting)
    return _told(policy, plan, outcomes).model_copy(
        update={
            "observed_generation": generation,
            "conditions": next_conditions(
                before.conditions, policy_findings(policy, facts), generation=generation, now=now
            ),
            "training_runs": len(governed),
            "deleted_total": before.deleted_total + len(deleted),
            "marked": _unless(plan.marks, {one.checkpoint.path for one in gone}),
            "recent_deletions": next_counts(before, len(deleted), now),
            "deleting": next_journal(before.deleting, plan.fates.unclear, left),
            "deleted": (*before.deleted, *deleted)[-SHOWN_LIMIT:],
        }
    )


def _told(policy: CheckpointPolicy, plan: PolicyPlan, outcomes: Mapping[str, Outcome]) -> CheckpointPolicyStatus:
    """Returns what there is to show of the checkpoints; as it was when there is nothing to see."""
    if plan.blind:
        return policy.status
    done = {path for path, outcome in outcomes.items() if isinstance(outcome, Done)}
    gone = done & {one.checkpoint.path for one in plan.pending}
    soon = [one for one in plan.soon if one.checkpoint.path not in done]
    going = [one for one in plan.pending or deletable(plan.judged) if one.checkpoint.path not in gone]
    status = shown(plan.judged, gone, soon, plan.marks)
    return status.model_copy(update={"next_deletions": next_deletions(policy, plan.marks, going)})


def _unless(marks: Iterable[MarkedCheckpoint], gone: Container[str]) -> tuple[MarkedCheckpoint, ...]:
    return tuple(it for it in marks if it.path not in gone)


def _shared_out(
    policy: CheckpointPolicy, due: Sequence[Judged], seen: PolicySeen
) -> tuple[tuple[Judged, ...], tuple[str, ...]]:
    """Returns what this policy deletes, and the names of the policies that delete the rest."""
    parts = {(one.checkpoint.run_id, one.checkpoint.kind) for one in due}
    deleters, own = {part: deleter_of(*part, policy, seen) for part in parts}, policy_key(policy)
    others = sorted({deleter for deleter in deleters.values() if deleter != own})
    mine = tuple(one for one in due if deleters[one.checkpoint.run_id, one.checkpoint.kind] == own)
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
    paths = ((one.action, one.outcome) for one in performed)
    return {it.path: outcome for it, outcome in paths if isinstance(it, DeleteCheckpoint | SetCheckpointTtl)}


def _is_settled(outcome: Outcome | None) -> bool:
    """What turned out to be another checkpoint, kept or gone is judged anew before it is announced again."""
    return isinstance(outcome, Done | PreconditionFailed)


def _troubles(plan: PolicyPlan, outcomes: Mapping[str, Outcome]) -> dict[str, Fault]:
    found: dict[str, Fault] = {}
    for path, outcome in outcomes.items():
        if isinstance(outcome, Fault):
            name = plan.training_run_of(path)
            found[name] = min(found.get(name, outcome), outcome, key=gravity)
    return {**found, **plan.gaps}
