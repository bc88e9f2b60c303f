"""What there is to do about a run that is alive: end what it no longer needs, hand it over, watch its trainer Job.

At rest it asks for the hand-over, and in mode Relaunch for the Jobs, and finds nothing to do.
"""

from datetime import datetime

from tinker_operator.api.reasons import Reason
from tinker_operator.api.recovery_spec import RecoveryMode
from tinker_operator.api.run_status import CheckpointSummary, TrainingRunStatus
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.core.attempts import with_recovery, with_status
from tinker_operator.core.candidate_order import newest_first
from tinker_operator.core.conditions import Standing
from tinker_operator.core.decision import Decision, held_up, step
from tinker_operator.core.hand_over import desired_hand_over, hand_over_document, hand_over_name
from tinker_operator.core.launch import RECHECK_SECONDS, foreign_hand_over
from tinker_operator.core.plan import AT_ONCE, Plan
from tinker_operator.core.schedule_unread import words_of
from tinker_operator.core.seen import RunSeen
from tinker_operator.core.trainer_watch import watch_trainer
from tinker_operator.core.world import (
    CheckpointsOf,
    Fault,
    FinishSession,
    HandOverSeen,
    ObservedRun,
    ReadHandOver,
    WriteHandOver,
)

REST_SECONDS = 3600.0
"""How often the hand-over of a run at rest is read though nobody tells: one that somebody deleted comes back by then.

Ten thousand runs have three read each second.
"""


def keep_alive(run: TrainingRun, view: ObservedRun, seen: RunSeen, now: datetime) -> Decision:
    """Decides about a run that is alive and not corrupted.

    Args:
        run: The object, its status brought up to date with the observation.
        view: The run.
        seen: What was observed.
        now: The time of the decision.
    """
    status = run.status
    message = f"Run {status.training_run_id} is alive and not corrupted."
    if status.session is not None and status.session.training_run_id != status.training_run_id:
        done = FinishSession(status.session.session_id, success=True, detail=f"handed over to {status.training_run_id}")
        return step(status, Reason.HANDING_OVER, message, done)
    relaunched = run.spec.recovery.mode is RecoveryMode.RELAUNCH
    forgiven = status if relaunched else _well(status.model_copy(update={"trainer": None}))
    settled = _handed_over(with_status(run, _with_newest(forgiven, view, seen)), view, seen, message)
    if not relaunched or settled.plan.actions or settled.standing is not Standing.CURRENT:
        return settled
    return watch_trainer(with_status(run, settled.journal), view, seen, settled, now)


def _well(status: TrainingRunStatus) -> TrainingRunStatus:
    return with_recovery(status, exhausted_generation=None, next_attempt_time=None)


def _handed_over(run: TrainingRun, view: ObservedRun, seen: RunSeen, message: str) -> Decision:
    status = run.status
    answer = seen.ask(ReadHandOver(hand_over_name(run)))
    if isinstance(answer, Fault):
        return held_up(status, Reason.HANDING_OVER, message, answer)
    if isinstance(answer, HandOverSeen) and answer.foreign:
        recheck = Plan(wake_after=run.spec.poll_interval_seconds)
        return Decision(status, Standing.STALLED, Reason.HAND_OVER_CONFLICT, foreign_hand_over(run), recheck)
    words = words_of(seen.schedule, answer, status, is_unread=seen.schedule_unread)
    desired = desired_hand_over(run, status, view, words)
    document = hand_over_document(run, desired, seen.cluster_id, words)
    relaunched = run.spec.recovery.mode is RecoveryMode.RELAUNCH
    # Nobody else tells of a newest checkpoint that the service does not, or of a Job whose watch was cut.
    rest = RECHECK_SECONDS if relaunched or view.last_checkpoint is None else REST_SECONDS
    if isinstance(answer, HandOverSeen) and answer.document == document:
        at_rest = status.model_copy(update={"hand_over": desired})
        return Decision(at_rest, Standing.CURRENT, Reason.LIVE, message, Plan(wake_after=rest))
    version = answer.version if isinstance(answer, HandOverSeen) else None
    write = WriteHandOver(desired, document, version)
    calls_wait = status.hooks is not None and status.hooks.pending
    if relaunched and (status.hand_over is None or status.hand_over.attempt != desired.attempt):
        return step(status, Reason.HANDING_OVER, message, write)  # its Job is still to come
    plan = Plan((write,), wake_after=AT_ONCE if relaunched or calls_wait else rest)
    return Decision(status, Standing.CURRENT, Reason.LIVE, message, plan)


def _with_newest(status: TrainingRunStatus, view: ObservedRun, seen: RunSeen) -> TrainingRunStatus:
    """Where the service tells no newest checkpoint, the listing does; trouble with it takes nothing back.

    A successor that was not handed over has none: no loop knows of it.
    """
    told = status.hand_over.attempt if status.hand_over is not None else 0
    if view.last_checkpoint is not None or told < status.attempt:
        return status
    listed = seen.ask(CheckpointsOf(view.run_id))
    if isinstance(listed, Fault):
        return status
    newest = newest_first(listed)[:1] if isinstance(listed, tuple) else ()
    last = CheckpointSummary(path=newest[0].path, time=newest[0].time) if newest else None
    return status.model_copy(update={"last_checkpoint": last})
