"""The proof of one checkpoint by a load in a session apart, step by step, each step in status before the next.

The run that is loaded carries no owner key, so it is nobody's: not adopted, not recovered, not discovered. It says for
whom it was made. Killed at any point, the same session is opened again by its key and the same load asked for by its
number; the session is finished before anything else is proven.

    journal ─▶ open ─▶ load ─▶ [look into the export] ─▶ finish, and the verdict stands
"""

from collections.abc import Container
from datetime import datetime, timedelta
from uuid import NAMESPACE_URL, uuid5

from tinker_operator.api.checkpoint_policy import CheckpointPolicy
from tinker_operator.api.meta import GROUP, VALIDATES_KEY
from tinker_operator.api.reasons import Reason
from tinker_operator.api.recovery_spec import ValidationLevel
from tinker_operator.api.recovery_status import VERDICT_MESSAGE_LIMIT, Verdict
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.api.validation_status import CheckpointFinding, CheckpointProof
from tinker_operator.core.candidates import mismatch
from tinker_operator.core.policy_concern import Errand
from tinker_operator.core.policy_standing import clipped
from tinker_operator.core.policy_verdicts import Identity, identity
from tinker_operator.core.recovery_outcomes import PATIENCE
from tinker_operator.core.world import (
    Action,
    BackendFailed,
    Done,
    Fault,
    FinishSession,
    InspectExport,
    LoadRefused,
    ObservedCheckpoint,
    OpenSession,
    Outcome,
    RestoreRun,
    RunMade,
    SessionLost,
    SessionOpened,
    StillPending,
    Unsound,
    WeightsSeen,
)

HOLD = timedelta(minutes=10)
"""How long a proof waits while its TrainingRun's checkpoints cannot be seen whole; then it ends without a verdict."""
GIVE_UP = timedelta(hours=2)
"""A proof whose session cannot even be finished is let go of; a session without heartbeats ends by itself."""
EXPENSIVE = frozenset({ValidationLevel.LOAD, ValidationLevel.ARCHIVE})
"""Levels that load a checkpoint."""


def reviewed(
    policy: CheckpointPolicy,
    proof: CheckpointProof,
    runs: Container[str],
    present: Container[Identity],
    incomplete: Container[str],
    *,
    now: datetime,
) -> CheckpointProof | None:
    """Returns the proof as it goes on: marked as ended when nobody wants it any more, None when it cannot go on.

    Args:
        policy: The policy as it is.
        proof: The journal.
        runs: Names of the TrainingRuns of the namespace.
        present: The checkpoints of complete views.
        incomplete: Names of the TrainingRuns whose view is not complete.
        now: The time.
    """
    if proof.training_run not in runs or now - proof.started_at > GIVE_UP:
        return None
    asked = policy.spec.validation
    wanted = asked is not None and asked.level is proof.level and not policy.spec.suspend
    if proof.ended or (wanted and (identity(proof) in present or is_held(proof, incomplete, now))):
        return proof
    return proof.model_copy(update={"ended": True, "verdict": None})


def is_held(proof: CheckpointProof, incomplete: Container[str], now: datetime) -> bool:
    """Tells whether the next step waits, because it cannot be seen whether the checkpoint is still there."""
    return not proof.ended and proof.training_run in incomplete and now - proof.started_at <= HOLD


def is_finishing(proof: CheckpointProof) -> bool:
    """Tells whether nothing but the end of the session is left."""
    return proof.ended or proof.verdict is not None


def next_errand(policy: CheckpointPolicy, proof: CheckpointProof, run: TrainingRun, cluster_id: str) -> Errand:
    """Returns the next step.

    Args:
        policy: The policy.
        proof: The journal, as status has it.
        run: The TrainingRun whose checkpoint it is.
        cluster_id: First part of the mark that the run carries.
    """
    return Errand(proof.training_run, _next_action(policy, proof, run, cluster_id))


def _next_action(policy: CheckpointPolicy, proof: CheckpointProof, run: TrainingRun, cluster_id: str) -> Action:
    marks = {VALIDATES_KEY: f"{cluster_id}/{policy.metadata.namespace}/{policy.metadata.name}"}
    if proof.session_id is None:
        # One that ended before its session was known is opened once more: only so can it be finished.
        return OpenSession(_session_key(policy, proof), marks)
    if is_finishing(proof):
        return FinishSession(proof.session_id, success=proof.verdict is Verdict.GOOD, detail="the proof is over")
    if proof.training_run_id is None:
        return RestoreRun(proof.session_id, 0, proof.path, run.spec.recovery.restore_optimizer, marks)
    return InspectExport(proof.training_run_id, proof.path, run.status.base_model, run.status.lora_rank)


def _session_key(policy: CheckpointPolicy, proof: CheckpointProof) -> str:
    """By number and time: a section of status that was removed and came back counts from one again."""
    began = int(proof.started_at.timestamp())
    return str(uuid5(NAMESPACE_URL, f"{GROUP}/{policy.metadata.uid}/proof/{proof.number}/{began}"))


def folded(
    proof: CheckpointProof, run: TrainingRun, action: Action, outcome: Outcome, now: datetime
) -> CheckpointProof | Fault:
    """Returns the journal after a step other than the last, or the service's trouble.

    Args:
        proof: The journal.
        run: The TrainingRun.
        action: The step.
        outcome: What came of it.
        now: When.
    """
    match outcome:
        case Fault():
            return outcome
        case SessionOpened(session_id=session_id):
            return proof.model_copy(update={"session_id": session_id})
        case StillPending():
            return _waited(proof, now)
        case RunMade():
            return _loaded(proof, run, outcome)
        case LoadRefused(message=message):
            return _judged(proof, Verdict.NOT_LOADABLE, message)
        case Unsound(message=message):
            return _judged(proof, Verdict.UNSOUND, message)
        case Done() if isinstance(action, InspectExport):
            return _judged(proof, Verdict.GOOD, "")
        case BackendFailed(message=message) | SessionLost(message=message):
            return Fault(Reason.SERVER_FAULT, message)
        case _:
            return Fault(Reason.UNEXPECTED_STATUS, "The service's answer to the proof is not understood.")


def ended(proof: CheckpointProof, outcome: Outcome) -> CheckpointProof:
    """Returns the journal after trouble: the service's own failure ends the proof, a missing answer does not."""
    over = isinstance(outcome, BackendFailed | SessionLost | StillPending)
    return proof.model_copy(update={"ended": True}) if over else proof


def finding_of(proof: CheckpointProof) -> CheckpointFinding | None:
    """Returns the verdict that the proof has come to, None when it came to none."""
    if proof.verdict is None:
        return None
    return CheckpointFinding(
        path=proof.path,
        time=proof.time,
        size_bytes=proof.size_bytes,
        training_run=proof.training_run,
        level=proof.level,
        verdict=proof.verdict,
        message=proof.message,
    )


def _waited(proof: CheckpointProof, now: datetime) -> CheckpointProof | Fault:
    since = proof.pending_since or now
    if now - since < PATIENCE:
        return proof.model_copy(update={"pending_since": since})
    return Fault(Reason.SERVICE_TIMEOUT, f"The service did not finish its work on {proof.path} in time.")


def _loaded(proof: CheckpointProof, run: TrainingRun, made: RunMade) -> CheckpointProof:
    candidate = ObservedCheckpoint(proof.path, "", time=proof.time, size_bytes=proof.size_bytes)
    objection = mismatch(run, candidate, WeightsSeen(made.base_model, is_lora=True, lora_rank=made.lora_rank))
    if objection is not None:
        return _judged(proof, objection.verdict, objection.message)
    if proof.level is ValidationLevel.LOAD:
        return _judged(proof, Verdict.GOOD, "")
    return proof.model_copy(update={"training_run_id": made.run_id, "pending_since": None})


def _judged(proof: CheckpointProof, verdict: Verdict, message: str) -> CheckpointProof:
    return proof.model_copy(update={"verdict": verdict, "message": clipped(message, VERDICT_MESSAGE_LIMIT)})
