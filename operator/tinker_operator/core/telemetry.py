"""What happened, as values: the difference of two statuses, each transition told once.

Each becomes a Kubernetes Event, a count and a line of the log with the same fields. Nothing is told of a state that
goes on, and nothing before the status that it speaks of was written.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from tinker_operator.api.meta import Condition, ConditionStatus
from tinker_operator.api.reasons import ConditionType, Reason
from tinker_operator.api.recovery_status import InFlightRecovery, RecoveryRecord, RecoveryResult, Verdict
from tinker_operator.api.run_status import TrainerPhase, TrainingRunStatus
from tinker_operator.core.conditions import find_condition


class EventReason(StrEnum):
    """Reasons of events, CamelCase, past tense: only what happened is told."""

    RUN_BOUND = "RunBound"
    RUN_CREATED = "RunCreated"
    RUN_FOLLOWED = "RunFollowed"
    CORRUPTION_DETECTED = "CorruptionDetected"
    LOSS_DETECTED = "LossDetected"
    RECOVERY_STARTED = "RecoveryStarted"
    CHECKPOINT_SKIPPED = "CheckpointSkipped"
    CHECKPOINT_SELECTED = "CheckpointSelected"
    SUCCESSOR_CREATED = "SuccessorCreated"
    TRAINER_LAUNCHED = "TrainerLaunched"
    HANDED_OVER = "HandedOver"
    RECOVERY_COMPLETED = "RecoveryCompleted"
    RECOVERY_FAILED = "RecoveryFailed"
    RECOVERY_EXHAUSTED = "RecoveryExhausted"
    HOOK_DELIVERED = "HookDelivered"
    HOOK_FAILED = "HookFailed"
    HOOK_GIVEN_UP = "HookGivenUp"
    CHECKPOINTS_LEFT = "CheckpointsLeft"
    CHECKPOINT_INVALID = "CheckpointInvalid"
    CHECKPOINT_PROVEN = "CheckpointProven"
    CHECKPOINT_PUBLISHED = "CheckpointPublished"
    CHECKPOINT_UNPUBLISHED = "CheckpointUnpublished"
    SYNC_LOST = "SyncLost"
    SYNC_REGAINED = "SyncRegained"
    STALLED = "Stalled"
    CHECKPOINT_OVERDUE = "CheckpointOverdue"
    CHECKPOINTS_IN_TIME = "CheckpointsInTime"


STEPS = {
    EventReason.CORRUPTION_DETECTED: "detected",
    EventReason.LOSS_DETECTED: "detected",
    EventReason.RECOVERY_STARTED: "started",
    EventReason.CHECKPOINT_SELECTED: "checkpoint_selected",
    EventReason.SUCCESSOR_CREATED: "client_created",
    EventReason.RECOVERY_COMPLETED: "completed",
    EventReason.RECOVERY_FAILED: "failed",
    EventReason.RECOVERY_EXHAUSTED: "exhausted",
}
"""The steps of a recovery under the names that users of Tinker's own recovery policy chart."""


@dataclass(frozen=True, slots=True)
class Told:
    """One thing that happened.

    Attributes:
        reason: What happened.
        note: The sentence that a person reads.
        warning: Whether it is of type Warning.
        fields: What the sentence speaks of, for logs: name and value.
    """

    reason: EventReason
    note: str
    warning: bool = False
    fields: tuple[tuple[str, str | int], ...] = ()


def run_events(before: TrainingRunStatus, after: TrainingRunStatus) -> tuple[Told, ...]:
    """Returns what happened in the step from one status of a TrainingRun to the next, in that order."""
    return (
        *_sync(before.conditions, after.conditions),
        *_bound(before, after),
        *_detected(before, after),
        *_attempt(before.recovery.in_flight, after.recovery.in_flight),
        *_launched(before, after),
        *_ended(before, after),
        *_handed_over(before, after),
        *_hooks(before, after),
        *_stalled(before.conditions, after.conditions),
        *_freshness(before.conditions, after.conditions),
    )


def _status(conditions: tuple[Condition, ...], kind: ConditionType) -> ConditionStatus | None:
    found = find_condition(conditions, kind)
    return found.status if found else None


def _sync(before: tuple[Condition, ...], after: tuple[Condition, ...]) -> Iterator[Told]:
    was, now = _status(before, ConditionType.SYNCED), find_condition(after, ConditionType.SYNCED)
    if now is None or was == now.status:
        return
    if now.status is ConditionStatus.FALSE:
        yield Told(EventReason.SYNC_LOST, f"{now.reason}: {now.message}", warning=True)
    elif was is ConditionStatus.FALSE:
        yield Told(EventReason.SYNC_REGAINED, "The service answers again.")


def _bound(before: TrainingRunStatus, after: TrainingRunStatus) -> Iterator[Told]:
    run_id = after.training_run_id
    if run_id is None or before.training_run_id == run_id:
        return
    fields = (("run", run_id),)
    if before.creation is not None:
        yield Told(EventReason.RUN_CREATED, f"Run {run_id} was created.", fields=fields)
    elif before.training_run_id is None or before.origin != after.origin:
        yield Told(EventReason.RUN_BOUND, f"Run {run_id} is watched from now on.", fields=fields)
    elif after.recoveries == before.recoveries:
        note = f"The training loop went on in run {run_id}, which is watched from now on."
        yield Told(EventReason.RUN_FOLLOWED, note, fields=fields)


def _detected(before: TrainingRunStatus, after: TrainingRunStatus) -> Iterator[Told]:
    lost = after.lost_training_run_id
    if lost is None or lost == before.lost_training_run_id:
        return
    fields = (("run", lost),)
    if _status(after.conditions, ConditionType.CORRUPTED) is ConditionStatus.TRUE:
        note = f"The service flags run {lost} as corrupted."
        yield Told(EventReason.CORRUPTION_DETECTED, note, warning=True, fields=fields)
    else:
        note = f"Complete listings of the service do not contain run {lost} any more."
        yield Told(EventReason.LOSS_DETECTED, note, warning=True, fields=fields)


def _attempt(before: InFlightRecovery | None, after: InFlightRecovery | None) -> Iterator[Told]:
    if after is None:
        return
    known = before if before is not None and before.attempt == after.attempt else None
    fields = (("attempt", after.attempt), ("cause", str(after.cause)), ("lost_run", after.from_training_run_id))
    if known is None:
        why = f" {after.cause_message}" if after.cause_message else ""
        note = f"Attempt {after.attempt} to restore {after.from_training_run_id}: {after.cause}.{why}"
        yield Told(EventReason.RECOVERY_STARTED, note, fields=(*fields, ("mode", str(after.mode))))
    told = {one.checkpoint for one in known.candidates} if known else set()
    for one in (one for one in after.candidates if one.checkpoint not in told):
        note = f"Attempt {after.attempt}: {one.checkpoint} was passed over, {one.verdict}: {one.message}"
        skipped = (*fields, ("checkpoint", one.checkpoint), ("verdict", str(one.verdict)))
        yield Told(EventReason.CHECKPOINT_SKIPPED, note, warning=True, fields=skipped)
    if after.checkpoint is not None and (known is None or known.checkpoint != after.checkpoint):
        why = f" {after.note}" if after.note else ""
        note = f"Attempt {after.attempt} restores {after.checkpoint}.{why}"
        yield Told(EventReason.CHECKPOINT_SELECTED, note, fields=(*fields, ("checkpoint", after.checkpoint)))


def _launched(before: TrainingRunStatus, after: TrainingRunStatus) -> Iterator[Told]:
    was, now = before.trainer, after.trainer
    if now is None or now.phase is TrainerPhase.LAUNCHING:
        return
    if was is None or was.attempt != now.attempt or was.phase is TrainerPhase.LAUNCHING:
        fields = (("attempt", now.attempt), ("job", now.job))
        yield Told(EventReason.TRAINER_LAUNCHED, f"Job {now.job} was made for attempt {now.attempt}.", fields=fields)


def _ended(before: TrainingRunStatus, after: TrainingRunStatus) -> Iterator[Told]:
    if after.recovery.history and after.recovery.history[-1:] != before.recovery.history[-1:]:
        yield from _recorded(after.recovery.history[-1])
    spent = after.recovery.exhausted_generation
    if spent is not None and spent != before.recovery.exhausted_generation:
        note = "No attempt is left; a change of the spec or the annotation reconcile-at starts a new budget."
        attempt = (("attempt", after.recovery.attempt),)
        yield Told(EventReason.RECOVERY_EXHAUSTED, note, warning=True, fields=attempt)


def _recorded(record: RecoveryRecord) -> Iterator[Told]:
    fields = (
        ("attempt", record.attempt),
        ("cause", str(record.cause)),
        ("result", str(record.result)),
        ("lost_run", record.from_training_run_id),
        ("run", record.to_training_run_id or ""),
        ("checkpoint", record.checkpoint or ""),
        ("seconds", int((record.completed_at - record.started_at).total_seconds())),
    )
    if record.result is not RecoveryResult.RECOVERED:
        note = f"Attempt {record.attempt} failed, {record.result}: {record.message}"
        yield Told(EventReason.RECOVERY_FAILED, note, warning=True, fields=fields)
        return
    passed = sum(one.verdict is not Verdict.GOOD for one in record.candidates)
    made = f"Run {record.to_training_run_id} holds {record.checkpoint}."
    yield Told(EventReason.SUCCESSOR_CREATED, made, fields=fields)
    note = (
        f"Attempt {record.attempt} restored {record.from_training_run_id} from {record.checkpoint} "
        f"as {record.to_training_run_id}; checkpoints passed over: {passed}."
    )
    yield Told(EventReason.RECOVERY_COMPLETED, note, fields=fields)


def _handed_over(before: TrainingRunStatus, after: TrainingRunStatus) -> Iterator[Told]:
    told = after.hand_over
    if told is not None and told.attempt > 0 and (before.hand_over is None or before.hand_over.attempt != told.attempt):
        note = f"ConfigMap {told.config_map} tells the training loop to resume from {told.checkpoint}."
        fields = (("attempt", told.attempt), ("checkpoint", told.checkpoint or ""))
        yield Told(EventReason.HANDED_OVER, note, fields=fields)


def _hooks(before: TrainingRunStatus, after: TrainingRunStatus) -> Iterator[Told]:
    if after.hooks is None:
        return
    was = {one.id: one for one in before.hooks.pending} if before.hooks else {}
    left = {one.id for one in after.hooks.pending}
    for one in after.hooks.pending:
        if one.tries > 0 and (one.id not in was or was[one.id].tries == 0):
            fields = (("attempt", one.attempt), ("hook", one.hook))
            yield Told(EventReason.HOOK_FAILED, f"Hook {one.hook}: {one.message}", warning=True, fields=fields)
    if before.hooks is not None and after.hooks.given_up > before.hooks.given_up and after.hooks.last_failure:
        yield Told(EventReason.HOOK_GIVEN_UP, f"Hook {after.hooks.last_failure}", warning=True)
    delivered = before.hooks is not None and after.hooks.delivered > before.hooks.delivered
    for one in (one for one in was.values() if delivered and one.id not in left):
        note = f"Hook {one.hook} was told of attempt {one.attempt}: {one.occasion}."
        yield Told(EventReason.HOOK_DELIVERED, note, fields=(("attempt", one.attempt), ("hook", one.hook)))


def checkpoints_left(why: str) -> Told:
    """Returns what there is to tell when an object is deleted whose deletionPolicy could not be carried out.

    Args:
        why: What kept the operator from it.
    """
    note = f"The object is deleted; checkpoints of its runs may be left at the service. {why}"
    return Told(EventReason.CHECKPOINTS_LEFT, note, warning=True)


def _stalled(before: tuple[Condition, ...], after: tuple[Condition, ...]) -> Iterator[Told]:
    was, now = find_condition(before, ConditionType.STALLED), find_condition(after, ConditionType.STALLED)
    if now is None or (was is not None and was.reason == now.reason) or now.reason == Reason.RECOVERY_EXHAUSTED:
        return
    yield Told(EventReason.STALLED, f"{now.reason}: {now.message}", warning=True)


def _freshness(before: tuple[Condition, ...], after: tuple[Condition, ...]) -> Iterator[Told]:
    was, now = _status(before, ConditionType.CHECKPOINT_FRESH), find_condition(after, ConditionType.CHECKPOINT_FRESH)
    if now is None or was == now.status:
        return
    if now.status is ConditionStatus.FALSE:
        yield Told(EventReason.CHECKPOINT_OVERDUE, now.message, warning=True)
    elif now.status is ConditionStatus.TRUE and was is ConditionStatus.FALSE:
        yield Told(EventReason.CHECKPOINTS_IN_TIME, "Training checkpoints appear again.")
