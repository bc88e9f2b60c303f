"""What an observation alone says: status brought up to date, and the condition Corrupted. Nothing is decided here."""

from collections.abc import Iterable, Mapping
from enum import StrEnum

from tinker_operator.api.meta import CHECKPOINT_KEY, OWNER_KEY, RECONCILE_AT, RESUMED_KEY, ConditionStatus
from tinker_operator.api.reasons import ConditionType, Reason
from tinker_operator.api.recovery_spec import RecoveryMode
from tinker_operator.api.run_status import (
    CheckpointSummary,
    HeldSession,
    TrainerPhase,
    TrainerStatus,
    TrainingRunStatus,
)
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.core.attempts import with_recovery
from tinker_operator.core.conditions import Finding, find_condition
from tinker_operator.core.identity import (
    CREATE_ORIGIN,
    Binding,
    followed,
    fresh_status,
    job_name,
    next_lineage,
    origin_of,
)
from tinker_operator.core.inventory import CONFIRMED, Inventory
from tinker_operator.core.world import Absent, ObservedRun, RunView

ECHO_LIMIT = 253
"""Characters of the annotation's value that status echoes."""


class Look(StrEnum):
    """A look at the service that an object needs before the next one is due."""

    NONE = "none"
    ONE_RUN = "one run"
    """At the run that it follows: a recovery made it after the newest look."""
    ALL_RUNS = "all runs"


def wanted_look(run: TrainingRun, inventory: Inventory) -> Look:
    """Tells which look the object needs; one that failed has another ahead of it anyway.

    Args:
        run: The object.
        inventory: What is known for it.
    """
    if asks_again(run):
        return Look.ALL_RUNS
    if inventory.doubt is not None or inventory.knows(followed(run)):
        return Look.NONE
    return Look.ALL_RUNS if inventory.observed_at is None else Look.ONE_RUN


def asks_again(run: TrainingRun) -> bool:
    """Tells whether the annotation tinker-operator.dev/reconcile-at has a value that was not acted on."""
    asked = run.metadata.annotations.get(RECONCILE_AT)
    return asked is not None and asked[:ECHO_LIMIT] != run.status.last_handled_reconcile_at


def heeded(run: TrainingRun) -> TrainingRunStatus:
    """Returns the status with the annotation heeded: a new budget, no wait, no refusal remembered."""
    status = run.status
    if not asks_again(run):
        return status
    flight = status.recovery.in_flight
    refusal = {"refused_generation": None}
    told = status.model_copy(
        update={
            "last_handled_reconcile_at": run.metadata.annotations[RECONCILE_AT][:ECHO_LIMIT],
            "creation": status.creation.model_copy(update=refusal) if status.creation else None,
            "trainer": _asked_for(run) if flight is None else status.trainer,
        }
    )
    counted = (flight.started_at,) if flight is not None else ()
    return with_recovery(told, attempt_times=counted, exhausted_generation=None, next_attempt_time=None)


def _asked_for(run: TrainingRun) -> TrainerStatus | None:
    """A Job that was deleted is made again; an adopted run that has none is trained by somebody else."""
    status, trainer = run.status, run.status.trainer
    missing = trainer is None and status.origin == CREATE_ORIGIN and status.training_run_id is not None
    gone = trainer is not None and trainer.phase in {TrainerPhase.GONE, TrainerPhase.FAILED}
    if not (missing or gone) or run.spec.recovery.mode is not RecoveryMode.RELAUNCH:
        return trainer
    return TrainerStatus(job=job_name(run, status.attempt), attempt=status.attempt)


def known(run: TrainingRun, binding: Binding, view: RunView, owned: Iterable[ObservedRun]) -> TrainingRunStatus:
    """Returns the status brought up to date with what was observed; what could not be observed stays as it was.

    Args:
        run: The object.
        binding: Which run is current.
        view: What is known of that run.
        owned: Runs that carry the owner key.
    """
    status = run.status
    if not isinstance(view, ObservedRun):
        return _told_lost(status, view)
    lineage = next_lineage(run, view.run_id, owned)
    source = _source(run, view)
    if status.origin != origin_of(run):
        status = fresh_status(status)
    last = view.last_checkpoint
    facts: Mapping[str, object] = {
        "origin": origin_of(run),
        "training_run_id": view.run_id,
        "attempt": binding.attempt,
        "lineage": lineage,
        "base_model": view.base_model,
        "lora_rank": view.lora_rank,
        "last_checkpoint": CheckpointSummary(path=last.path, time=last.time) if last else _last_known(status, view),
        "last_request_time": view.last_request_time,
        "session": status.session or _session_of(run, view),
        "creation": None,
    }
    newest = max(status.recovery.attempt, binding.attempt)
    status = with_recovery(status.model_copy(update=facts), attempt=newest, restored_from=source)
    return _told_lost(status, view)


def _last_known(status: TrainingRunStatus, view: ObservedRun) -> CheckpointSummary | None:
    """A service that tells no newest checkpoint says nothing against the one that its listing showed."""
    return status.last_checkpoint if status.training_run_id == view.run_id else None


def _session_of(run: TrainingRun, view: ObservedRun) -> HeldSession | None:
    """Returns the session to hold for a run that is bound anew: the operator's own, whose journal was lost or is over.

    A run that a loop made lives in the loop's session, and a run that was bound before has told of its session then.
    """
    creation = run.status.creation
    if creation is not None and creation.session_id is not None:
        return HeldSession(session_id=creation.session_id)
    session, made, _ = view.run_id.partition(":train:")
    own = (
        OWNER_KEY in view.metadata and RESUMED_KEY not in view.metadata and view.run_id != run.spec.run.training_run_id
    )
    if run.status.training_run_id is not None or not own or not made:
        return None
    return HeldSession(session_id=session, training_run_id=view.run_id)


def _told_lost(status: TrainingRunStatus, view: RunView) -> TrainingRunStatus:
    if isinstance(view, ObservedRun) and view.corrupted and view.agreeing >= CONFIRMED:
        return status.model_copy(update={"lost_training_run_id": view.run_id})
    if isinstance(view, Absent) and view.agreeing >= CONFIRMED and status.training_run_id is not None:
        return status.model_copy(update={"lost_training_run_id": status.training_run_id})
    return status


def _source(run: TrainingRun, view: ObservedRun) -> str | None:
    """Returns the checkpoint that the current run came from: it is the loop's way back until the run has its own."""
    status = run.status
    if status.origin != origin_of(run):
        return view.metadata.get(CHECKPOINT_KEY)
    if view.run_id == status.training_run_id:
        return status.recovery.restored_from or view.metadata.get(CHECKPOINT_KEY)
    if OWNER_KEY not in view.metadata:
        return None  # it was discovered, and came from nothing that is known here
    told = status.hand_over.checkpoint if status.hand_over else None
    return view.metadata.get(CHECKPOINT_KEY) or told or status.recovery.restored_from


def corrupted_finding(run: TrainingRun, view: RunView) -> Finding:
    """Returns the condition Corrupted: what the service says, once it has said it twice."""

    def finding(status: ConditionStatus, reason: Reason, message: str) -> Finding:
        return Finding(ConditionType.CORRUPTED, status, reason, message)

    before = find_condition(run.status.conditions, ConditionType.CORRUPTED)
    match view:
        case ObservedRun(corrupted=True, agreeing=agreeing) if agreeing >= CONFIRMED:
            message = f"The service flags run {view.run_id} as corrupted; it does not come back by itself."
            return finding(ConditionStatus.TRUE, Reason.RUN_CORRUPTED, message)
        case ObservedRun(corrupted=False):
            return finding(ConditionStatus.FALSE, Reason.NOT_CORRUPTED, "The service does not flag the run.")
        case ObservedRun() if before is not None and before.status is ConditionStatus.FALSE:
            return finding(before.status, Reason(before.reason), before.message)
        case _:
            message = "There is no well-formed, confirmed observation of the run to tell from."
            return finding(ConditionStatus.UNKNOWN, Reason.NOT_OBSERVED, message)
