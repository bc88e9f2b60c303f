"""Modes HandOver and Relaunch: a training loop makes the successor, from what the hand-over tells it.

In mode Relaunch the old Job is gone, pods and all, before the hand-over is written and the new one made: two loops
would train two successors, and a pod on its way out must not resume from what is meant for the next one.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from tinker_operator.api.meta import ATTEMPT_KEY, ORIGIN_KEY, RESUMED_KEY
from tinker_operator.api.reasons import Reason
from tinker_operator.api.recovery_spec import RecoveryMode
from tinker_operator.api.recovery_status import InFlightRecovery, RecoveryResult
from tinker_operator.api.run_status import HandOverStatus, TrainerPhase, TrainerStatus, TrainingRunStatus
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.core.attempts import complete_attempt, difference_of, with_flight
from tinker_operator.core.conditions import Standing
from tinker_operator.core.decision import Decision, held_up, recovering_message, step
from tinker_operator.core.hand_over import hand_over_document, hand_over_name
from tinker_operator.core.identity import job_name, origin_of, owner_of
from tinker_operator.core.plan import Plan
from tinker_operator.core.schedule_unread import words_of
from tinker_operator.core.seen import RunSeen
from tinker_operator.core.world import (
    CreateTrainerJob,
    DeleteTrainerJob,
    Fault,
    HandOverSeen,
    JobPhase,
    JobSeen,
    JobsSeen,
    ObservedRun,
    ReadHandOver,
    TrainerJobs,
    WriteHandOver,
)

RECHECK_SECONDS = 600.0
"""How often a wait is looked at though nobody tells: a hand-over that somebody deleted, a Job whose watch was cut."""

NO_RETRY = "PodFailurePolicy"
"""Reason of a failed Job whose own policy says that trying again is of no use (batch/v1, Job conditions)."""


def launch(run: TrainingRun, flight: InFlightRecovery, seen: RunSeen, now: datetime) -> Decision:
    """Decides about an attempt whose checkpoint is proven: hand it over, see that a loop takes it, wait for its run.

    Args:
        run: The object.
        flight: The attempt's journal, from status.
        seen: What was observed.
        now: The time of the decision.
    """
    resumed = _resumed(run, flight, seen)
    if resumed is not None:
        return _arrived(run, flight, resumed, now)
    if flight.mode is RecoveryMode.RELAUNCH:
        return _cleared_way(run, flight, seen) or _hand_over(run, flight, seen) or _relaunch(run, flight, seen)
    written = _hand_over(run, flight, seen)
    if written is not None:
        return written
    message = (
        f"Run {flight.from_training_run_id} is lost. The hand-over tells the training loop to resume; waiting for the "
        "run that it makes. Start the loop if it does not run."
    )
    return Decision(run.status, Standing.IN_PROGRESS, Reason.AWAITING_LOOP, message, Plan(wake_after=RECHECK_SECONDS))


def unwanted_jobs(run: TrainingRun, flight: InFlightRecovery, seen: RunSeen) -> Decision | None:
    """Returns how the Job of an attempt that failed or was abandoned is removed; None when there is none."""
    jobs = seen.ask(TrainerJobs())
    if isinstance(jobs, Fault):
        return held_up(run.status, Reason.RECOVERING, recovering_message(run.status), jobs)
    mine = [one for one in jobs_in(jobs) if one.attempt == flight.attempt]
    return cleared(run.status, mine, recovering_message(run.status)) if mine else None


def jobs_in(answer: object) -> tuple[JobSeen, ...]:
    """Returns the Jobs of an answer to TrainerJobs."""
    return answer.jobs if isinstance(answer, JobsSeen) else ()


def cleared(status: TrainingRunStatus, jobs: list[JobSeen], message: str) -> Decision:
    """Returns a decision that removes these Jobs, or waits for those that are on their way out."""
    doomed = [DeleteTrainerJob(one.name, one.uid) for one in jobs if one.phase is not JobPhase.DELETING]
    if doomed:
        return step(status, Reason.RECOVERING, message, *doomed)
    names = ", ".join(sorted(one.name for one in jobs))
    waiting = f"{message} Job {names} has to end first, with every pod of it."
    return Decision(status, Standing.IN_PROGRESS, Reason.RECOVERING, waiting, Plan(wake_after=RECHECK_SECONDS / 20))


def _resumed(run: TrainingRun, flight: InFlightRecovery, seen: RunSeen) -> ObservedRun | None:
    """Returns the run that a loop made for this attempt; of several the one that resumed last."""
    kin = seen.inventory.owned.get(owner_of(run, seen.cluster_id), ())
    made = [
        one
        for one in kin
        if one.metadata.get(ATTEMPT_KEY) == str(flight.attempt)
        and one.metadata.get(ORIGIN_KEY) == origin_of(run)
        and RESUMED_KEY in one.metadata
        and one.run_id not in run.status.lineage
    ]
    return max(made, key=lambda one: (one.metadata[RESUMED_KEY], one.run_id), default=None)


def _arrived(run: TrainingRun, flight: InFlightRecovery, resumed: ObservedRun, now: datetime) -> Decision:
    """The loop's run is the successor, if it is what the lost one was; the next round looks at it like at any other."""
    message = recovering_message(run.status)
    difference = difference_of(run.status, resumed.base_model, resumed.lora_rank)
    if difference is not None:
        failed = {"failure": RecoveryResult.SUCCESSOR_MISMATCH, "failure_message": difference}
        return step(with_flight(run.status, flight.model_copy(update=failed)), Reason.RECOVERING, message)
    return step(complete_attempt(run, resumed.run_id, now), Reason.RECOVERING, message)


def _hand_over(run: TrainingRun, flight: InFlightRecovery, seen: RunSeen) -> Decision | None:
    """Returns how the hand-over is written for this attempt, None once it says what it should."""
    status, message = run.status, recovering_message(run.status)
    answer = seen.ask(ReadHandOver(hand_over_name(run)))
    if not isinstance(answer, HandOverSeen):
        fault = answer if isinstance(answer, Fault) else None
        return held_up(status, Reason.RECOVERING, message, fault) if fault else None
    if answer.foreign:
        recheck = Plan(wake_after=run.spec.poll_interval_seconds)
        return Decision(status, Standing.STALLED, Reason.HAND_OVER_CONFLICT, foreign_hand_over(run), recheck)
    words = words_of(seen.schedule, answer, status, is_unread=seen.schedule_unread)
    states = HandOverStatus(
        config_map=hand_over_name(run),
        attempt=flight.attempt,
        mode=flight.mode,
        training_run_id=flight.from_training_run_id,
        previous_training_run_id=flight.from_training_run_id,
        checkpoint=flight.checkpoint,
        restore_optimizer=run.spec.recovery.restore_optimizer,
        schedule_policy=words.policy if words else None,
    )
    document = hand_over_document(run, states, seen.cluster_id, words)
    if answer.document != document:
        return step(status, Reason.RECOVERING, message, WriteHandOver(states, document, answer.version))
    if flight.handed_over and status.hand_over == states:
        return None
    told = with_flight(status, flight.model_copy(update={"handed_over": True}))
    return step(told.model_copy(update={"hand_over": states}), Reason.RECOVERING, message)


def foreign_hand_over(run: TrainingRun) -> str:
    """Returns what to do about a ConfigMap of the hand-over's name that belongs to somebody else."""
    return (
        f"ConfigMap {hand_over_name(run)} exists and does not belong to this TrainingRun. Delete or rename it, "
        "so that the hand-over can be written."
    )


def _cleared_way(run: TrainingRun, flight: InFlightRecovery, seen: RunSeen) -> Decision | None:
    """Returns how the old Job is removed, None when no pod of it is left.

    That its successor is to come is in status before: whatever becomes of the attempt, the loop that was taken away is
    missed.
    """
    status, message = run.status, recovering_message(run.status)
    answer = seen.ask(TrainerJobs())
    if isinstance(answer, Fault):
        return held_up(status, Reason.RECOVERING, message, answer)
    if flight.job is None:
        name = job_name(run, flight.attempt)
        launching = TrainerStatus(job=name, attempt=flight.attempt)
        journal = with_flight(status, flight.model_copy(update={"job": name}))
        return step(journal.model_copy(update={"trainer": launching}), Reason.RECOVERING, message)
    former = [one for one in jobs_in(answer) if one.attempt != flight.attempt]
    return cleared(status, former, message) if former else None


def _relaunch(run: TrainingRun, flight: InFlightRecovery, seen: RunSeen) -> Decision:
    status, message = run.status, recovering_message(run.status)
    mine = next((one for one in jobs_in(seen.ask(TrainerJobs())) if one.attempt == flight.attempt), None)
    name = job_name(run, flight.attempt)
    if mine is None:
        was_there = status.trainer is not None and status.trainer.phase is not TrainerPhase.LAUNCHING
        if was_there:
            return _trainer_failed(run, flight, f"Job {name} is gone before its loop made a run.")
        return step(status, Reason.RECOVERING, message, CreateTrainerJob(name, flight.attempt))
    return _await_run(run, flight, mine, seen)


def _await_run(run: TrainingRun, flight: InFlightRecovery, job: JobSeen, seen: RunSeen) -> Decision:
    job = with_what_was_told(job, run.status.trainer)
    settled = is_settled(run, job, seen)
    if job.phase is JobPhase.FAILED and settled:
        final = RecoveryResult.TRAINER_GAVE_UP if job.reason == NO_RETRY else RecoveryResult.TRAINER_FAILED
        return _trainer_failed(run, flight, failure_of(job), final)
    if job.phase is JobPhase.SUCCEEDED and settled:
        return _trainer_failed(
            run, flight, f"Job {job.name} ended without making a run. Its loop has to call resume()."
        )
    status = run.status.model_copy(update={"trainer": observed_trainer(job)})
    message = (
        f"Run {flight.from_training_run_id} is lost. Job {job.name} was made to go on; waiting for the run that its "
        "loop makes."
    )
    if job.phase is JobPhase.RUNNING and job.message:
        message = f"{message} {job.message}."
    # Nothing tells when a pod does not start, or does at last.
    wake = Plan(wake_after=RECHECK_SECONDS / 20)
    return Decision(status, Standing.IN_PROGRESS, Reason.AWAITING_LOOP, message, wake)


def is_settled(run: TrainingRun, job: JobSeen, seen: RunSeen) -> bool:
    """Tells whether the service was looked at since a Job ended, a poll later: what its loop last did shows by now."""
    looked = seen.inventory.observed_at
    wait = timedelta(seconds=run.spec.poll_interval_seconds)
    return job.finished_at is None or (looked is not None and looked >= job.finished_at + wait)


def with_what_was_told(job: JobSeen, trainer: TrainerStatus | None) -> JobSeen:
    """A Job whose pod is gone says nothing of why it failed; what it said while it was failing is in status."""
    silent = job.phase is JobPhase.FAILED and job.exit_code is None and not job.message
    if not silent or trainer is None or trainer.attempt != job.attempt or trainer.phase is not TrainerPhase.RUNNING:
        return job
    return replace(job, message=trainer.message)


def failure_of(job: JobSeen) -> str:
    """Returns why a Job failed, in one sentence."""
    code = f" with exit code {job.exit_code}" if job.exit_code is not None else ""
    cause = f": {job.reason}" if job.reason else ""
    detail = f". {job.message}" if job.message else ""
    return f"Job {job.name} failed{code}{cause}{detail}".rstrip(".") + "."


def observed_trainer(job: JobSeen) -> TrainerStatus:
    """Returns a Job as status tells of it."""
    phase = {JobPhase.SUCCEEDED: TrainerPhase.SUCCEEDED, JobPhase.FAILED: TrainerPhase.FAILED}.get(job.phase)
    message = (failure_of(job) if job.phase is JobPhase.FAILED else job.message)[:1024]
    return TrainerStatus(job=job.name, attempt=job.attempt, phase=phase or TrainerPhase.RUNNING, message=message)


def _trainer_failed(
    run: TrainingRun, flight: InFlightRecovery, message: str, result: RecoveryResult = RecoveryResult.TRAINER_FAILED
) -> Decision:
    failed = flight.model_copy(update={"failure": result, "failure_message": message[:1024]})
    return step(with_flight(run.status, failed), Reason.RECOVERING, recovering_message(run.status))
