"""The next status of a TrainingRun: previous status, plan and outcomes in, one status out.

There is no other writer. Folding the outcomes over the journal is all that happens here; the same inputs give the
same status to the byte, so an object at rest is never written.
"""

from dataclasses import dataclass
from datetime import datetime

from tinker_operator.api.reasons import ConditionType, Reason
from tinker_operator.api.run_status import TrainerPhase, TrainingRunStatus
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.core.attempts import with_flight, with_status
from tinker_operator.core.conditions import Finding, next_conditions
from tinker_operator.core.creation import made, refused, session_lost, session_opened
from tinker_operator.core.decision import decision_findings, held_up
from tinker_operator.core.hooks import told, with_due
from tinker_operator.core.plan import Plan
from tinker_operator.core.recovery_outcomes import recovery_folded, still_at_work
from tinker_operator.core.run_plan import LAST_REQUEST_EVERY, RunPlan
from tinker_operator.core.world import (
    BackendFailed,
    CallHook,
    CreateTrainerJob,
    Fault,
    FinishSession,
    LoadRefused,
    Outcome,
    Performed,
    RunMade,
    SessionLost,
    SessionOpened,
    SetFinalizer,
    StillPending,
    WriteHandOver,
)

PENDING_WAIT_SECONDS = 1.0
"""Pause before the service is asked again whether it has finished."""


@dataclass(frozen=True, slots=True)
class Requeue:
    """When to look again.

    Attributes:
        after: Seconds; None for not until something changes.
        backed_off: True to wait by the growing back-off of the work queue instead.
    """

    after: float | None = None
    backed_off: bool = False


def next_run_status(
    run: TrainingRun, plan: RunPlan, performed: tuple[Performed, ...], now: datetime
) -> TrainingRunStatus:
    """Returns the status to write; equal to the present one when there is nothing to say.

    Args:
        run: The object as it was observed.
        plan: What was decided.
        performed: The actions that were carried out, with their outcomes, in order.
        now: Time of the report; becomes the transition time of conditions that change.
    """
    if plan.silent:
        return run.status
    status = plan.decision.journal
    for one in performed:
        status = _folded(with_status(run, status), one, now)
    status = with_due(run, run.status, status, now)
    generation = run.metadata.generation
    conditions = next_conditions(run.status.conditions, _findings(plan, performed), generation=generation, now=now)
    status = status.model_copy(update={"conditions": conditions, "observed_generation": generation})
    return _without_chase(run.status, status)


def outcome_fault(performed: tuple[Performed, ...]) -> Fault | None:
    """Returns the trouble that stopped the round, if there was any."""
    return next((one.outcome for one in performed if isinstance(one.outcome, Fault)), None)


def requeue(plan: Plan, performed: tuple[Performed, ...]) -> Requeue:
    """Returns when to look again: at once after a step, later while the service is at work, backed off in trouble."""
    outcomes = [one.outcome for one in performed]
    if plan.retry or any(isinstance(outcome, Fault | BackendFailed | SessionLost) for outcome in outcomes):
        return Requeue(after=None, backed_off=True)
    if any(isinstance(outcome, StillPending) for outcome in outcomes):
        return Requeue(after=PENDING_WAIT_SECONDS)
    return Requeue(after=plan.wake_after)


def _findings(plan: RunPlan, performed: tuple[Performed, ...]) -> tuple[Finding, ...]:
    fault = outcome_fault(performed)
    if fault is None:
        return plan.findings
    before = plan.decision
    handing_over = any(isinstance(one.action, WriteHandOver) and one.outcome is fault for one in performed)
    alive = handing_over and before.reason is Reason.LIVE
    troubled = held_up(before.journal, Reason.HANDING_OVER if alive else before.reason, before.message, fault)
    corrupted = next(finding for finding in plan.findings if finding.type is ConditionType.CORRUPTED)
    fresh = (finding for finding in plan.findings if finding.type is ConditionType.CHECKPOINT_FRESH)
    return (*decision_findings(troubled, corrupted, observed=True), *fresh)


def _folded(run: TrainingRun, one: Performed, now: datetime) -> TrainingRunStatus:
    flight = run.status.recovery.in_flight
    match one.action, one.outcome:
        case CallHook() as call, outcome:
            return told(run.status, call, outcome, now)
        case _, Fault():
            return run.status
        case _, StillPending():
            return _accepted(run.status, now)
        case SetFinalizer(), _:
            return run.status
        case WriteHandOver(states=states), _:
            return run.status.model_copy(update={"hand_over": states})
        case CreateTrainerJob(), _:
            return _launched(run.status)
        case FinishSession(session_id=session_id), _:
            return _session_finished(run.status, session_id)
        case action, outcome if flight is not None:
            return recovery_folded(run, flight, Performed(action, outcome), now)
        case _, outcome:
            return _creation_folded(run, outcome)


def _accepted(status: TrainingRunStatus, now: datetime) -> TrainingRunStatus:
    """Remembers that the service is at work, so that a run that it lists early is not taken for a finished one."""
    flight = status.recovery.in_flight
    if flight is not None:
        return with_flight(status, still_at_work(flight, now))
    creation = status.creation
    return status.model_copy(update={"creation": creation.model_copy(update={"pending": True}) if creation else None})


def _launched(status: TrainingRunStatus) -> TrainingRunStatus:
    trainer = status.trainer
    running = trainer.model_copy(update={"phase": TrainerPhase.RUNNING}) if trainer else None
    return status.model_copy(update={"trainer": running})


def _session_finished(status: TrainingRunStatus, session_id: str) -> TrainingRunStatus:
    flight = status.recovery.in_flight
    if flight is not None and flight.session_id == session_id:
        return with_flight(status, flight.model_copy(update={"session_id": None}))
    proof = flight.validation if flight is not None else None
    if flight is not None and proof is not None and proof.session_id == session_id:
        ended = proof.model_copy(update={"session_id": None, "training_run_id": None, "model_seq_id": 0})
        return with_flight(status, flight.model_copy(update={"validation": ended}))
    return status.model_copy(update={"session": None})


def _creation_folded(run: TrainingRun, outcome: Outcome) -> TrainingRunStatus:
    match outcome:
        case SessionOpened(session_id=session_id):
            return session_opened(run, session_id)
        case RunMade():
            return made(run, outcome)
        case LoadRefused(message=message):
            return refused(run, message)
        case SessionLost(message=message) | BackendFailed(message=message):
            return session_lost(run, message)
        case _:
            return run.status


def _without_chase(before: TrainingRunStatus, after: TrainingRunStatus) -> TrainingRunStatus:
    """Keeps the old lastRequestTime while it is all that moved, so that a busy run does not write at every poll."""
    kept = after.model_copy(update={"last_request_time": before.last_request_time})
    moved, seen = after.last_request_time, before.last_request_time
    recent = moved is not None and seen is not None and moved - seen < LAST_REQUEST_EVERY
    return before if recent and kept == before else after
