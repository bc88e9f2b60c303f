"""What happened, as Kubernetes Events: the difference of two statuses, each transition told once.

Nothing is told of a state that goes on. An event is emitted after the status that it speaks of was written.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from tinker_operator.api.meta import Condition, ConditionStatus
from tinker_operator.api.reasons import ConditionType, Reason
from tinker_operator.api.run_status import InFlightRecovery, RecoveryResult, TrainingRunStatus, Verdict
from tinker_operator.core.conditions import find_condition


class EventReason(StrEnum):
    """Reasons of events, CamelCase, past tense: only what happened is told."""

    RUN_BOUND = "RunBound"
    RUN_CREATED = "RunCreated"
    RUN_FOLLOWED = "RunFollowed"
    CORRUPTION_DETECTED = "CorruptionDetected"
    RECOVERY_STARTED = "RecoveryStarted"
    CHECKPOINT_SKIPPED = "CheckpointSkipped"
    CHECKPOINT_SELECTED = "CheckpointSelected"
    SUCCESSOR_CREATED = "SuccessorCreated"
    HANDED_OVER = "HandedOver"
    RECOVERY_COMPLETED = "RecoveryCompleted"
    RECOVERY_FAILED = "RecoveryFailed"
    RECOVERY_EXHAUSTED = "RecoveryExhausted"
    SYNC_LOST = "SyncLost"
    SYNC_REGAINED = "SyncRegained"
    STALLED = "Stalled"


@dataclass(frozen=True, slots=True)
class Told:
    """One event.

    Attributes:
        reason: What happened.
        note: The sentence that a person reads.
        warning: Whether it is of type Warning.
    """

    reason: EventReason
    note: str
    warning: bool = False


def run_events(before: TrainingRunStatus, after: TrainingRunStatus) -> tuple[Told, ...]:
    """Returns the events of the step from one status of a TrainingRun to the next, in the order that they happened."""
    return (
        *_sync(before.conditions, after.conditions),
        *_bound(before, after),
        *_detected(before, after),
        *_attempt(before.recovery.in_flight, after.recovery.in_flight),
        *_ended(before, after),
        *_handed_over(before, after),
        *_stalled(before.conditions, after.conditions),
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
    if after.training_run_id is None or before.training_run_id == after.training_run_id:
        return
    if before.creation is not None:
        yield Told(EventReason.RUN_CREATED, f"Run {after.training_run_id} was created.")
    elif before.training_run_id is None or before.origin != after.origin:
        yield Told(EventReason.RUN_BOUND, f"Run {after.training_run_id} is watched from now on.")
    elif after.recoveries == before.recoveries:
        note = f"The training loop went on in run {after.training_run_id}, which is watched from now on."
        yield Told(EventReason.RUN_FOLLOWED, note)


def _detected(before: TrainingRunStatus, after: TrainingRunStatus) -> Iterator[Told]:
    lost = after.lost_training_run_id
    if lost is not None and lost != before.lost_training_run_id:
        note = f"The service flags run {lost} as corrupted."
        yield Told(EventReason.CORRUPTION_DETECTED, note, warning=True)


def _attempt(before: InFlightRecovery | None, after: InFlightRecovery | None) -> Iterator[Told]:
    if after is None:
        return
    known = before if before is not None and before.attempt == after.attempt else None
    if known is None:
        yield Told(EventReason.RECOVERY_STARTED, f"Attempt {after.attempt} to restore {after.from_training_run_id}.")
    for one in after.candidates[len(known.candidates) if known else 0 :]:
        note = f"Attempt {after.attempt}: {one.checkpoint} was passed over, {one.verdict}: {one.message}"
        yield Told(EventReason.CHECKPOINT_SKIPPED, note, warning=True)
    if after.checkpoint is not None and (known is None or known.checkpoint != after.checkpoint):
        yield Told(EventReason.CHECKPOINT_SELECTED, f"Attempt {after.attempt} restores {after.checkpoint}.")


def _ended(before: TrainingRunStatus, after: TrainingRunStatus) -> Iterator[Told]:
    if not after.recovery.history or after.recovery.history[-1:] == before.recovery.history[-1:]:
        return
    record = after.recovery.history[-1]
    if record.result is not RecoveryResult.RECOVERED:
        note = f"Attempt {record.attempt} failed, {record.result}: {record.message}"
        yield Told(EventReason.RECOVERY_FAILED, note, warning=True)
        if after.recovery.exhausted_generation is not None:
            note = "No attempt is left; a change of the spec starts a new budget."
            yield Told(EventReason.RECOVERY_EXHAUSTED, note, warning=True)
        return
    passed = sum(one.verdict is not Verdict.GOOD for one in record.candidates)
    yield Told(EventReason.SUCCESSOR_CREATED, f"Run {record.to_training_run_id} holds {record.checkpoint}.")
    note = (
        f"Attempt {record.attempt} restored {record.from_training_run_id} from {record.checkpoint} "
        f"as {record.to_training_run_id}; newer checkpoints passed over: {passed}."
    )
    yield Told(EventReason.RECOVERY_COMPLETED, note)


def _handed_over(before: TrainingRunStatus, after: TrainingRunStatus) -> Iterator[Told]:
    told = after.hand_over
    if told is not None and told.attempt > 0 and (before.hand_over is None or before.hand_over.attempt != told.attempt):
        note = f"ConfigMap {told.config_map} tells the training loop to resume from {told.checkpoint}."
        yield Told(EventReason.HANDED_OVER, note)


def _stalled(before: tuple[Condition, ...], after: tuple[Condition, ...]) -> Iterator[Told]:
    was, now = find_condition(before, ConditionType.STALLED), find_condition(after, ConditionType.STALLED)
    if now is None or (was is not None and was.reason == now.reason) or now.reason == Reason.RECOVERY_EXHAUSTED:
        return
    yield Told(EventReason.STALLED, f"{now.reason}: {now.message}", warning=True)
