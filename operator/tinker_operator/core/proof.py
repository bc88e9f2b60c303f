"""Proof of a checkpoint in a session apart, for the levels that ask for more than the mode does anyway.

The run that is loaded for it carries no owner key, so it is nobody's successor; its session is finished as soon as the
proof is made, or the attempt has failed.
"""

from tinker_operator.api.meta import VALIDATES_KEY
from tinker_operator.api.reasons import Reason
from tinker_operator.api.recovery_spec import RecoveryMode, ValidationLevel
from tinker_operator.api.recovery_status import InFlightRecovery, Validation
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.core.decision import Decision, recovering_message, step
from tinker_operator.core.identity import owner_of, session_key
from tinker_operator.core.seen import RunSeen
from tinker_operator.core.world import Action, FinishSession, InspectExport, OpenSession, RestoreRun


def is_proven(run: TrainingRun, flight: InFlightRecovery) -> bool:
    """Tells whether nothing of the proof is left to do, its session included."""
    level, proof = run.spec.recovery.validation, flight.validation
    if proof is not None and proof.session_id is not None:
        return False
    apart = level is ValidationLevel.ARCHIVE or (
        level is ValidationLevel.LOAD and flight.mode is not RecoveryMode.RECREATE
    )
    return not apart or (proof is not None and proof.proven == flight.checkpoint)


def prove(run: TrainingRun, flight: InFlightRecovery, seen: RunSeen) -> Decision:
    """Decides about an attempt whose checkpoint is chosen and not yet proven.

    Args:
        run: The object.
        flight: The attempt's journal, from status.
        seen: What was observed.
    """
    message = f"{recovering_message(run.status)} The checkpoint is being proven first."
    return step(run.status, Reason.RECOVERING, message, _next_action(run, flight, seen))


def validation_session_key(run: TrainingRun, flight: InFlightRecovery) -> str:
    """Returns the idempotency key of the session that checkpoints are proven in.

    A proof that was made has ended its session; the next candidate's is another one.
    """
    return session_key(run, f"validation/{flight.attempt}/{flight.model_seq_id}")


def _next_action(run: TrainingRun, flight: InFlightRecovery, seen: RunSeen) -> Action:
    proof, checkpoint = flight.validation or Validation(), flight.checkpoint or ""
    marks = {VALIDATES_KEY: owner_of(run, seen.cluster_id)}
    if proof.session_id is None:
        return OpenSession(validation_session_key(run, flight), marks)
    if proof.proven == checkpoint:
        return FinishSession(proof.session_id, success=True, detail="the checkpoint is proven")
    if proof.training_run_id is None:
        optimizer = run.spec.recovery.restore_optimizer
        return RestoreRun(proof.session_id, proof.model_seq_id, checkpoint, optimizer, marks)
    status = run.status
    return InspectExport(proof.training_run_id, checkpoint, status.base_model, status.lora_rank)
