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
from tinker_operator.api.export_status import EXPORTS_LIMIT, ExportRecord, ExportState
from tinker_operator.api.meta import ConditionStatus
from tinker_operator.api.policy_status import CheckpointPolicyStatus
from tinker_operator.api.reasons import ConditionType, Reason
from tinker_operator.core.conditions import Finding, next_conditions
from tinker_operator.core.export_choice import wanted_now
from tinker_operator.core.export_job import job_name, shown_target
from tinker_operator.core.export_turns import HELD_UP_SECONDS, OPEN, Turn, beginning, in_turn, is_held_up
from tinker_operator.core.policy import PolicyPlan
from tinker_operator.core.policy_concern_findings import told_before
from tinker_operator.core.policy_judgement import Judged
from tinker_operator.core.policy_seen import gravity
from tinker_operator.core.policy_verdicts import identity
from tinker_operator.core.world import Fault

LOOK_SECONDS: Final = 10.0
"""How often a Job that runs is looked at."""
ATTEMPTS: Final = 5
"""Attempts for one generation of the policy."""
_LOOK_AT_ONCE: Final = 1.0
_FIRST_WAIT: Final = 60
_LONGEST_WAIT: Final = 3600


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
        due: Those whose Jobs are to be made or looked at.
        waiting: Whether more is wanted than has begun.
        full: Whether that is because status has no room for more.
        unseen: Why the checkpoints of some TrainingRun cannot be seen; None when all are.
    """

    records: tuple[ExportRecord, ...] = ()
    due: tuple[Turn, ...] = ()
    waiting: bool = False
    full: bool = False
    unseen: Fault | None = None


def plan_export(policy: CheckpointPolicy, plan: PolicyPlan, now: datetime) -> ExportPlan:
    """Returns what stands in status next, and which Jobs to see to: no more at once than the policy says.

    Nothing begins for a TrainingRun whose view is not complete; what has begun goes on.

    Args:
        policy: The policy.
        plan: What retention saw and judged in this round.
        now: The time, timezone-aware.
    """
    export, stood = policy.spec.export, policy.status.exports
    if export is None:
        going = tuple(it for it in stood if it.state in OPEN)
        return ExportPlan(going, tuple(Turn(it, make=False) for it in going))
    target, most = shown_target(export), export.parallelism
    wanted = {identity(one.checkpoint): one for one in wanted_now(policy, export, plan)}
    known = [_revived(it, policy, now) for it in stood if _stays(it, plan, wanted, target)]
    opened = [it for it in stood if it in known and it.state in OPEN]
    if policy.spec.suspend:
        running = (it for it in opened if it.state is ExportState.RUNNING)
        return ExportPlan(tuple(known), tuple(Turn(it, make=False) for it in running))
    sought = {it for it in opened if identity(it) in wanted or it.training_run in plan.gaps}
    due = tuple(Turn(it, it.target == target and it in sought) for it in in_turn(opened, most, now))
    there = {identity(it) for it in known if it.target == target}
    held = {it.training_run for it in known if is_held_up(it)}
    fresh = [one for key, one in wanted.items() if key not in there and one.training_run not in held]
    begun = [_begun(policy, one, target) for one in beginning(known, fresh, most)]
    unseen = min(plan.gaps.values(), key=gravity, default=None)
    waiting = len(fresh) > len(begun)
    return ExportPlan((*known, *begun), due, waiting, waiting and len(known) >= EXPORTS_LIMIT, unseen)


def seen_to(plan: ExportPlan, turn: Turn, seen: JobFate | Fault, now: datetime) -> ExportPlan:
    """Returns the plan with what is known of a Job.

    Args:
        plan: The plan.
        turn: Whose Job.
        seen: What became of it; a fault when it could not be made or looked at, which is tried again.
        now: The time.
    """
    changed = _after(turn.record, seen, now)
    return replace(plan, records=tuple(changed if it == turn.record else it for it in plan.records))


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
        return status.model_copy(update={"exports": tuple(it for it in plan.records if it.state in OPEN)})
    finding = _finding(policy, plan)
    told = next_conditions(policy.status.conditions, (finding,), generation=policy.metadata.generation, now=now)
    return status.model_copy(update={"exports": plan.records, "conditions": (*status.conditions, *told)})


def look_again(policy: CheckpointPolicy, status: CheckpointPolicyStatus, now: datetime) -> float | None:
    """Returns in how many seconds exports need another look; None for not before something changes."""
    times = [it.next_attempt_time for it in status.exports if it.next_attempt_time is not None]
    waits = [(time - now).total_seconds() for time in times if not policy.spec.suspend]
    waits += [
        _LOOK_AT_ONCE if it not in policy.status.exports else HELD_UP_SECONDS if it.message else LOOK_SECONDS
        for it in status.exports
        if it.state in OPEN
    ]
    # The next one begins when the last has ended.
    waits += [
        _LOOK_AT_ONCE for it in status.exports if it.state is ExportState.SUCCEEDED and it not in policy.status.exports
    ]
    return max(_LOOK_AT_ONCE, min(waits)) if waits else None


def _stays(
    record: ExportRecord,
    plan: PolicyPlan,
    wanted: Mapping[tuple[str, datetime | None, int | None], Judged],
    target: str,
) -> bool:
    """What is there is remembered while it is listed, what failed while it is wanted.

    What has begun stays until its end is seen: a Job may run that status does not know of, when the write after the
    making of it was lost.
    """
    found = identity(record)
    if record.state in OPEN or record.training_run in plan.gaps:
        return True
    if record.state is ExportState.SUCCEEDED:
        return any(identity(one.checkpoint) == found for one in plan.judged) and record.target == target
    return found in wanted and record.target == target


def _begun(policy: CheckpointPolicy, one: Judged, target: str) -> ExportRecord:
    path, time, size = identity(one.checkpoint)
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
    marks = {
        "state": ExportState.PENDING,
        "message": "",
        "attempt": attempt,
        "next_attempt_time": None,
        "finished_at": None,
    }
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


def _finding(policy: CheckpointPolicy, plan: ExportPlan) -> Finding:
    kind, false = ConditionType.EXPORTED, ConditionStatus.FALSE
    failed = sorted(it.message for it in plan.records if it.state is ExportState.FAILED and it.message)
    if failed:
        return Finding(kind, false, Reason.EXPORT_FAILED, f"{failed[0]} Correct what it says, then change the policy.")
    held = sorted(it.message for it in plan.records if it.state in OPEN and it.message)
    if held:
        return Finding(kind, false, Reason.EXPORT_HELD_UP, held[0])
    if plan.full:
        message = f"Status has no room for more than {EXPORTS_LIMIT} exports; keep fewer checkpoints, or export Latest."
        return Finding(kind, false, Reason.EXPORT_HELD_UP, message)
    if plan.waiting or any(it.state in OPEN for it in plan.records):
        return Finding(kind, false, Reason.EXPORTING, "A checkpoint is being exported, as status.exports shows.")
    if policy.spec.suspend:
        return Finding(kind, false, Reason.SUSPENDED, "spec.suspend is true, so no export begins.")
    if plan.unseen is not None:
        return told_before(policy, kind) or Finding(
            kind, ConditionStatus.UNKNOWN, plan.unseen.reason, plan.unseen.message
        )
    return Finding(kind, ConditionStatus.TRUE, Reason.EXPORTED, "Every checkpoint that is to be exported is exported.")
