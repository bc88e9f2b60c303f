"""Edits, losses and late answers at the worst moment: what each of them must not do to a recovery."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.core.builders import FIRST, MODEL, RANK, UNREACHABLE, FakeService, Playing, path_of, playing, training_run
from tests.core.legality import illegalities
from tests.core.test_modes import CREATE, TRAINER, game_of, lost, reason

from tinker_operator.api.meta import RESUMED_KEY
from tinker_operator.api.reasons import Reason
from tinker_operator.api.recovery_status import RecoveryResult, Verdict
from tinker_operator.api.run_status import TrainingRunStatus
from tinker_operator.core.plan import AT_ONCE
from tinker_operator.core.world import (
    Action,
    Answer,
    BackendFailed,
    CallHook,
    CheckpointsOf,
    CreateRun,
    HandOverSeen,
    JobPhase,
    Outcome,
    Question,
    ReadHandOver,
    RestoreRun,
    RunMade,
    StillPending,
    WeightsSeen,
)

pytestmark = pytest.mark.pure
HOOK = {"name": "chat", "webhook": {"urlSecretRef": {"name": "hooks", "key": "url"}}}
OTHER = {"run": {"trainingRunId": "other:train:0"}}


def edited(game: Playing, spec: dict[str, Any] | None = None, **recovery: Any) -> None:
    """The user writes another spec; deletion policy and status stay."""
    generation = game.run.metadata.generation + 1
    game.run = training_run(spec, recovery=recovery, generation=generation, status=game.run.status)


def rounds_until_flight(game: Playing) -> None:
    for _ in range(10):
        game.look()
        game.round()
        if game.run.status.recovery.in_flight is not None:
            return
    raise AssertionError("no attempt began")


def test_counters_and_pending_calls_outlive_a_change_of_spec_run() -> None:
    """Failed attempts, hooks and the handled annotation are the object's, not the run's."""
    game = playing(training_run(recovery={"maxAttempts": 1, "onFailure": [HOOK], "jitter": "None"}), 10)
    game.service.unloadable.add(path_of(10))
    game.service.hooks_down = True
    game.service.corrupt()
    before = game.settle().model_copy(update={"last_handled_reconcile_at": "one"})
    game.run = game.run.model_copy(update={"status": before})
    game.service.add_run("other:train:0", 5)
    edited(game, OTHER, onFailure=[HOOK])
    status = game.settle()

    assert (status.training_run_id, status.failed_attempts, status.hooks) == ("other:train:0", 1, before.hooks)
    assert status.last_handled_reconcile_at == "one"


def test_a_job_of_the_run_that_spec_named_before_is_removed_and_is_no_failure_of_the_new_one() -> None:
    """It trains what nobody follows any more."""
    game = lost("Relaunch")
    game.service.loop_resumes()
    game.settle()
    game.service.add_run("other:train:0", 5)
    edited(game, {**OTHER, **TRAINER}, mode="Relaunch")
    game.service.job_ends(JobPhase.FAILED, reason="BackoffLimitExceeded", exit_code=1)
    status = game.settle()

    assert game.service.jobs == {}
    assert (status.training_run_id, status.recovery.attempt, reason(status)) == ("other:train:0", 1, Reason.LIVE)


def test_an_attempt_ends_when_spec_names_the_very_run_that_was_lost() -> None:
    """What a loop makes of the old hand-over is of another origin, and would be waited for in vain."""
    game = playing()
    game.service.corrupt()
    successor = game.settle().training_run_id or ""
    edited(game, None, mode="HandOver")
    game.service.corrupt(successor)
    game.settle()
    edited(game, {"run": {"trainingRunId": successor}}, mode="HandOver")
    game.settle()

    assert game.run.status.recovery.history[-1].result is RecoveryResult.ABANDONED
    assert json.loads(game.service.hand_over or "")["attempt"] == 3


class Forgetful(FakeService):
    """A service whose listing of checkpoints can fail alone."""

    listing_down = False

    def answer(self, question: Question) -> Answer:
        """Answers, the listing aside."""
        if self.listing_down and isinstance(question, CheckpointsOf):
            return UNREACHABLE
        return super().answer(question)


def test_trouble_with_a_listing_takes_nothing_out_of_the_hand_over() -> None:
    """A loop that restarts at that moment would begin from nothing."""
    service = Forgetful()
    service.add_run(FIRST, 10, last_checkpoint=None)
    game = Playing(training_run(), service)
    game.settle()
    assert json.loads(service.hand_over or "")["checkpoint"] == path_of(10)
    service.listing_down = True
    game.settle()

    assert json.loads(service.hand_over or "")["checkpoint"] == path_of(10)


def test_all_that_is_asked_for_is_the_listing_and_so_it_has_to_be_had() -> None:
    """At level Listed, a checkpoint that is only named is not restored while the listing cannot be had."""
    service = Forgetful()
    service.add_run(FIRST, 10)
    asked = {"validation": "Listed", "checkpointStrategy": "Specific", "checkpoint": path_of(10)}
    game = Playing(training_run(recovery=asked), service)
    game.settle()
    service.listing_down = True
    service.corrupt()
    game.settle()
    assert service.sessions == {}
    service.listing_down = False

    assert game.settle().recovery.restored_from == path_of(10)


def test_a_named_checkpoint_that_is_listed_as_expired_is_passed_over() -> None:
    """It is looked up, and what the listing says of it counts."""
    game = playing(
        training_run(recovery={"checkpointStrategy": "Specific", "checkpoint": path_of(10), "mode": "HandOver"})
    )
    listed = game.service.checkpoints[FIRST]
    game.service.checkpoints[FIRST] = tuple(replace(one, expires_at=game.now) for one in listed)
    game.service.corrupt()
    game.settle()

    assert {one.verdict for one in game.run.status.recovery.history[-1].candidates} == {Verdict.EXPIRED}


class Early(FakeService):
    """A service that lists a run as soon as it is asked for, and makes it later."""

    pending = 3
    fails = False

    def perform(self, action: Action) -> Outcome:
        """Is at work for a while."""
        if isinstance(action, RestoreRun | CreateRun) and self.pending:
            self.pending -= 1
            self.add_run(f"{action.session_id}:train:{action.model_seq_id}", metadata=action.metadata)
            return StillPending()
        if isinstance(action, RestoreRun | CreateRun) and self.fails:
            self.fails = False
            return BackendFailed("The service failed.")
        return super().perform(action)


FROM = {"run": {"create": {**CREATE["run"]["create"], "from": {"checkpoint": path_of(10, "old:train:0")}}}}


def test_a_run_that_is_listed_while_it_is_made_is_not_taken_before_it_is_there() -> None:
    """Its weights may never load; and whoever takes it has to hold its session."""
    service = Early()
    service.fails = True
    game = Playing(training_run(FROM), service)
    status = game.settle()

    assert service.live() == [status.training_run_id]
    assert status.training_run_id == "s2:train:0"
    assert status.session is not None
    assert status.session.session_id == "s2"


def test_the_session_of_a_creation_that_failed_is_finished() -> None:
    """Nothing is left open that nobody wants."""
    game = Playing(training_run(CREATE), FakeService(backend_failures=2))
    status = game.settle()

    assert game.service.finished == set(game.service.sessions.values()) - {"s3"}
    assert status.session is not None


def test_a_rebuilt_object_holds_the_session_of_the_run_that_it_finds() -> None:
    """Its status was lost, and the successor's session with it."""
    game = playing()
    game.service.corrupt()
    game.settle()
    rebuilt = Playing(training_run(), game.service)
    status = rebuilt.settle()

    assert status.session is not None
    assert (status.session.session_id, status.session.training_run_id) == ("s1", "s1:train:0")
    assert json.loads(game.service.hand_over or "")["successorTrainingRunId"] == "s1:train:0"


@pytest.mark.parametrize(
    "change",
    [
        {"validation": "Load"},
        {"checkpointStrategy": "Specific", "checkpoint": path_of(10)},
        {"restoreOptimizer": False},
    ],
)
def test_an_attempt_is_made_for_one_wish(change: dict[str, Any]) -> None:
    """Another level, strategy or checkpoint in the middle of it: it is called off, and the next one is as asked."""
    game = lost("HandOver")
    edited(game, None, mode="HandOver", **change)
    status = game.settle()

    assert status.recovery.history[-1].result is RecoveryResult.ABANDONED
    assert json.loads(game.service.hand_over or "")["attempt"] == 2


def test_raising_the_level_during_a_load_leaves_one_successor() -> None:
    """What was loaded before is finished, whatever the proof says of it."""
    service = Early()
    service.pending = 1
    service.add_run(FIRST, 10, 20)
    game = Playing(training_run(), service)
    game.settle()
    service.corrupt()
    while service.pending:
        game.look()
        game.round()
    service.unsound.add(path_of(20))
    edited(game, None, validation="Archive")
    status = game.settle()

    assert service.live() == [status.training_run_id]
    assert status.recovery.restored_from == path_of(10)


def test_a_second_proof_of_an_attempt_gets_a_session_of_its_own() -> None:
    """The first one is finished, and its key would give it again."""
    service = FakeService()
    service.add_run(FIRST, 10, 20)
    game = Playing(training_run(recovery={"validation": "Archive", "maxAttempts": 1}), service)
    game.settle()
    service.corrupt()
    while (flight := game.run.status.recovery.in_flight) is None or flight.session_id is None:
        game.look()
        game.round()
    service.unloadable.add(path_of(20))

    assert game.settle().recovery.restored_from == path_of(10)


def test_a_load_that_ended_while_nobody_asked_is_not_out_of_time() -> None:
    """The operator was away for an hour: it asks, and finds the run."""
    service = Early()
    service.pending = 1
    service.add_run(FIRST, 10)
    game = Playing(training_run(), service)
    game.settle()
    service.corrupt()
    while service.pending:
        game.look()
        game.round()
    status = game.settle(seconds=3600)

    assert (status.recoveries, status.failed_attempts) == (1, 0)


class OddRank(FakeService):
    """A service that does not tell the rank of weights, and restores one checkpoint with another rank."""

    def answer(self, question: Question) -> Answer:
        """Says nothing of ranks."""
        told = super().answer(question)
        return WeightsSeen(MODEL, is_lora=True, lora_rank=None) if isinstance(told, WeightsSeen) else told

    def perform(self, action: Action) -> Outcome:
        """Restores step 20 with rank 64."""
        done = super().perform(action)
        odd = isinstance(action, RestoreRun) and action.checkpoint == path_of(20)
        return replace(done, lora_rank=64) if odd and isinstance(done, RunMade) else done


def test_a_checkpoint_that_gave_another_rank_is_not_tried_again() -> None:
    """The budget would go on it, with a good one next to it."""
    service = OddRank()
    service.add_run(FIRST, 10, 20)
    game = Playing(training_run(recovery={"jitter": "None"}), service)
    game.settle()
    service.corrupt()
    game.settle()
    status = game.settle(seconds=60)

    assert status.recovery.restored_from == path_of(10)
    assert service.live() == [status.training_run_id]


def test_a_loop_that_goes_on_from_an_attempt_that_was_called_off_is_followed() -> None:
    """It was told to, and nobody told it otherwise; a second recovery would take its progress away."""
    game = lost("HandOver")
    edited(game, None, mode="HandOver", enabled=False)
    game.settle()
    made = game.service.loop_resumes()
    status = game.settle()

    assert (status.training_run_id, status.attempt, reason(status)) == (made, 1, Reason.LIVE)


def test_a_pod_failure_policy_is_heeded_before_the_run_appears_too() -> None:
    """The Job says that trying again is of no use: no second Job is made."""
    game = lost("Relaunch")
    game.service.job_ends(JobPhase.FAILED, reason="PodFailurePolicy", exit_code=42)
    game.settle(seconds=60)
    status = game.settle(seconds=60)

    assert (game.service.jobs_made, reason(status)) == (1, Reason.RECOVERY_EXHAUSTED)
    assert status.recovery.history[-1].result is RecoveryResult.TRAINER_GAVE_UP


def test_a_pod_on_its_way_out_reads_nothing_that_is_meant_for_the_next_one() -> None:
    """The hand-over of the new attempt is written when no pod of the old Job is left."""
    game = lost("Relaunch")
    made = game.service.loop_resumes()
    game.settle()
    game.service.pods_hang = True
    game.service.corrupt(made)
    game.settle()
    assert json.loads(game.service.hand_over or "")["attempt"] == 1
    game.service.pods_end()
    game.settle()

    assert json.loads(game.service.hand_over or "")["attempt"] == 2


def test_a_loop_that_overtakes_from_a_job_that_is_being_removed_is_missed() -> None:
    """Its run is followed, and since the operator took its Job away, the operator makes the next."""
    game = lost("Relaunch")
    made = game.service.loop_resumes()
    game.settle()
    game.service.pods_hang = True
    game.service.corrupt(made)
    game.settle()
    game.service.runs["hasty:train:0"] = replace(
        game.service.runs[made],
        run_id="hasty:train:0",
        corrupted=False,
        metadata={**game.service.runs[made].metadata, RESUMED_KEY: "2026-01-02T00:00:00Z"},
    )
    game.service.checkpoints["hasty:train:0"] = ()
    game.settle()
    game.service.pods_end()
    game.settle(seconds=60)
    status = game.settle(seconds=60)

    assert [job.phase for job in game.service.jobs.values()] == [JobPhase.RUNNING]
    assert reason(status) == Reason.AWAITING_LOOP


def test_a_job_whose_loop_resumed_by_itself_in_another_mode_goes_on() -> None:
    """Relaunch, then Recreate, then Relaunch again: the one loop that trains is left alone."""
    game = lost("Relaunch")
    made = game.service.loop_resumes()
    game.settle()
    edited(game, None)
    game.service.corrupt(made)
    game.settle()
    game.service.loop_resumes()
    game.settle()
    edited(game, TRAINER, mode="Relaunch")
    status = game.settle()

    assert [job.phase for job in game.service.jobs.values()] == [JobPhase.RUNNING]
    assert status.trainer is not None
    assert reason(status) == Reason.LIVE


class Foreign(FakeService):
    """A cluster with somebody else's ConfigMap."""

    foreign = False

    def answer(self, question: Question) -> Answer:
        """Shows the ConfigMap as another one's."""
        if self.foreign and isinstance(question, ReadHandOver):
            return HandOverSeen("{}", foreign=True, version="1")
        return super().answer(question)


def test_a_hand_over_that_cannot_be_written_is_looked_at_again() -> None:
    """Nobody tells when a ConfigMap that is not the operator's has been removed."""
    service = Foreign()
    service.add_run(FIRST, 10)
    game = Playing(training_run(recovery={"mode": "HandOver"}), service)
    game.settle()
    service.foreign = True
    service.corrupt()
    game.settle()

    assert reason(game.run.status) == Reason.HAND_OVER_CONFLICT
    assert game.decide().plan.wake_after == game.run.spec.poll_interval_seconds


def test_a_hook_is_not_called_while_a_recovery_has_something_to_do() -> None:
    """A receiver may take half a minute; the steps that only journal come first, too."""
    game = playing(training_run(recovery={"onRecovery": [HOOK], "jitter": "None"}), 10)
    game.service.hooks_down = True
    game.service.corrupt()
    game.settle()
    game.now += timedelta(seconds=60)
    game.service.corrupt(game.run.status.training_run_id or "")
    game.look()
    game.look()
    while (plan := game.decide()).plan.wake_after == AT_ONCE:
        assert game.run.status.recoveries == 2 or not any(isinstance(one, CallHook) for one in plan.plan.actions)
        if any(isinstance(one, CallHook) for one in plan.plan.actions):
            break
        game.report(plan, game.act(plan))
        game.look()

    assert game.run.status.recoveries == 2


def test_giving_up_twice_is_told_twice() -> None:
    """For another lost run it is another call, though no attempt was left to number it."""
    game = playing(training_run(recovery={"maxAttempts": 1, "onFailure": [HOOK], "jitter": "None"}), 10)
    game.service.corrupt()
    first = game.settle().training_run_id or ""
    game.service.corrupt(first)
    game.settle()
    made = game.service.loop_resumes()
    game.settle()
    game.service.corrupt(made)
    game.settle()

    assert len({call.id for call in game.service.hook_calls}) == 2


@pytest.mark.parametrize("attempts", [1, 2])
def test_a_clock_that_was_wrong_for_a_moment_costs_no_recovery(attempts: int) -> None:
    """A back-off or a count of attempts that lies a year ahead is not waited for."""
    game = playing(training_run(recovery={"jitter": "None", "maxAttempts": 2}), 10)
    game.service.backend_failures = attempts
    game.now += timedelta(days=365)
    game.service.corrupt()
    game.settle()
    game.now -= timedelta(days=365)
    game.settle(seconds=60)
    status = game.settle(seconds=60)

    assert status.recoveries == 1


def test_a_finalizer_is_set_on_a_corrupted_run_without_calling_it_ready() -> None:
    """The edit and the corruption are seen in the same round."""
    game = playing()
    game.service.corrupt()
    game.look()
    game.look()
    edited(game, {"deletionPolicy": "Delete"})
    game.round()
    status = game.run.status

    assert illegalities(2, status.observed_generation, status.conditions) == []


def test_a_service_that_says_much_does_not_end_the_reporting() -> None:
    """Conditions hold 4096 characters."""
    game = Playing(training_run(CREATE), Chatty())
    status = game.settle()

    assert reason(status) == Reason.CREATE_REFUSED
    assert TrainingRunStatus.model_validate_json(status.model_dump_json()) == status


class Chatty(FakeService):
    """A service that refuses at length."""

    def perform(self, action: Action) -> Outcome:
        """Makes something else than was asked for."""
        if isinstance(action, CreateRun):
            return RunMade("s1:train:0", "x" * 5000, RANK)
        return super().perform(action)


def test_a_run_that_is_alive_again_has_its_budget_in_each_mode() -> None:
    """An adopted run in mode Relaunch, too: what was used up is forgotten when the flag is withdrawn."""
    game = game_of("Relaunch", maxAttempts=1)
    game.service.unloadable |= {path_of(step) for step in (10, 20, 30)}
    listed = game.service.checkpoints[FIRST]
    game.service.checkpoints[FIRST] = ()
    game.service.corrupt()
    assert reason(game.settle()) == Reason.RECOVERY_EXHAUSTED
    game.service.runs[FIRST] = replace(game.service.runs[FIRST], corrupted=False)
    game.service.checkpoints[FIRST] = listed
    status = game.settle()

    assert status.recovery.exhausted_generation is None
