"""Recovery of a lost run, one journalled step at a time.

    begin ─▶ choose ─▶ prove (apart) ─▶ act by mode ─┬─▶ the successor is there: it is current
      ▲         ▲                                    ├─▶ refused: verdict, next candidate
      │         └────────────────────────────────────┘
      └── record, back off ◀── finish the sessions ◀── failed

Each step is in status before the call that follows from it. What is common to all modes is here; who makes the
successor is in `recreate` and `launch`, the proof in a session apart in `proof`.
"""

from datetime import datetime

from tinker_operator.api.reasons import Reason
from tinker_operator.api.recovery_spec import RecoveryMode
from tinker_operator.api.recovery_status import Cause, InFlightRecovery, RecoveryResult
from tinker_operator.api.run_status import TrainerPhase
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.core.attempts import asked_of, begin_attempt, chosen, fail_attempt, with_flight, with_recovery
from tinker_operator.core.budget import counted_attempts, seconds_to_wait
from tinker_operator.core.candidates import choose
from tinker_operator.core.conditions import Standing
from tinker_operator.core.decision import Decision, held_up, recovering_message, stalled, step
from tinker_operator.core.identity import origin_of
from tinker_operator.core.inventory import CONFIRMED
from tinker_operator.core.launch import launch, unwanted_jobs
from tinker_operator.core.plan import Plan
from tinker_operator.core.proof import is_proven, prove
from tinker_operator.core.recreate import recreate
from tinker_operator.core.seen import RunSeen
from tinker_operator.core.world import Absent, Fault, FinishSession, ObservedRun, RunView

LOSSES = {
    Cause.CORRUPTED: "The service flags the run as corrupted",
    Cause.MISSING: "Complete listings of the service do not contain the run",
    Cause.TRAINER_FAILED: "The trainer Job failed",
}


TRAINER_RESULTS = frozenset({RecoveryResult.TRAINER_FAILED, RecoveryResult.TRAINER_GAVE_UP})
"""Ends that the trainer Job itself has come to: it stays for whoever wants to know why."""


def begin_recovery(run: TrainingRun, seen: RunSeen, now: datetime, cause: Cause, cause_message: str = "") -> Decision:
    """Decides about a run whose loss is confirmed and for which no attempt is under way.

    Args:
        run: The object, its status brought up to date with the observation.
        seen: What was observed.
        now: The time of the decision.
        cause: Why it has to be recovered.
        cause_message: What there is to say about the cause.
    """
    status = run.status
    refusal = _refusal(run, now, cause)
    if refusal is not None:
        return refusal
    seconds = seconds_to_wait(run.spec.recovery, status.recovery, run.metadata.generation, now)
    if seconds > 0:
        message = f"{LOSSES[cause]}, and the last attempt failed; status.recovery tells why and when the next is."
        wake = Plan(wake_after=seconds)
        return Decision(status, Standing.IN_PROGRESS, Reason.RECOVERY_BACKOFF, message, wake)
    choice = choose(run, seen, status.training_run_id or "", (), now)
    if isinstance(choice, Fault):
        return held_up(status, Reason.RECOVERING, recovering_message(status), choice)
    begun = begin_attempt(run, cause, cause_message, now)
    flight = begun.recovery.in_flight
    journal = with_flight(begun, chosen(flight, choice)) if flight is not None else begun
    return step(journal, Reason.RECOVERING, recovering_message(status))


def _refusal(run: TrainingRun, now: datetime, cause: Cause) -> Decision | None:
    status, generation = run.status, run.metadata.generation
    if not run.spec.recovery.enabled:
        message = (
            f"{LOSSES[cause]} and spec.recovery.enabled is false. Set it to true, "
            "or start a run of your own from its last checkpoint."
        )
        return stalled(status, Reason.RECOVERY_DISABLED, message)
    used = len(counted_attempts(run.spec.recovery, status.recovery, generation, now))
    if generation == status.recovery.exhausted_generation or used >= run.spec.recovery.max_attempts:
        return stalled(with_recovery(status, exhausted_generation=generation), Reason.RECOVERY_EXHAUSTED, _spent(run))
    return None


def _spent(run: TrainingRun) -> str:
    history = run.status.recovery.history
    last = f" The last one ended {history[-1].result}. {history[-1].message}" if history else ""
    return (
        "No attempt is left of those that maxAttempts, attemptWindowSeconds and retryOn allow."
        f"{last} Mend the cause, then change the spec, or set the annotation tinker-operator.dev/reconcile-at, "
        "to try again."
    ).replace("  ", " ")


def continue_recovery(run: TrainingRun, flight: InFlightRecovery, seen: RunSeen, now: datetime) -> Decision:
    """Decides about an attempt under way, wherever a crash may have left it.

    Args:
        run: The object, its status brought up to date with the observation.
        flight: The attempt's journal, from status.
        seen: What was observed.
        now: The time of the decision.
    """
    status = run.status
    if flight.failure is not None:
        return _end_failed(run, flight, seen, now)
    lost = seen.inventory.view(flight.from_training_run_id)
    reason = _unwanted(run, lost, flight, seen)
    if reason is not None:
        failed = flight.model_copy(update={"failure": RecoveryResult.ABANDONED, "failure_message": reason})
        return step(with_flight(status, failed), Reason.RECOVERING, recovering_message(status))
    if not _is_still_lost(lost, flight):
        waiting = "The newest look does not show the run lost; the next one has to agree."
        return Decision(status, Standing.IN_PROGRESS, Reason.CONFIRMING, waiting)
    if status.session is not None:
        finish = FinishSession(status.session.session_id, success=False, detail="its run is lost")
        return step(status, Reason.RECOVERING, recovering_message(status), finish)
    if flight.checkpoint is None:
        return _choose_next(run, flight, seen, now)
    if not is_proven(run, flight):
        return prove(run, flight, seen)
    if flight.mode is RecoveryMode.RECREATE:
        return recreate(run, flight, seen)
    return launch(run, flight, seen, now)


def _is_still_lost(view: RunView, flight: InFlightRecovery) -> bool:
    match flight.cause:
        case Cause.CORRUPTED:
            return isinstance(view, ObservedRun) and view.corrupted
        case Cause.MISSING:
            return isinstance(view, Absent)
        case Cause.TRAINER_FAILED:
            return True


def _unwanted(run: TrainingRun, view: RunView, flight: InFlightRecovery, seen: RunSeen) -> str | None:
    if run.status.origin != origin_of(run):
        return "spec.run names another run now."
    if seen.claimed_by is not None:
        return f"TrainingRun {seen.claimed_by} has the same run."
    if not run.spec.recovery.enabled:
        return "spec.recovery.enabled was set to false."
    if run.spec.recovery.mode is not flight.mode:
        return f"spec.recovery.mode was changed to {run.spec.recovery.mode}."
    if flight.asked and asked_of(run.spec.recovery) != flight.asked:
        return "spec.recovery asks for a checkpoint in another way now."
    if run.status.training_run_id != flight.from_training_run_id:
        return "The TrainingRun follows another run now."
    return _regained(view, flight)


def _regained(view: RunView, flight: InFlightRecovery) -> str | None:
    """Tells whether the run is lost no more, or lost in another way than the attempt was begun for."""
    if isinstance(view, Fault) or view is None or view.agreeing < CONFIRMED:
        return None
    if flight.cause is Cause.CORRUPTED and isinstance(view, Absent):
        return "The service no longer has the run."
    if flight.cause is Cause.CORRUPTED and isinstance(view, ObservedRun) and not view.corrupted:
        return "The service no longer flags the run as corrupted."
    if flight.cause is Cause.MISSING and isinstance(view, ObservedRun):
        return "The service lists the run again."
    return None


def _end_failed(run: TrainingRun, flight: InFlightRecovery, seen: RunSeen, now: datetime) -> Decision:
    status = run.status
    proof = flight.validation.session_id if flight.validation else None
    detail = f"recovery failed: {flight.failure}"
    sessions = (one for one in (proof, flight.session_id) if one is not None)
    if finishes := [FinishSession(session, success=False, detail=detail) for session in sessions]:
        return step(status, Reason.RECOVERING, recovering_message(status), *finishes)
    if flight.job is not None and flight.failure not in TRAINER_RESULTS:
        jobs = unwanted_jobs(run, flight, seen)
        if jobs is not None:
            return jobs
    result = flight.failure or RecoveryResult.ABANDONED
    ended = fail_attempt(run, result, flight.failure_message, now)
    if flight.job is not None and ended.trainer is not None:
        failed = {"phase": TrainerPhase.FAILED, "message": flight.failure_message}
        ended = ended.model_copy(update={"trainer": ended.trainer.model_copy(update=failed)})
    return step(ended, Reason.RECOVERING, recovering_message(status))


def _choose_next(run: TrainingRun, flight: InFlightRecovery, seen: RunSeen, now: datetime) -> Decision:
    status = run.status
    choice = choose(run, seen, flight.from_training_run_id, flight.candidates, now)
    if isinstance(choice, Fault):
        return held_up(status, Reason.RECOVERING, recovering_message(status), choice)
    journal = with_flight(status, chosen(flight, choice))
    return step(journal, Reason.RECOVERING, recovering_message(status))
