"""Mode Relaunch while the run is alive: is its Job there, does it run, has it finished, has it failed.

A Job is made here only for a run that the operator itself made and that no loop has resumed yet. An adopted run is
trained by a loop somewhere else; its first Job is that of its first recovery.
"""

from dataclasses import replace
from datetime import datetime

from tinker_operator.api.meta import RESUMED_KEY
from tinker_operator.api.reasons import Reason
from tinker_operator.api.recovery_spec import FailureClass
from tinker_operator.api.recovery_status import Cause
from tinker_operator.api.run_status import TrainerPhase, TrainerStatus, TrainingRunStatus
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.core.attempts import with_recovery, with_status
from tinker_operator.core.conditions import Standing
from tinker_operator.core.decision import Decision, held_up, stalled, step
from tinker_operator.core.identity import CREATE_ORIGIN, job_name
from tinker_operator.core.launch import (
    NO_RETRY,
    RECHECK_SECONDS,
    cleared,
    failure_of,
    is_settled,
    jobs_in,
    observed_trainer,
    with_what_was_told,
)
from tinker_operator.core.plan import Plan
from tinker_operator.core.recovery import begin_recovery
from tinker_operator.core.seen import RunSeen
from tinker_operator.core.world import CreateTrainerJob, Fault, JobPhase, JobSeen, ObservedRun, TrainerJobs

RUN_LOST = 75
"""Exit status by which a loop tells that the service flags its run; the operator's own look decides (EX_TEMPFAIL)."""
ASK = "set the annotation tinker-operator.dev/reconcile-at"


def watch_trainer(run: TrainingRun, view: ObservedRun, seen: RunSeen, at_rest: Decision, now: datetime) -> Decision:
    """Decides about the trainer Job of a live run whose hand-over is written.

    Args:
        run: The object.
        view: The run.
        seen: What was observed.
        at_rest: The decision when nothing is to be done.
        now: The time of the decision.
    """
    status = run.status
    answer = seen.ask(TrainerJobs())
    if isinstance(answer, Fault):
        return held_up(status, Reason.LAUNCHING, at_rest.message, answer)
    jobs = jobs_in(answer)
    job = max((one for one in jobs if _is_its_own(status, one)), key=lambda one: one.attempt, default=None)
    if others := [one for one in jobs if one is not job]:
        return replace(cleared(status, others, at_rest.message), reason=Reason.LAUNCHING)
    if job is None:
        return _without_job(run, view, seen, at_rest, now)
    if job.phase is JobPhase.DELETING:
        return _on_its_way_out(run, seen, at_rest, now)
    job = with_what_was_told(job, status.trainer)
    told = with_status(run, status.model_copy(update={"trainer": observed_trainer(job)}))
    if job.phase is JobPhase.FAILED and job.exit_code == RUN_LOST and not is_settled(run, job, seen):
        message = f"{failure_of(job)} Its loop says that the run is lost; the next look at the service has to tell."
        wake = Plan(wake_after=run.spec.poll_interval_seconds)
        return Decision(told.status, Standing.IN_PROGRESS, Reason.CONFIRMING, message, wake)
    if job.phase is JobPhase.FAILED:
        return _failed(told, job, seen, now)
    return _going_on(told, job, view, at_rest)


def _is_its_own(status: TrainingRunStatus, job: JobSeen) -> bool:
    """A Job of a later attempt that status does not tell of was made for the run that spec.run named before.

    That of an earlier attempt goes on with the present run, when its loop has resumed by itself.
    """
    known = status.trainer is not None and status.trainer.attempt == job.attempt
    return known or 0 <= job.attempt <= status.attempt


def _on_its_way_out(run: TrainingRun, seen: RunSeen, at_rest: Decision, now: datetime) -> Decision:
    """What follows is decided when it is gone, unless it is known already that another one has to come."""
    trainer = run.status.trainer
    if trainer is not None and trainer.phase is TrainerPhase.FAILED:
        return _lost_trainer(run, trainer.message or f"Job {trainer.job} failed.", seen, now)
    return at_rest


def _going_on(run: TrainingRun, job: JobSeen, view: ObservedRun, at_rest: Decision) -> Decision:
    well = _well(at_rest, run.status)
    if job.phase is not JobPhase.SUCCEEDED:
        # Nothing tells when a pod does not start, or does at last.
        soon = Plan(wake_after=RECHECK_SECONDS / 20) if job.message or RESUMED_KEY not in view.metadata else well.plan
        return replace(well, message=f"{well.message} {job.message}." if job.message else well.message, plan=soon)
    message = f"Job {job.name} has finished successfully; run {run.status.training_run_id} is as it left it."
    return replace(well, reason=Reason.COMPLETED, message=message)


def _well(at_rest: Decision, status: TrainingRunStatus) -> Decision:
    return replace(at_rest, journal=with_recovery(status, exhausted_generation=None, next_attempt_time=None))


def _failed(run: TrainingRun, job: JobSeen, seen: RunSeen, now: datetime) -> Decision:
    if job.reason == NO_RETRY:
        message = (
            f"{failure_of(job)} Its podFailurePolicy says not to try again. Mend the cause, delete the Job and {ASK}."
        )
        return stalled(run.status, Reason.TRAINER_FAILED, message)
    return _lost_trainer(run, failure_of(job), seen, now)


def _lost_trainer(run: TrainingRun, failure: str, seen: RunSeen, now: datetime) -> Decision:
    recovery = run.spec.recovery
    if recovery.enabled and FailureClass.TRAINER_FAILED in recovery.retry_on:
        return begin_recovery(run, seen, now, Cause.TRAINER_FAILED, failure)
    message = f"{failure} It is not relaunched: spec.recovery.enabled is false, or retryOn does not name TrainerFailed."
    return stalled(run.status, Reason.TRAINER_FAILED, message)


def _without_job(run: TrainingRun, view: ObservedRun, seen: RunSeen, at_rest: Decision, now: datetime) -> Decision:
    status, trainer = run.status, run.status.trainer
    if trainer is None:
        return _first_job(run, view, at_rest)
    if trainer.phase is TrainerPhase.SUCCEEDED:
        message = f"Job {trainer.job} has finished successfully, and has been removed since."
        return replace(_well(at_rest, status), reason=Reason.COMPLETED, message=message)
    if trainer.phase is TrainerPhase.FAILED:
        return _lost_trainer(run, trainer.message or f"Job {trainer.job} failed.", seen, now)
    if trainer.phase is TrainerPhase.LAUNCHING and trainer.attempt == status.attempt:
        message = f"{at_rest.message} Its trainer Job {trainer.job} is being made."
        return step(status, Reason.LAUNCHING, message, CreateTrainerJob(trainer.job, trainer.attempt))
    gone = status.model_copy(update={"trainer": trainer.model_copy(update={"phase": TrainerPhase.GONE})})
    message = (
        f"Job {trainer.job} was deleted before it was seen to finish. To have it made again, {ASK} to a new value."
    )
    return stalled(gone, Reason.TRAINER_GONE, message)


def _first_job(run: TrainingRun, view: ObservedRun, at_rest: Decision) -> Decision:
    status = run.status
    if status.origin != CREATE_ORIGIN:
        return _well(at_rest, status)
    if RESUMED_KEY in view.metadata:
        message = f"{at_rest.message} No trainer Job of it exists; to have one made that goes on, {ASK}."
        return stalled(status, Reason.TRAINER_GONE, message)
    name = job_name(run, status.attempt)
    launching = TrainerStatus(job=name, attempt=status.attempt)
    message = f"{at_rest.message} Its trainer Job {name} is being made."
    return step(status.model_copy(update={"trainer": launching}), Reason.LAUNCHING, message)
