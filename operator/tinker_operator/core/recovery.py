"""Recovery of a corrupted run, one journalled step at a time.

    begin ─▶ open session ─▶ load candidate ─┬─▶ confirmed: the successor is current
      ▲          (id known from here on)     ├─▶ refused: verdict, next candidate
      │                                      └─▶ failed: finish the session, record, back off
      └──────────────────────────────────────────────┘

Each step is in status before the call that follows from it. A run's id is `<session>:train:<number>`, so once the
session is journalled the successor's id is known before it exists: after a crash the service is asked for that id,
and only if it does not have it is the load sent, again under the same number.
"""

from collections.abc import Iterable
from datetime import datetime

from tinker_operator.api.meta import ATTEMPT_KEY, CHECKPOINT_KEY, RESUMED_KEY
from tinker_operator.api.reasons import Reason
from tinker_operator.api.run_status import VERDICT_LIMIT, InFlightRecovery, RecoveryResult, TrainingRunStatus
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.core.attempts import begin_attempt, fail_attempt, with_flight, with_recovery, with_status
from tinker_operator.core.budget import counted_attempts
from tinker_operator.core.candidates import choose
from tinker_operator.core.conditions import Standing
from tinker_operator.core.decision import Decision, held_up, stalled, step
from tinker_operator.core.identity import owner_of, ownership, session_key
from tinker_operator.core.inventory import CONFIRMED
from tinker_operator.core.plan import Plan
from tinker_operator.core.seen import RunSeen
from tinker_operator.core.world import (
    ConfirmRun,
    Fault,
    FinishSession,
    ObservedRun,
    OpenSession,
    RestoreRun,
    RunById,
    RunView,
)


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
    if choice.checkpoint is None:
        message = "No checkpoint can be restored; status.recovery.history says why of each. Save one more often."
        begun = fail_attempt(with_status(run, begun), RecoveryResult.NO_USABLE_CHECKPOINT, message, now)
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


def continue_recovery(
    run: TrainingRun, flight: InFlightRecovery, view: RunView, seen: RunSeen, now: datetime
) -> Decision:
    """Decides about an attempt under way, wherever a crash may have left it.

    Args:
        run: The object, its status brought up to date with the observation.
        flight: The attempt's journal, from status.
        view: What is known of the current run.
        seen: What was observed.
        now: The time of the decision.
    """
    status = run.status
    if flight.failure is not None:
        return _end_failed(run, flight, now)
    reason = _unwanted(run, view, flight, seen)
    if reason is not None:
        failed = flight.model_copy(update={"failure": RecoveryResult.ABANDONED, "failure_message": reason})
        return step(with_flight(status, failed), Reason.RECOVERING, _message(status))
    if isinstance(view, ObservedRun) and not view.corrupted:
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
    return _load(run, flight, seen)


def _message(status: TrainingRunStatus) -> str:
    return f"Run {status.training_run_id} is corrupted and is being restored from a checkpoint."


def _unwanted(run: TrainingRun, view: RunView, flight: InFlightRecovery, seen: RunSeen) -> str | None:
    if seen.claimed_by is not None:
        return f"TrainingRun {seen.claimed_by} is older and follows the same run."
    if not run.spec.recovery.enabled:
        return "spec.recovery.enabled was set to false."
    if run.status.training_run_id != flight.from_training_run_id:
        return "The TrainingRun follows another run now."
    if isinstance(view, ObservedRun) and not view.corrupted and view.agreeing >= CONFIRMED:
        return "The service no longer flags the run as corrupted."
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
        update |= {
            "checkpoint": None,
            "failure": RecoveryResult.NO_USABLE_CHECKPOINT,
            "failure_message": "No candidate could be restored; its verdict says why of each.",
        }
    return step(with_flight(status, flight.model_copy(update=update)), Reason.RECOVERING, _message(status))


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
    ]
    return max(made, default=None)
