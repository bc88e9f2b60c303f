"""What a trainer Job says of itself, and when it is believed: as real Pods showed it."""

from dataclasses import replace
from typing import Any

import pytest
from tests.core.builders import training_run
from tests.core.test_modes import lost

from tinker_operator.api.recovery_status import Cause
from tinker_operator.core.trainer_job import trainer_job
from tinker_operator.core.world import JobPhase

pytestmark = pytest.mark.pure


def test_a_loop_that_met_the_loss_before_the_operator_is_not_its_cause() -> None:
    """It ends with status 75 within milliseconds, the next look is up to a poll away: the cause is the corruption."""
    game = lost("Relaunch")
    made = game.service.loop_resumes()
    game.settle()
    game.service.corrupt(made)
    name = next(iter(game.service.jobs))
    failed: dict[str, Any] = {
        "phase": JobPhase.FAILED,
        "reason": "BackoffLimitExceeded",
        "exit_code": 75,
        "finished_at": game.now,
    }
    game.service.jobs[name] = replace(game.service.jobs[name], **failed)
    game.round()
    game.round()
    status = game.settle(seconds=60)

    flight = status.recovery.in_flight
    assert flight is not None
    assert flight.cause is Cause.CORRUPTED


def test_a_job_that_does_not_start_says_why_in_status() -> None:
    """Its image cannot be had, say: the Job itself never says a word."""
    game = lost("Relaunch")
    name = next(iter(game.service.jobs))
    game.service.jobs[name] = replace(game.service.jobs[name], message="Container loop does not start: ErrImagePull")
    status = game.settle()

    assert status.trainer is not None
    assert "ErrImagePull" in status.trainer.message
    assert "ErrImagePull" in game.run.status.conditions[0].message or any(
        "ErrImagePull" in one.message for one in status.conditions
    )
    wake = game.decide().plan.wake_after
    assert wake is not None, "no event tells when it does not start, or does at last"
    assert wake <= 30


def test_a_job_stays_long_enough_to_be_seen_to_end() -> None:
    """One that is removed at once is gone before it is listed: a finished training would look deleted."""
    template = {"spec": {"ttlSecondsAfterFinished": 0, "template": {"spec": {"containers": []}}}}
    job = trainer_job(training_run({"trainer": {"template": template}}, recovery={"mode": "Relaunch"}), "sft-a1", 1)
    assert isinstance(job, dict)
    assert job["spec"]["ttlSecondsAfterFinished"] >= 60


def test_what_a_failing_job_said_is_kept_when_its_pod_is_gone() -> None:
    """RestartPolicy OnFailure: the Job's controller deletes the pod before it calls the Job failed."""
    game = lost("Relaunch")
    game.service.loop_resumes()
    game.settle()
    name = next(iter(game.service.jobs))
    game.service.jobs[name] = replace(game.service.jobs[name], message="Exit code 9")
    game.settle()
    game.service.jobs[name] = replace(game.service.jobs[name], message="")
    game.service.job_ends(JobPhase.FAILED, reason="BackoffLimitExceeded")
    game.settle()
    status = game.settle(seconds=60)

    flight = status.recovery.in_flight
    assert flight is not None
    assert "Exit code 9" in flight.cause_message
