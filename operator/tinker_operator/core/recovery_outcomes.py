"""What an outcome makes of an attempt's journal: folding and no more; what follows is decided in the next round."""

from datetime import datetime, timedelta

from tinker_operator.api.recovery_spec import ValidationLevel
from tinker_operator.api.recovery_status import CandidateVerdict, InFlightRecovery, RecoveryResult, Validation, Verdict
from tinker_operator.api.run_status import TrainingRunStatus
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.core.attempts import complete_attempt, judged, with_flight
from tinker_operator.core.candidates import mismatch
from tinker_operator.core.proof import validation_session_key
from tinker_operator.core.world import (
    BackendFailed,
    Done,
    InspectExport,
    LoadRefused,
    ObservedCheckpoint,
    OpenSession,
    Outcome,
    Performed,
    RestoreRun,
    RunMade,
    SessionLost,
    SessionOpened,
    Unsound,
    WeightsSeen,
)

PATIENCE = timedelta(minutes=30)
"""How long the service may be at work on one load; then the attempt has failed, and the checkpoint is not to blame."""


def recovery_folded(run: TrainingRun, flight: InFlightRecovery, one: Performed, now: datetime) -> TrainingRunStatus:
    """Returns the status after an action of an attempt.

    Args:
        run: The object, with the status that the outcome is folded into.
        flight: The attempt's journal.
        one: The action and its outcome.
        now: Time of the report.
    """
    if _is_of_the_proof(run, flight, one):
        return _proof_folded(run, flight, one.outcome)
    match one.outcome:
        case SessionOpened(session_id=session_id):
            return with_flight(run.status, flight.model_copy(update={"session_id": session_id}))
        case RunMade() as made if (objection := _objection(run, flight, made)) is not None:
            # The session holds a run that nobody wants: it ends with the attempt, and the next one knows better.
            told = judged(flight, objection.verdict, objection.message)
            return _failed(run.status, told, RecoveryResult.SUCCESSOR_MISMATCH, objection.message)
        case RunMade(run_id=run_id):
            return complete_attempt(run, run_id, now)
        case outcome:
            return _refusal_folded(run.status, flight, outcome)


def still_at_work(flight: InFlightRecovery, now: datetime) -> InFlightRecovery:
    """Returns the journal after the service said that a load goes on: it is waited for, but not for ever.

    Only such an answer ends the patience. Time that passed while nobody asked proves nothing: the load may be done.

    Args:
        flight: The attempt's journal.
        now: Time of the report.
    """
    since = flight.pending_since or now
    if now - since < PATIENCE:
        return flight.model_copy(update={"pending_since": since})
    message = f"The service did not finish the load within {PATIENCE.total_seconds() / 60:.0f} minutes."
    failed = {"failure": RecoveryResult.TIMED_OUT, "failure_message": message}
    return judged(flight, Verdict.BACKEND_FAILED, message).model_copy(update=failed)


def _is_of_the_proof(run: TrainingRun, flight: InFlightRecovery, one: Performed) -> bool:
    proof = flight.validation
    match one.action:
        case OpenSession(key=key):
            return key == validation_session_key(run, flight)
        case RestoreRun(session_id=session_id):
            return proof is not None and proof.session_id == session_id
        case InspectExport():
            return True
        case _:
            return False


def _proof_folded(run: TrainingRun, flight: InFlightRecovery, outcome: Outcome) -> TrainingRunStatus:
    proof = flight.validation or Validation()
    match outcome:
        case SessionOpened(session_id=session_id):
            return _with_proof(run.status, flight, proof.model_copy(update={"session_id": session_id}))
        case RunMade():
            return _loaded(run, flight, proof, outcome)
        case Done():
            return _with_proof(run.status, flight, proof.model_copy(update={"proven": flight.checkpoint}))
        case Unsound(message=message):
            return with_flight(run.status, judged(flight, Verdict.UNSOUND, message))
        case outcome:
            return _refusal_folded(run.status, flight, outcome)


def _loaded(run: TrainingRun, flight: InFlightRecovery, proof: Validation, made: RunMade) -> TrainingRunStatus:
    objection = _objection(run, flight, made)
    if objection is not None:
        return with_flight(run.status, judged(flight, objection.verdict, objection.message))
    enough = run.spec.recovery.validation is not ValidationLevel.ARCHIVE
    update = {"training_run_id": made.run_id, "proven": flight.checkpoint if enough else None}
    return _with_proof(run.status, flight, proof.model_copy(update=update))


def _objection(run: TrainingRun, flight: InFlightRecovery, made: RunMade) -> CandidateVerdict | None:
    candidate = ObservedCheckpoint(path=flight.checkpoint or "", run_id="")
    return mismatch(run, candidate, WeightsSeen(made.base_model, is_lora=True, lora_rank=made.lora_rank))


def _with_proof(status: TrainingRunStatus, flight: InFlightRecovery, proof: Validation) -> TrainingRunStatus:
    return with_flight(status, flight.model_copy(update={"validation": proof, "pending_since": None}))


def _refusal_folded(status: TrainingRunStatus, flight: InFlightRecovery, outcome: Outcome) -> TrainingRunStatus:
    match outcome:
        case LoadRefused(message=message):
            return with_flight(status, judged(flight, Verdict.NOT_LOADABLE, message))
        case BackendFailed(message=message):
            told = judged(flight, Verdict.BACKEND_FAILED, message)
            return _failed(status, told, RecoveryResult.BACKEND_FAILED, message)
        case SessionLost(message=message):
            return _failed(status, flight, RecoveryResult.SESSION_LOST, message)
        case _:
            return status


def _failed(
    status: TrainingRunStatus, flight: InFlightRecovery, failure: RecoveryResult, message: str
) -> TrainingRunStatus:
    told = {"failure": failure, "failure_message": message[:1024]}
    return with_flight(status, flight.model_copy(update=told))
