"""The next status of a TrainingRun: previous status, plan and outcomes in, one status out.

There is no other writer. Folding the outcomes over the journal is all that happens here; the same inputs give the
same status to the byte, so an object at rest is never written.
"""

from dataclasses import dataclass
from datetime import datetime

from tinker_operator.api.reasons import ConditionType
from tinker_operator.api.run_status import InFlightRecovery, RecoveryResult, TrainingRunStatus, Verdict
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.core.attempts import complete_attempt, judged, with_flight, with_status
from tinker_operator.core.conditions import Finding, next_conditions
from tinker_operator.core.creation import created, refused, session_lost, session_opened
from tinker_operator.core.decision import decision_findings, held_up
from tinker_operator.core.plan import Plan
from tinker_operator.core.run_plan import LAST_REQUEST_EVERY, RunPlan
from tinker_operator.core.world import (
    BackendFailed,
    Fault,
    FinishSession,
    LoadRefused,
    Outcome,
    Performed,
    RunMade,
    SessionLost,
    SessionOpened,
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
    status = plan.decision.journal
    for one in performed:
        status = _folded(with_status(run, status), one, now)
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
    troubled = held_up(before.journal, before.reason, before.message, fault)
    corrupted = next(finding for finding in plan.findings if finding.type is ConditionType.CORRUPTED)
    return decision_findings(troubled, corrupted, observed=True)


def _folded(run: TrainingRun, one: Performed, now: datetime) -> TrainingRunStatus:
    flight = run.status.recovery.in_flight
    match one.action, one.outcome:
        case _, Fault():
            return run.status
        case _, StillPending():
            return _accepted(run.status, now)
        case WriteHandOver(states=states), _:
            return run.status.model_copy(update={"hand_over": states})
        case FinishSession(session_id=session_id), _:
            return _session_finished(run.status, session_id)
        case _, outcome if flight is not None:
            return _recovery_folded(run, flight, outcome, now)
        case _, outcome:
            return _creation_folded(run, outcome)


def _accepted(status: TrainingRunStatus, now: datetime) -> TrainingRunStatus:
    """Remembers that the service is at work, so that a run that it lists early is not taken for a finished one."""
    flight = status.recovery.in_flight
    if flight is not None:
        return with_flight(status, flight.model_copy(update={"pending_since": flight.pending_since or now}))
    creation = status.creation
    return status.model_copy(update={"creation": creation.model_copy(update={"pending": True}) if creation else None})


def _session_finished(status: TrainingRunStatus, session_id: str) -> TrainingRunStatus:
    flight = status.recovery.in_flight
    if flight is not None and flight.session_id == session_id:
        return with_flight(status, flight.model_copy(update={"session_id": None}))
    return status.model_copy(update={"session": None})


def _creation_folded(run: TrainingRun, outcome: Outcome) -> TrainingRunStatus:
    match outcome:
        case SessionOpened(session_id=session_id):
            return session_opened(run, session_id)
        case RunMade(run_id=run_id):
            return created(run, run_id)
        case LoadRefused(message=message):
            return refused(run, message)
        case SessionLost(message=message) | BackendFailed(message=message):
            return session_lost(run, message)
        case _:
            return run.status


def _recovery_folded(run: TrainingRun, flight: InFlightRecovery, outcome: Outcome, now: datetime) -> TrainingRunStatus:
    match outcome:
        case SessionOpened(session_id=session_id):
            return with_flight(run.status, flight.model_copy(update={"session_id": session_id}))
        case RunMade() if difference := _difference(run.status, outcome):
            return _failed(run.status, flight, RecoveryResult.SUCCESSOR_MISMATCH, difference)
        case RunMade(run_id=run_id):
            return complete_attempt(run, run_id, now)
        case LoadRefused(message=message):
            return with_flight(run.status, judged(flight, Verdict.NOT_LOADABLE, message))
        case BackendFailed(message=message):
            told = judged(flight, Verdict.BACKEND_FAILED, message)
            return _failed(run.status, told, RecoveryResult.BACKEND_FAILED, message)
        case SessionLost(message=message):
            return _failed(run.status, flight, RecoveryResult.SESSION_LOST, message)
        case _:
            return run.status


def _failed(
    status: TrainingRunStatus, flight: InFlightRecovery, failure: RecoveryResult, message: str
) -> TrainingRunStatus:
    told = {"failure": failure, "failure_message": message[:1024]}
    return with_flight(status, flight.model_copy(update=told))


def _difference(status: TrainingRunStatus, made: RunMade) -> str | None:
    if made.base_model and status.base_model and made.base_model != status.base_model:
        return f"The successor's base model is {made.base_model}, the run's was {status.base_model}."
    if made.lora_rank and status.lora_rank and made.lora_rank != status.lora_rank:
        return f"The successor's LoRA rank is {made.lora_rank}, the run's was {status.lora_rank}."
    return None


def _without_chase(before: TrainingRunStatus, after: TrainingRunStatus) -> TrainingRunStatus:
    """Keeps the old lastRequestTime while it is all that moved, so that a busy run does not write at every poll."""
    kept = after.model_copy(update={"last_request_time": before.last_request_time})
    moved, seen = after.last_request_time, before.last_request_time
    recent = moved is not None and seen is not None and moved - seen < LAST_REQUEST_EVERY
    return before if recent and kept == before else after
