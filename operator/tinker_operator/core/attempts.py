"""The life of an attempt in status: begun, failed, completed. Every transition of the journal is here."""

from datetime import datetime, timedelta

from tinker_operator.api.run_status import (
    HISTORY_LIMIT,
    VERDICT_LIMIT,
    VERDICT_MESSAGE_LIMIT,
    CandidateVerdict,
    HeldSession,
    InFlightRecovery,
    RecoveryRecord,
    RecoveryResult,
    RecoveryStatus,
    TrainingRunStatus,
    Verdict,
)
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.core.budget import backoff_seconds, counted_attempts
from tinker_operator.core.candidates import Choice
from tinker_operator.core.identity import next_lineage


def with_status(run: TrainingRun, status: TrainingRunStatus) -> TrainingRun:
    """Returns the object with this status."""
    return run.model_copy(update={"status": status})


def with_recovery(status: TrainingRunStatus, **update: object) -> TrainingRunStatus:
    """Returns the status with these fields of its recovery changed."""
    return status.model_copy(update={"recovery": status.recovery.model_copy(update=update)})


def with_flight(status: TrainingRunStatus, flight: InFlightRecovery | None) -> TrainingRunStatus:
    """Returns the status with this journal."""
    return with_recovery(status, in_flight=flight)


def begin_attempt(run: TrainingRun, choice: Choice, now: datetime) -> TrainingRunStatus:
    """Returns the status with a new attempt journalled and counted."""
    status = run.status
    number = status.recovery.attempt + 1
    generation = run.metadata.generation
    counted = counted_attempts(run.spec.recovery, status.recovery, generation, now)
    flight = InFlightRecovery(
        attempt=number,
        from_training_run_id=status.training_run_id or "",
        started_at=now,
        checkpoint=choice.checkpoint,
        candidates=choice.candidates[-VERDICT_LIMIT:],
    )
    return with_recovery(
        status,
        attempt=number,
        attempt_times=(*counted, now),
        budget_generation=generation,
        next_attempt_time=None,
        in_flight=flight,
    )


def fail_attempt(run: TrainingRun, result: RecoveryResult, message: str, now: datetime) -> TrainingRunStatus:
    """Returns the status after an attempt that ended without a successor: recorded, with the next one's time.

    The attempt that uses up the budget exhausts this generation of the spec; an abandoned one costs no wait.
    """
    recovery = run.status.recovery
    record = _record(recovery, result, message, now)
    generation = run.metadata.generation
    failures = len(counted_attempts(run.spec.recovery, recovery, generation, now))
    exhausted = failures >= run.spec.recovery.max_attempts and result is not RecoveryResult.ABANDONED
    wait = timedelta(seconds=backoff_seconds(run.spec.recovery, max(failures, 1)))
    return with_recovery(
        run.status,
        in_flight=None,
        history=_ring(recovery, record),
        exhausted_generation=generation if exhausted else None,
        next_attempt_time=None if exhausted or result is RecoveryResult.ABANDONED else now + wait,
    )


def complete_attempt(run: TrainingRun, successor: str, now: datetime) -> TrainingRunStatus:
    """Returns the status with the successor as the current run."""
    status = run.status
    flight = status.recovery.in_flight
    if flight is None or flight.session_id is None or flight.checkpoint is None:
        raise AssertionError("a successor is made only for an attempt whose session and checkpoint are journalled")
    record = _record(status.recovery, RecoveryResult.RECOVERED, "", now, successor)
    recovered = with_recovery(
        status,
        in_flight=None,
        history=_ring(status.recovery, record),
        restored_from=flight.checkpoint,
        next_attempt_time=None,
        exhausted_generation=None,
    )
    return recovered.model_copy(
        update={
            "training_run_id": successor,
            "attempt": flight.attempt,
            "lineage": next_lineage(run, successor),
            "session": HeldSession(session_id=flight.session_id, training_run_id=successor),
            "recoveries": status.recoveries + 1,
            "last_checkpoint": None,
        }
    )


def judged(flight: InFlightRecovery, verdict: Verdict, message: str) -> InFlightRecovery:
    """Returns the journal with its present candidate judged, and the next number in its session."""
    told = CandidateVerdict(
        checkpoint=flight.checkpoint or "", verdict=verdict, message=message[:VERDICT_MESSAGE_LIMIT]
    )
    return flight.model_copy(
        update={
            "candidates": (*flight.candidates, told)[-VERDICT_LIMIT:],
            "checkpoint": None,
            "pending_since": None,
            "model_seq_id": flight.model_seq_id + 1,
        }
    )


def _record(
    recovery: RecoveryStatus, result: RecoveryResult, message: str, now: datetime, successor: str | None = None
) -> RecoveryRecord:
    flight = recovery.in_flight
    if flight is None:
        raise AssertionError("only an attempt under way can end")
    good = result is RecoveryResult.RECOVERED
    closing = judged(flight, Verdict.GOOD, "") if good else flight
    return RecoveryRecord(
        attempt=flight.attempt,
        from_training_run_id=flight.from_training_run_id,
        to_training_run_id=successor,
        checkpoint=flight.checkpoint if good else None,
        candidates=closing.candidates,
        started_at=flight.started_at,
        completed_at=now,
        result=result,
        message=message[:1024],
    )


def _ring(recovery: RecoveryStatus, record: RecoveryRecord) -> tuple[RecoveryRecord, ...]:
    return (*recovery.history, record)[-HISTORY_LIMIT:]
