"""Recovery of a corrupted run, one journalled step at a time.

    begin ─▶ open session ─▶ load candidate ─┬─▶ confirmed: the successor is current
      ▲          (id known from here on)     ├─▶ refused: verdict, next candidate
      │                                      └─▶ failed: finish the session, record, back off
      └──────────────────────────────────────────────┘

Each step is in status before the call that follows from it. A run's id is `<session>:train:<number>`, so once the
session is journalled the successor's id is known before it exists: after a crash the service is asked for that id,
and only if it does not have it is the load sent, again under the same number.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from tinker_operator.api.meta import ATTEMPT_KEY, CHECKPOINT_KEY, ORIGIN_KEY, RESUMED_KEY
from tinker_operator.api.reasons import Reason
from tinker_operator.api.run_status import VERDICT_LIMIT, InFlightRecovery, RecoveryResult, TrainingRunStatus, Verdict
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.core.attempts import begin_attempt, fail_attempt, judged, with_flight, with_recovery
from tinker_operator.core.budget import counted_attempts
from tinker_operator.core.candidates import choose
from tinker_operator.core.conditions import Standing
from tinker_operator.core.decision import Decision, held_up, stalled, step
from tinker_operator.core.identity import origin_of, owner_of, ownership, session_key
from tinker_operator.core.inventory import CONFIRMED
from tinker_operator.core.plan import Plan
from tinker_operator.core.seen import RunSeen
from tinker_operator.core.world import (
    Absent,
    ConfirmRun,
    Fault,
    FinishSession,
    ObservedRun,
    OpenSession,
    RestoreRun,
    RunById,
    RunView,
)

PATIENCE = timedelta(minutes=30)
"""How long the service may be at work on one load; then the attempt has failed, and the checkpoint is not to blame."""
_NOTHING_LEFT: Mapping[str, object] = {
    "failure": RecoveryResult.NO_USABLE_CHECKPOINT,
    "failure_message": "No checkpoint can be restored; the candidates' verdicts say why of each. Save more often.",
}


def begin_recovery(run: TrainingRun, seen: RunSeen, now: datetime) -> Decision:
    """Decides about a run whose corruption is confirmed and for which no attempt is under way.

    Args:
        run: The object, its status brought up to date with the observation.
        seen: What was observed.
        now: The time of the decision.
    """
    status = run.status
    refusal = _refusal(run, now)
    if refusal is not None:
        return refusal
    wait = status.recovery.next_attempt_time
    if wait is not None and wait > now and status.recovery.budget_generation == run.metadata.generation:
        message = "The run is corrupted and the last attempt failed; status.recovery tells why and when the next is."
        wake = Plan(wake_after=(wait - now).total_seconds())
        return Decision(status, Standing.IN_PROGRESS, Reason.RECOVERY_BACKOFF, message, wake)
    lost = status.training_run_id or ""
    choice = choose(run, seen, lost, (), now)
    if isinstance(choice, Fault):
        return held_up(status, Reason.RECOVERING, _message(status), choice)
    begun = begin_attempt(run, choice, now)
    flight = begun.recovery.in_flight
    if choice.checkpoint is None and flight is not None:
        begun = with_flight(begun, flight.model_copy(update=_NOTHING_LEFT))
    return step(begun, Reason.RECOVERING, _message(status))


def _refusal(run: TrainingRun, now: datetime) -> Decision | None:
    status, generation = run.status, run.metadata.generation
    if not run.spec.recovery.enabled:
        message = (
            "The service flags the run as corrupted and spec.recovery.enabled is false. Set it to true, "
            "or start a run of your own from its last checkpoint."
        )
        return stalled(status, Reason.RECOVERY_DISABLED, message)
    used = len(counted_attempts(run.spec.recovery, status.recovery, generation, now))
    if generation == status.recovery.exhausted_generation or used >= run.spec.recovery.max_attempts:
        return stalled(with_recovery(status, exhausted_generation=generation), Reason.RECOVERY_EXHAUSTED, _spent(run))
    return None


def _spent(run: TrainingRun) -> str:
    history = run.status.recovery.history
    last = f"; the last one ended {history[-1].result}. {history[-1].message}" if history else "."
    return (
        f"The {run.spec.recovery.max_attempts} attempts that attemptWindowSeconds allows are used up{last} "
        "Mend the cause, then change the spec (maxAttempts, checkpoint) to try again."
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
        return _end_failed(run, flight, now)
    lost = seen.inventory.view(flight.from_training_run_id)
    reason = _unwanted(run, lost, flight, seen)
    if reason is not None:
        failed = flight.model_copy(update={"failure": RecoveryResult.ABANDONED, "failure_message": reason})
        return step(with_flight(status, failed), Reason.RECOVERING, _message(status))
    if not (isinstance(lost, ObservedRun) and lost.corrupted):
        waiting = "The newest look no longer flags the run as corrupted; the next one has to agree."
        return Decision(status, Standing.IN_PROGRESS, Reason.CONFIRMING, waiting)
    if status.session is not None:
        finish = FinishSession(status.session.session_id, success=False, detail="its run is corrupted")
        return step(status, Reason.RECOVERING, _message(status), finish)
    if flight.session_id is None:
        opening = OpenSession(
            session_key(run, f"recovery/{flight.attempt}"), ownership(run, seen.cluster_id, flight.attempt)
        )
        return step(status, Reason.RECOVERING, _message(status), opening)
    if flight.checkpoint is None:
        return _choose_next(run, flight, seen, now)
    if flight.pending_since is not None:
        return _wait_for_load(run, flight, flight.pending_since, seen, now)
    return _load(run, flight, seen)


def _message(status: TrainingRunStatus) -> str:
    return f"Run {status.training_run_id} is corrupted and is being restored from a checkpoint."


def _unwanted(run: TrainingRun, view: RunView, flight: InFlightRecovery, seen: RunSeen) -> str | None:
    if run.status.origin != origin_of(run):
        return "spec.run names another run now."
    if seen.claimed_by is not None:
        return f"TrainingRun {seen.claimed_by} is older and follows the same run."
    if not run.spec.recovery.enabled:
        return "spec.recovery.enabled was set to false."
    if run.status.training_run_id != flight.from_training_run_id:
        return "The TrainingRun follows another run now."
    if isinstance(view, ObservedRun) and not view.corrupted and view.agreeing >= CONFIRMED:
        return "The service no longer flags the run as corrupted."
    if isinstance(view, Absent) and view.agreeing >= CONFIRMED:
        return "The service no longer has the run."
    return None


def _end_failed(run: TrainingRun, flight: InFlightRecovery, now: datetime) -> Decision:
    status = run.status
    if flight.session_id is not None:
        finish = FinishSession(flight.session_id, success=False, detail=f"recovery failed: {flight.failure}")
        return step(status, Reason.RECOVERING, _message(status), finish)
    result = flight.failure or RecoveryResult.ABANDONED
    ended = fail_attempt(run, result, flight.failure_message, now)
    return step(ended, Reason.RECOVERING, _message(status))


def _choose_next(run: TrainingRun, flight: InFlightRecovery, seen: RunSeen, now: datetime) -> Decision:
    status = run.status
    choice = choose(run, seen, flight.from_training_run_id, flight.candidates, now)
    if isinstance(choice, Fault):
        return held_up(status, Reason.RECOVERING, _message(status), choice)
    update: dict[str, object] = {"checkpoint": choice.checkpoint, "candidates": choice.candidates[-VERDICT_LIMIT:]}
    if choice.checkpoint is None or flight.model_seq_id >= VERDICT_LIMIT:
        update |= {"checkpoint": None, **_NOTHING_LEFT}
    return step(with_flight(status, flight.model_copy(update=update)), Reason.RECOVERING, _message(status))


def _wait_for_load(
    run: TrainingRun, flight: InFlightRecovery, since: datetime, seen: RunSeen, now: datetime
) -> Decision:
    """Asks for the result under the same number; that the run is listed meanwhile does not prove that it loaded."""
    if now - since < PATIENCE:
        return step(run.status, Reason.RECOVERING, _message(run.status), _restore(run, flight, seen))
    message = f"The service did not finish the load within {PATIENCE.total_seconds() / 60:.0f} minutes."
    told = judged(flight, Verdict.BACKEND_FAILED, message)
    failed = told.model_copy(update={"failure": RecoveryResult.BACKEND_FAILED, "failure_message": message})
    return step(with_flight(run.status, failed), Reason.RECOVERING, _message(run.status))


def _load(run: TrainingRun, flight: InFlightRecovery, seen: RunSeen) -> Decision:
    status = run.status
    successor = _successor(run, flight, seen)
    if successor is not None:
        return step(status, Reason.RECOVERING, _message(status), ConfirmRun(successor))
    answer = seen.ask(RunById(f"{flight.session_id}:train:{flight.model_seq_id}"))
    match answer:
        case Fault():
            return held_up(status, Reason.RECOVERING, _message(status), answer)
        case ObservedRun():
            return step(status, Reason.RECOVERING, _message(status), ConfirmRun(answer.run_id))
        case _:
            return step(status, Reason.RECOVERING, _message(status), _restore(run, flight, seen))


def _restore(run: TrainingRun, flight: InFlightRecovery, seen: RunSeen) -> RestoreRun:
    lost = seen.inventory.runs.get(flight.from_training_run_id)
    checkpoint = flight.checkpoint or ""
    metadata = {**(lost.metadata if lost else {}), **ownership(run, seen.cluster_id, flight.attempt)}
    metadata.pop(RESUMED_KEY, None)
    return RestoreRun(
        session_id=flight.session_id or "",
        model_seq_id=flight.model_seq_id,
        checkpoint=checkpoint,
        restore_optimizer=run.spec.recovery.restore_optimizer,
        metadata={**metadata, CHECKPOINT_KEY: checkpoint},
    )


def _successor(run: TrainingRun, flight: InFlightRecovery, seen: RunSeen) -> str | None:
    """Finds the successor by owner key, for services whose run ids do not follow from the session."""
    kin: Iterable[ObservedRun] = seen.inventory.owned.get(owner_of(run, seen.cluster_id), ())
    made = [
        one.run_id
        for one in kin
        if one.metadata.get(ATTEMPT_KEY) == str(flight.attempt)
        and one.metadata.get(CHECKPOINT_KEY) == flight.checkpoint
        and one.metadata.get(ORIGIN_KEY) == origin_of(run)
        and RESUMED_KEY not in one.metadata
    ]
    return max(made, default=None)
