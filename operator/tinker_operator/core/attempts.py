"""The life of an attempt in status: begun, failed, completed. Every transition of the journal is here."""

import json
from datetime import datetime, timedelta
from hashlib import sha256
from math import ceil

from tinker_operator.api.recovery_spec import Recovery
from tinker_operator.api.recovery_status import (
    HISTORY_LIMIT,
    VERDICT_LIMIT,
    VERDICT_MESSAGE_LIMIT,
    CandidateVerdict,
    Cause,
    InFlightRecovery,
    RecoveryRecord,
    RecoveryResult,
    RecoveryStatus,
    Verdict,
)
from tinker_operator.api.run_status import HeldSession, TrainingRunStatus
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.core.budget import backoff_seconds, counted_attempts, is_retried
from tinker_operator.core.candidates import Choice
from tinker_operator.core.identity import next_lineage

COSTLY = frozenset({Verdict.NOT_LOADABLE, Verdict.UNSOUND, Verdict.BACKEND_FAILED})
"""Verdicts that took a load or an export."""
_NOTHING_LEFT: dict[str, object] = {
    "checkpoint": None,
    "failure": RecoveryResult.NO_USABLE_CHECKPOINT,
    "failure_message": "No checkpoint can be restored; the candidates' verdicts say why of each. Save more often.",
}


def with_status(run: TrainingRun, status: TrainingRunStatus) -> TrainingRun:
    """Returns the object with this status."""
    return run.model_copy(update={"status": status})


def with_recovery(status: TrainingRunStatus, **update: object) -> TrainingRunStatus:
    """Returns the status with these fields of its recovery changed."""
    return status.model_copy(update={"recovery": status.recovery.model_copy(update=update)})


def with_flight(status: TrainingRunStatus, flight: InFlightRecovery | None) -> TrainingRunStatus:
    """Returns the status with this journal."""
    return with_recovery(status, in_flight=flight)


def asked_of(recovery: Recovery) -> str:
    """Returns a digest of what spec.recovery asks of a checkpoint: an attempt is made for one such wish."""
    wish = (
        recovery.checkpoint_strategy,
        recovery.checkpoint,
        recovery.metric.model_dump_json() if recovery.metric else None,
        recovery.validation,
        recovery.restore_optimizer,
    )
    return sha256(json.dumps(wish).encode()).hexdigest()[:12]


def begin_attempt(run: TrainingRun, cause: Cause, message: str, now: datetime) -> TrainingRunStatus:
    """Returns the status with a new attempt journalled and counted.

    Args:
        run: The object.
        cause: Why the run has to be recovered.
        message: What there is to say about the cause.
        now: When the attempt begins.
    """
    status = run.status
    number = status.recovery.attempt + 1
    generation = run.metadata.generation
    counted = counted_attempts(run.spec.recovery, status.recovery, generation, now)
    flight = InFlightRecovery(
        attempt=number,
        cause=cause,
        cause_message=message[:1024],
        mode=run.spec.recovery.mode,
        asked=asked_of(run.spec.recovery),
        from_training_run_id=status.training_run_id or "",
        started_at=now,
    )
    return with_recovery(
        status,
        attempt=number,
        attempt_times=(*counted, now),
        budget_generation=generation,
        next_attempt_time=None,
        in_flight=flight,
    )


def chosen(flight: InFlightRecovery, choice: Choice) -> InFlightRecovery:
    """Returns the journal with the candidate that is tried next; with none left the attempt has failed."""
    update: dict[str, object] = {"candidates": bounded(choice.judged), "note": choice.note}
    candidate = choice.candidate
    if candidate is None or flight.model_seq_id >= VERDICT_LIMIT:
        return flight.model_copy(update=update | _NOTHING_LEFT)
    picked = {
        "checkpoint": candidate.path,
        "checkpoint_time": candidate.time,
        "checkpoint_size_bytes": candidate.size_bytes,
    }
    return flight.model_copy(update=update | picked)


def bounded(verdicts: tuple[CandidateVerdict, ...]) -> tuple[CandidateVerdict, ...]:
    """Returns the verdicts that are kept: what cost nothing goes first, for it can be told again."""
    surplus = len(verdicts) - VERDICT_LIMIT
    if surplus <= 0:
        return verdicts
    free = [index for index, one in enumerate(verdicts) if one.verdict not in COSTLY][:surplus]
    return tuple(one for index, one in enumerate(verdicts) if index not in free)[-VERDICT_LIMIT:]


def fail_attempt(run: TrainingRun, result: RecoveryResult, message: str, now: datetime) -> TrainingRunStatus:
    """Returns the status after an attempt that ended without a successor: recorded, with the next one's time.

    The attempt that uses up the budget exhausts this generation of the spec; an abandoned one costs no wait.
    """
    status, policy = run.status, run.spec.recovery
    recovery = status.recovery
    record = _record(recovery, result, message, now)
    generation = run.metadata.generation
    failures = len(counted_attempts(policy, recovery, generation, now))
    abandoned = result is RecoveryResult.ABANDONED
    exhausted = not abandoned and (failures >= policy.max_attempts or not is_retried(policy, result))
    wait = backoff_seconds(policy, max(failures, 1), f"{run.metadata.uid}/{record.attempt}")
    ended = with_recovery(
        status,
        in_flight=None,
        history=_ring(recovery, record),
        exhausted_generation=generation if exhausted else None,
        next_attempt_time=None if exhausted or abandoned else now + timedelta(seconds=ceil(wait)),
    )
    return ended.model_copy(update={"failed_attempts": status.failed_attempts + (not abandoned)})


def complete_attempt(run: TrainingRun, successor: str, now: datetime) -> TrainingRunStatus:
    """Returns the status with the successor as the current run."""
    status = run.status
    flight = status.recovery.in_flight
    if flight is None or flight.checkpoint is None:
        raise AssertionError("a successor is made only for an attempt whose checkpoint is journalled")
    held = HeldSession(session_id=flight.session_id, training_run_id=successor) if flight.session_id else None
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
            "session": held,
            "recoveries": status.recoveries + 1,
            "last_checkpoint": None,
        }
    )


def difference_of(status: TrainingRunStatus, base_model: str | None, lora_rank: int | None) -> str | None:
    """Returns how a successor differs from the run that was lost, None when it does not, as far as both are told."""
    if base_model and status.base_model and base_model != status.base_model:
        return f"The successor's base model is {base_model}, the run's was {status.base_model}."
    if lora_rank and status.lora_rank and lora_rank != status.lora_rank:
        return f"The successor's LoRA rank is {lora_rank}, the run's was {status.lora_rank}."
    return None


def judged(flight: InFlightRecovery, verdict: Verdict, message: str) -> InFlightRecovery:
    """Returns the journal with its present candidate judged, and the next number in its sessions."""
    told = CandidateVerdict(
        checkpoint=flight.checkpoint or "",
        time=flight.checkpoint_time,
        size_bytes=flight.checkpoint_size_bytes,
        verdict=verdict,
        message=message[:VERDICT_MESSAGE_LIMIT],
    )
    proof = flight.validation
    next_proof = {"model_seq_id": proof.model_seq_id + 1, "training_run_id": None} if proof else {}
    return flight.model_copy(
        update={
            "candidates": bounded((*flight.candidates, told)),
            "checkpoint": None,
            "checkpoint_time": None,
            "checkpoint_size_bytes": None,
            "pending_since": None,
            "handed_over": False,
            "model_seq_id": flight.model_seq_id + 1,
            "validation": proof.model_copy(update=next_proof) if proof else None,
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
        cause=flight.cause,
        cause_message=flight.cause_message,
        mode=flight.mode,
        note=flight.note,
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
