"""Modes HandOver and Relaunch: who makes the successor is a training loop, and there is never a second one."""

import json
from dataclasses import replace
from typing import Any

import pytest
from tests.core.builders import FIRST, FakeService, Playing, path_of, training_run
from tests.core.legality import illegalities

from tinker_operator.api.meta import ATTEMPT_KEY, OWNER_KEY
from tinker_operator.api.reasons import ConditionType, Reason
from tinker_operator.api.recovery_status import Cause, RecoveryResult
from tinker_operator.api.run_status import TrainerPhase, TrainingRunStatus
from tinker_operator.core.conditions import find_condition
from tinker_operator.core.world import JobPhase

pytestmark = pytest.mark.pure
TRAINER = {"trainer": {"template": {"spec": {"template": {"spec": {"containers": [{"name": "loop", "image": "i"}]}}}}}}
CREATE = {"run": {"create": {"baseModel": "Qwen/Qwen3-8B", "lora": {"rank": 8}}}}


def reason(status: TrainingRunStatus) -> str:
    found = find_condition(status.conditions, ConditionType.READY)
    assert found is not None
    return found.reason


def game_of(mode: str, spec: dict[str, Any] | None = None, **recovery: Any) -> Playing:
    """An adopted run with three checkpoints, at rest, with recovery in this mode."""
    service = FakeService()
    service.add_run(FIRST, 10, 20, 30)
    merged = {**(TRAINER if mode == "Relaunch" else {}), **(spec or {})}
    game = Playing(training_run(merged, recovery={"mode": mode, "jitter": "None", **recovery}), service)
    game.settle()
    return game


def lost(mode: str, **recovery: Any) -> Playing:
    """The same, corrupted, and as far recovered as it gets without a loop."""
    game = game_of(mode, **recovery)
    game.service.corrupt()
    game.settle()
    return game


def test_hand_over_tells_the_loop_and_makes_nothing() -> None:
    """The document names attempt, checkpoint and lost run; no session is opened and no run made."""
    game = lost("HandOver")
    told = json.loads(game.service.hand_over or "")

    assert (told["attempt"], told["mode"], told["checkpoint"]) == (1, "HandOver", path_of(30))
    assert (told["trainingRunId"], told["successorTrainingRunId"]) == (FIRST, None)
    assert reason(game.run.status) == Reason.AWAITING_LOOP
    assert game.service.sessions == {}
    assert list(game.service.runs) == [FIRST]


def test_the_run_that_the_loop_makes_is_the_successor() -> None:
    """It appears with this attempt, completes it, and is followed from then on."""
    game = lost("HandOver")
    made = game.service.loop_resumes()
    status = game.settle()

    assert status.training_run_id == made
    assert (status.recoveries, status.attempt) == (1, 1)
    assert status.recovery.history[-1].to_training_run_id == made
    assert status.recovery.restored_from == path_of(30)
    assert reason(status) == Reason.LIVE
    assert json.loads(game.service.hand_over or "")["successorTrainingRunId"] is None


def test_a_loop_that_takes_days_is_waited_for() -> None:
    """Nothing fails while no loop runs: the budget is not used up by waiting."""
    game = lost("HandOver")
    for _ in range(5):
        game.settle(seconds=86400)

    assert reason(game.run.status) == Reason.AWAITING_LOOP
    assert game.run.status.recovery.attempt == 1


def test_a_successor_of_another_rank_is_refused() -> None:
    """A loop that resumes something else does not become current."""
    game = lost("HandOver", maxAttempts=1)
    game.service.loop_resumes()
    game.service.runs["loop1:train:0"] = replace(game.service.runs["loop1:train:0"], lora_rank=64)
    status = game.settle()

    assert status.recovery.history[-1].result is RecoveryResult.SUCCESSOR_MISMATCH
    assert reason(status) == Reason.RECOVERY_EXHAUSTED


def test_an_adopted_run_gets_no_job_while_it_lives() -> None:
    """Somebody else's loop trains it: a Job beside it would be a second loop."""
    game = game_of("Relaunch")

    assert game.service.jobs == {}
    assert reason(game.run.status) == Reason.LIVE


def test_a_corrupted_run_is_relaunched_once() -> None:
    """Hand-over first, then one Job for attempt 1; the run that its loop makes completes the attempt."""
    game = lost("Relaunch")
    assert [job.attempt for job in game.service.jobs.values()] == [1]
    assert reason(game.run.status) == Reason.AWAITING_LOOP
    made = game.service.loop_resumes()
    status = game.settle()

    assert status.training_run_id == made
    assert status.trainer is not None
    assert (status.trainer.attempt, status.trainer.phase) == (1, TrainerPhase.RUNNING)
    assert game.service.jobs_made == 1
    assert reason(status) == Reason.LIVE


def test_the_old_job_is_gone_before_the_new_one_is_made() -> None:
    """A pod that hangs on SIGTERM keeps its Job listed, and so keeps the next one from being made."""
    game = lost("Relaunch")
    made = game.service.loop_resumes()
    game.settle()
    game.service.pods_hang = True
    game.service.corrupt(made)
    game.settle()
    assert [(job.attempt, job.phase) for job in game.service.jobs.values()] == [(1, JobPhase.DELETING)]
    message = find_condition(game.run.status.conditions, ConditionType.READY)
    assert message is not None
    assert "sft-a1" in message.message
    game.service.pods_end()
    game.settle()

    assert [job.attempt for job in game.service.jobs.values()] == [2]


def test_a_created_run_gets_its_first_job() -> None:
    """The operator makes the run, hands it over, and launches the loop that goes on in a run of its own."""
    game = Playing(training_run({**CREATE, **TRAINER}, recovery={"mode": "Relaunch"}), FakeService())
    game.settle()
    assert [job.attempt for job in game.service.jobs.values()] == [0]
    made = game.service.loop_resumes()
    status = game.settle()

    assert status.training_run_id == made
    assert game.service.jobs_made == 1
    assert game.service.live() == [made]


def test_a_job_that_failed_is_relaunched_with_its_cause_in_history() -> None:
    """Its run is not corrupted, and nothing trains it any more."""
    game = Playing(training_run({**CREATE, **TRAINER}, recovery={"mode": "Relaunch", "jitter": "None"}), FakeService())
    game.settle()
    made = game.service.loop_resumes()
    game.settle()
    game.service.add_run(made, 40, metadata=game.service.runs[made].metadata)
    game.service.job_ends(JobPhase.FAILED, reason="BackoffLimitExceeded", message="OOMKilled", exit_code=137)
    game.settle()
    assert [job.attempt for job in game.service.jobs.values()] == [1]
    again = game.service.loop_resumes()
    status = game.settle()

    record = status.recovery.history[-1]
    assert (record.cause, record.result) == (Cause.TRAINER_FAILED, RecoveryResult.RECOVERED)
    assert "137" in record.cause_message
    assert status.training_run_id == again
    assert record.checkpoint == path_of(40, made)


def test_a_job_that_fails_before_its_run_appears_is_a_failed_attempt() -> None:
    """The next one waits for the back-off, and begins when that Job is gone."""
    game = lost("Relaunch", maxAttempts=2)
    game.service.job_ends(JobPhase.FAILED, reason="BackoffLimitExceeded", exit_code=1)
    status = game.settle(seconds=60)
    assert status.recovery.history[-1].result is RecoveryResult.TRAINER_FAILED
    assert status.recovery.next_attempt_time is not None
    game.settle(seconds=60)
    assert [job.attempt for job in game.service.jobs.values()] == [2]
    game.service.job_ends(JobPhase.FAILED, reason="BackoffLimitExceeded", exit_code=1)
    status = game.settle(seconds=60)

    assert reason(status) == Reason.RECOVERY_EXHAUSTED
    assert status.failed_attempts == 2


def test_a_pod_failure_policy_that_says_no_is_heeded() -> None:
    """The Job's own policy knows that trying again is of no use."""
    game = lost("Relaunch")
    game.service.loop_resumes()
    game.settle()
    game.service.job_ends(JobPhase.FAILED, reason="PodFailurePolicy", exit_code=42)

    assert reason(game.settle()) == Reason.TRAINER_FAILED
    assert game.service.jobs_made == 1


def test_a_job_that_succeeded_is_the_end_even_when_it_is_removed() -> None:
    """A finished training is never begun again because its Job was tidied up."""
    game = lost("Relaunch")
    game.service.loop_resumes()
    game.settle()
    game.service.job_ends(JobPhase.SUCCEEDED)
    assert reason(game.settle()) == Reason.COMPLETED
    game.service.jobs.clear()

    assert reason(game.settle()) == Reason.COMPLETED
    assert game.service.jobs_made == 1


def test_a_job_that_somebody_deleted_waits_for_a_word() -> None:
    """It may have finished unseen; the annotation has it made again."""
    game = lost("Relaunch")
    game.service.loop_resumes()
    game.settle()
    game.service.jobs.clear()
    assert reason(game.settle()) == Reason.TRAINER_GONE
    asked = training_run(
        TRAINER,
        recovery={"mode": "Relaunch", "jitter": "None"},
        status=game.run.status,
        annotations={"tinker-operator.dev/reconcile-at": "now"},
    )
    game.run = asked
    status = game.settle()

    assert [job.attempt for job in game.service.jobs.values()] == [1]
    assert reason(status) == Reason.LIVE
    assert status.last_handled_reconcile_at == "now"


def test_an_abandoned_attempt_takes_its_job_along() -> None:
    """Recovery is switched off while the Job runs: no loop is left behind that nobody asked for."""
    game = lost("Relaunch")
    game.run = training_run(
        TRAINER, recovery={"mode": "Relaunch", "enabled": False}, generation=2, status=game.run.status
    )
    status = game.settle()

    assert game.service.jobs == {}
    assert status.recovery.history[-1].result is RecoveryResult.ABANDONED
    assert reason(status) == Reason.RECOVERY_DISABLED


@pytest.mark.parametrize("mode", ["HandOver", "Relaunch"])
def test_a_change_of_mode_abandons_the_attempt(mode: str) -> None:
    """The new mode begins an attempt of its own."""
    game = lost(mode)
    game.run = training_run(recovery={"jitter": "None"}, generation=2, status=game.run.status)
    status = game.settle()

    assert status.recovery.history[0].result is RecoveryResult.ABANDONED
    assert status.recovery.history[-1].result is RecoveryResult.RECOVERED
    assert game.service.jobs == {}
    assert game.service.runs[status.training_run_id or ""].metadata[ATTEMPT_KEY] == "2"


@pytest.mark.parametrize("mode", ["HandOver", "Relaunch"])
def test_every_status_on_the_way_is_legal(mode: str) -> None:
    """Kstatus reads each of them."""
    game = lost(mode)
    game.service.loop_resumes()
    game.settle()

    for status in game.statuses:
        assert illegalities(status.observed_generation, status.observed_generation, status.conditions) == []
    assert game.service.runs["loop1:train:0"].metadata[OWNER_KEY] == "test/team/sft"
