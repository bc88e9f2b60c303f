"""What a CheckpointPolicy exports now, and what its status says of it.

An export is written into status before its Job is made, so its checkpoint is protected from then on. What is at the
target is remembered for as long as the service lists the checkpoint, so nothing is exported twice.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from tinker_operator.api.checkpoint_policy import CheckpointPolicy
from tinker_operator.api.export_spec import Export, ExportWhat
from tinker_operator.api.export_status import EXPORTS_LIMIT, ExportRecord, ExportState
from tinker_operator.api.meta import ConditionStatus
from tinker_operator.api.policy_status import CheckpointPolicyStatus, KeepReason
from tinker_operator.api.reasons import ConditionType, Reason
from tinker_operator.core.conditions import Finding, next_conditions
from tinker_operator.core.export_job import job_name, shown_target
from tinker_operator.core.metrics import metric_value, rank_of
from tinker_operator.core.policy import PolicyPlan
from tinker_operator.core.policy_judgement import Judged
from tinker_operator.core.retention import Kept
from tinker_operator.core.world import Fault

LOOK_SECONDS: Final = 10.0
"""How often a Job that runs is looked at."""
ATTEMPTS: Final = 5
"""Attempts for one generation of the policy."""
_LOOK_AT_ONCE: Final = 1.0
_HELD_UP_SECONDS: Final = 60.0
_FIRST_WAIT: Final = 60
_LONGEST_WAIT: Final = 3600
_OPEN: Final = (ExportState.PENDING, ExportState.RUNNING)


class JobFate(StrEnum):
    """What became of a Job."""

    MADE = "Made"
    """It is there and has not ended."""
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    GONE = "Gone"
    """It was deleted before its end was seen."""


@dataclass(frozen=True, slots=True)
class ExportPlan:
    """What to do about exports now.

    Attributes:
        records: The exports as they are to stand in status, before what is seen of the Job below.
        due: The one whose Job is to be made or looked at; it stood in status when the round began.
        full: Whether status has no room for more.
    """

    records: tuple[ExportRecord, ...] = ()
    due: ExportRecord | None = None
    full: bool = False


def plan_export(policy: CheckpointPolicy, plan: PolicyPlan, now: datetime) -> ExportPlan:
    """Returns what stands in status next, and which Job to see to: one at a time.

    Nothing begins for a TrainingRun whose view is not complete; what has begun goes on.

    Args:
        policy: The policy.
        plan: What retention saw and judged in this round.
        now: The time, timezone-aware.
    """
    export = policy.spec.export
    if export is None:
        return ExportPlan()
    target = shown_target(export)
    wanted = {_identity(one): one for one in _wanted(policy, export, plan)}
    known = [_revived(it, policy, now) for it in policy.status.exports if _stays(it, plan, wanted, target)]
    due = next((it for it in policy.status.exports if it in known and it.state in _OPEN), None)
    if policy.spec.suspend:
        return ExportPlan(tuple(known), due if due is not None and due.state is ExportState.RUNNING else None)
    there = {(it.path, it.time, it.size_bytes) for it in known if it.target == target}
    fresh = [one for identity, one in wanted.items() if identity not in there]
    begun = not any(it.state in _OPEN for it in known)
    full = len(known) >= EXPORTS_LIMIT
    if fresh and begun and not full:
        known.append(_begun(policy, fresh[0], target))
    return ExportPlan(tuple(known), due, full and bool(fresh))


def seen_to(plan: ExportPlan, seen: JobFate | Fault, now: datetime) -> ExportPlan:
    """Returns the plan with what is known of its Job.

    Args:
        plan: The plan.
        seen: What became of it; a fault when it could not be made or looked at, which is tried again.
        now: The time.
    """
    due = plan.due
    if due is None:
        return plan
    changed = _after(due, seen, now)
    return replace(plan, records=tuple(changed if it == due else it for it in plan.records))


def export_status(
    policy: CheckpointPolicy, plan: ExportPlan, status: CheckpointPolicyStatus, now: datetime
) -> CheckpointPolicyStatus:
    """Returns a policy's status with what it says of exports.

    Args:
        policy: The policy, with the status that stands.
        plan: The plan of this round, with what was seen.
        status: The rest of its status.
        now: Time of a condition's change.
    """
    if policy.spec.export is None:
        return status.model_copy(update={"exports": ()})
    finding = _finding(plan)
    told = next_conditions(policy.status.conditions, (finding,), generation=policy.metadata.generation, now=now)
    return status.model_copy(update={"exports": plan.records, "conditions": (*status.conditions, *told)})


def look_again(policy: CheckpointPolicy, status: CheckpointPolicyStatus, now: datetime) -> float | None:
    """Returns in how many seconds exports need another look; None for not before something changes."""
    if policy.spec.export is None:
        return None
    waits = [(it.next_attempt_time - now).total_seconds() for it in status.exports if it.next_attempt_time is not None]
    waits += [
        _LOOK_AT_ONCE if it not in policy.status.exports else _HELD_UP_SECONDS if it.message else LOOK_SECONDS
        for it in status.exports
        if it.state in _OPEN
    ]
    # The next one begins when the last has ended.
    waits += [
        _LOOK_AT_ONCE for it in status.exports if it.state is ExportState.SUCCEEDED and it not in policy.status.exports
    ]
    return max(_LOOK_AT_ONCE, min(waits)) if waits else None


def _wanted(policy: CheckpointPolicy, export: Export, plan: PolicyPlan) -> list[Judged]:
    """Returns what is to be at the target, oldest first; never what has no certain time, or is about to go."""
    going = {one.checkpoint.path for one in plan.pending}
    stays = [it for it in reversed(plan.judged) if it.checkpoint.path not in going and it.checkpoint.time is not None]
    if export.what is ExportWhat.ALL:
        return stays
    best = policy.spec.retention.keep_best
    chosen: dict[str, Judged] = {}
    for one in stays:
        if export.what is ExportWhat.LATEST:
            chosen[one.training_run] = one
        elif best is not None and isinstance(one.judgement, Kept) and KeepReason.KEEP_BEST in one.judgement.because:
            value, former = metric_value(one.checkpoint, best.metric), chosen.get(one.training_run)
            beaten = metric_value(former.checkpoint, best.metric) if former is not None else None
            better = beaten is None or (
                value is not None and rank_of(value, best.metric) <= rank_of(beaten, best.metric)
            )
            if value is not None and better:
                chosen[one.training_run] = one
    return list(chosen.values())


def _identity(one: Judged) -> tuple[str, datetime | None, int | None]:
    return one.checkpoint.path, one.checkpoint.time, one.checkpoint.size_bytes


def _stays(
    record: ExportRecord,
    plan: PolicyPlan,
    wanted: Mapping[tuple[str, datetime | None, int | None], Judged],
    target: str,
) -> bool:
    """What runs is watched to its end; what is there is remembered while it is listed, the rest while it is wanted."""
    identity = (record.path, record.time, record.size_bytes)
    if record.state is ExportState.RUNNING or record.training_run in plan.gaps:
        return True
    if record.state is ExportState.SUCCEEDED:
        return any(_identity(one) == identity for one in plan.judged) and record.target == target
    return identity in wanted and record.target == target


def _begun(policy: CheckpointPolicy, one: Judged, target: str) -> ExportRecord:
    path, time, size = _identity(one)
    record = ExportRecord(
        path=path,
        time=time,
        size_bytes=size,
        training_run=one.training_run,
        target=target,
        job="",
        generation=policy.metadata.generation,
    )
    return record.model_copy(update={"job": job_name(policy, record)})


def _revived(record: ExportRecord, policy: CheckpointPolicy, now: datetime) -> ExportRecord:
    """One that failed is tried again when its time has come, and at once when the policy was changed."""
    changed = record.generation != policy.metadata.generation
    due = record.next_attempt_time is not None and record.next_attempt_time <= now
    if record.state is not ExportState.FAILED or policy.spec.suspend or not (changed or due):
        return record
    attempt = 1 if changed else record.attempt + 1
    marks = {"state": ExportState.PENDING, "attempt": attempt, "next_attempt_time": None, "finished_at": None}
    again = record.model_copy(update={**marks, "generation": policy.metadata.generation})
    return again.model_copy(update={"job": job_name(policy, again)})


def _after(record: ExportRecord, seen: JobFate | Fault, now: datetime) -> ExportRecord:
    if isinstance(seen, Fault):
        return record.model_copy(update={"message": seen.message})
    if seen is JobFate.MADE:
        return record.model_copy(update={"state": ExportState.RUNNING, "message": ""})
    if seen is JobFate.SUCCEEDED:
        done = {"state": ExportState.SUCCEEDED, "message": "", "finished_at": now, "next_attempt_time": None}
        return record.model_copy(update=done)
    why = "failed: see the log of its Pod" if seen is JobFate.FAILED else "was deleted before it was seen to end"
    wait = timedelta(seconds=min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** (record.attempt - 1)))
    again = now + wait if record.attempt < ATTEMPTS else None
    told = {"state": ExportState.FAILED, "message": f"Job {record.job} {why}.", "finished_at": now}
    return record.model_copy(update={**told, "next_attempt_time": again})


def _finding(plan: ExportPlan) -> Finding:
    kind, false = ConditionType.EXPORTED, ConditionStatus.FALSE
    failed = sorted(it.message for it in plan.records if it.state is ExportState.FAILED and it.message)
    if failed:
        return Finding(kind, false, Reason.EXPORT_FAILED, f"{failed[0]} Correct what it says, then change the policy.")
    held = sorted(it.message for it in plan.records if it.state in _OPEN and it.message)
    if held:
        return Finding(kind, false, Reason.EXPORT_HELD_UP, held[0])
    if plan.full:
        message = f"Status has no room for more than {EXPORTS_LIMIT} exports; keep fewer checkpoints, or export Latest."
        return Finding(kind, false, Reason.EXPORT_HELD_UP, message)
    if any(it.state in _OPEN for it in plan.records):
        return Finding(kind, false, Reason.EXPORTING, "A checkpoint is being exported, as status.exports shows.")
    return Finding(kind, ConditionStatus.TRUE, Reason.EXPORTED, "Every checkpoint that is to be exported is exported.")
