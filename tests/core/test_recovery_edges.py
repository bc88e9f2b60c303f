"""The rarer histories of a run: restarts of the loop, edits at awkward moments, services that say things oddly."""

import json
from dataclasses import replace
from typing import Any

import pytest
from tests.core.builders import FIRST, MODEL, FakeService, Playing, checkpoint, path_of, playing, training_run
from tests.core.test_recovery import is_true, reason

from tinker_operator.api.meta import CHECKPOINT_KEY, RESUMED_KEY
from tinker_operator.api.reasons import ConditionType, Reason
from tinker_operator.api.recovery_status import RecoveryResult
from tinker_operator.api.run_status import TrainingRunStatus
from tinker_operator.core.telemetry import EventReason, run_events
from tinker_operator.core.world import Action, Fault, Outcome, RestoreRun, StillPending

pytestmark = pytest.mark.pure


def told(game: Playing) -> dict[str, Any]:
    """Returns the hand-over that a loop would read now."""
    document: dict[str, Any] = json.loads(game.service.hand_over or "{}")
    return document


def resume(game: Playing, run_id: str, hour: int) -> None:
    """A loop starts, and resumes as the hand-over tells it to."""
    metadata = {**told(game)["userMetadata"], RESUMED_KEY: f"2026-01-01T{hour:02d}:00:00Z"}
    game.service.add_run(run_id, metadata=metadata)


def save(game: Playing, run_id: str, step: int) -> None:
    """The loop saves a checkpoint."""
    listed = (*game.service.checkpoints[run_id], checkpoint(step, run_id))
    game.service.checkpoints[run_id] = listed
    game.service.runs[run_id] = replace(game.service.runs[run_id], last_checkpoint=listed[-1])


def test_a_loop_that_restarts_before_its_first_save_starts_where_it_came_from() -> None:
    """Not from scratch: the run without a checkpoint was itself resumed from one."""
    game = playing()
    resume(game, "loop1:train:0", 3)
    game.settle()

    assert game.run.status.training_run_id == "loop1:train:0"
    assert told(game)["checkpoint"] == path_of(30)


def test_each_restart_of_the_loop_goes_on_from_the_newest_save() -> None:
    """After a recovery and a save of the loop's own, a second restart does not fall back behind that save."""
    game = playing()
    game.service.corrupt()
    game.settle()
    resume(game, "loop1:train:0", 3)
    game.settle()
    save(game, "loop1:train:0", 40)
    game.settle()
    resume(game, "loop2:train:0", 4)
    game.settle()
    assert told(game)["checkpoint"] == path_of(40, "loop1:train:0")
    game.service.corrupt("loop2:train:0")

    assert game.settle().recovery.restored_from == path_of(40, "loop1:train:0")


def test_the_way_back_survives_the_loss_of_status() -> None:
    """The run carries the checkpoint that it came from, so a rebuilt cluster hands it over again."""
    game = playing()
    game.service.corrupt()
    game.settle()
    rebuilt = Playing(training_run(), game.service)
    rebuilt.settle()

    assert told(rebuilt)["checkpoint"] == path_of(30)
    assert game.service.runs["s1:train:0"].metadata[CHECKPOINT_KEY] == path_of(30)


def test_where_the_service_tells_no_last_checkpoint_the_listing_does() -> None:
    """last_checkpoint is null although checkpoints exist."""
    game = playing()
    game.service.runs[FIRST] = replace(game.service.runs[FIRST], last_checkpoint=None)
    game.settle()

    assert told(game)["checkpoint"] == path_of(30)


def test_without_times_names_are_ordered_as_people_read_them() -> None:
    """step-100 is newer than step-9."""
    game = playing(None, 9, 100)
    listed = tuple(replace(one, time=None) for one in game.service.checkpoints[FIRST])
    game.service.checkpoints[FIRST] = listed
    game.service.corrupt()

    assert game.settle().recovery.restored_from == path_of(100)


def test_a_loop_that_did_not_wait_is_followed_all_the_same() -> None:
    """It resumed from the old hand-over while the operator was restoring: it is the run that trains."""
    game = playing()
    old = told(game)["userMetadata"]
    game.service.corrupt()
    game.settle()
    hasty = {**old, RESUMED_KEY: game.now.isoformat()}
    game.service.add_run("hasty:train:0", metadata=hasty)
    status = game.settle()

    assert status.training_run_id == "hasty:train:0"
    assert game.service.live() == ["hasty:train:0"]
    assert game.settle().training_run_id == "hasty:train:0"


def begun(game: Playing) -> None:
    """Plays until an attempt is under way, before its load."""
    game.service.corrupt()
    for _ in range(3):
        game.look()
        game.round()
    assert game.run.status.recovery.in_flight is not None


EDITS: dict[str, dict[str, Any]] = {
    "to a run that the newest look does not know": {"run": {"trainingRunId": "later:train:0"}},
    "to a run that is to be created": {"run": {"create": {"baseModel": MODEL, "lora": {"rank": 8}}}},
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_of_spec_run_ends_the_attempt_for_the_old_run(name: str) -> None:
    """No run of the old lineage is made under the new name, and the new one is followed."""
    game = playing()
    begun(game)
    game.run = training_run(EDITS[name], generation=2, status=game.run.status)
    assert not game.act(game.decide())
    game.settle()
    game.service.add_run("later:train:0", 5)
    status = game.settle()

    assert status.recovery.history[-1].result is RecoveryResult.ABANDONED
    assert len(game.service.live()) == (1 if "adopt" in name else len({"later:train:0", status.training_run_id}))
    assert status.training_run_id not in {FIRST, "s1:train:0"}
    assert is_true(status, ConditionType.READY)


def test_changing_from_adopt_to_create_leaves_the_old_run_s_checkpoints_behind() -> None:
    """A fresh run is not told to resume from another run's checkpoint."""
    game = playing()
    game.run = training_run(EDITS["to a run that is to be created"], generation=2, status=game.run.status)
    status = game.settle()

    assert status.lineage == ("s1:train:0",)
    assert told(game)["checkpoint"] is None


class Slow(FakeService):
    """A service that lists a run as soon as its load begins, and then fails the load."""

    pending = 2

    def perform(self, action: Action) -> Outcome:
        """Answers pending at first."""
        if isinstance(action, RestoreRun) and self.pending:
            self.pending -= 1
            self.add_run(f"{action.session_id}:train:{action.model_seq_id}", metadata=action.metadata)
            return StillPending()
        return super().perform(action)


def test_a_run_that_is_listed_while_it_loads_proves_nothing() -> None:
    """Only the result of the load is the proof; the broken checkpoint is passed over as ever."""
    service = Slow(unloadable={path_of(30)})
    service.add_run(FIRST, 10, 20, 30)
    game = Playing(training_run(), service)
    game.settle()
    service.corrupt()
    status = game.settle(seconds=1)

    assert status.recovery.restored_from == path_of(20)


def test_a_load_that_never_ends_fails_the_attempt() -> None:
    """After half an hour at work on one load, the next attempt begins."""
    service = Slow()
    service.pending = 10**9
    service.add_run(FIRST, 10)
    game = Playing(training_run(recovery={"maxAttempts": 1}), service)
    game.settle()
    service.corrupt()
    for _ in range(40):
        game.look()
        game.round()
        game.now = game.now.replace(minute=(game.now.minute + 1) % 60, hour=game.now.hour + (game.now.minute == 59))

    assert game.run.status.recovery.history[-1].result is RecoveryResult.TIMED_OUT
    assert reason(game.run.status) == Reason.RECOVERY_EXHAUSTED


CREATE = {"run": {"create": {"baseModel": MODEL, "lora": {"rank": 8}}}}


def test_a_creation_that_the_service_failed_is_tried_in_another_session() -> None:
    """In the first session the same failure would be answered for ever."""
    game = Playing(training_run(CREATE), FakeService(backend_failures=2))
    status = game.settle()

    assert status.training_run_id == "s3:train:0"
    assert game.service.live() == ["s3:train:0"]


def test_a_run_that_was_never_seen_is_not_ready() -> None:
    """spec.run.trainingRunId changes to a typo: Ready does not outlive what it spoke of."""
    game = playing()
    game.run = training_run({"run": {"trainingRunId": "typo:train:0"}}, generation=2, status=game.run.status)
    game.round()

    assert not is_true(game.run.status, ConditionType.READY)
    assert reason(game.settle()) == Reason.RUN_NOT_FOUND


def test_the_words_of_a_lasting_trouble_do_not_flap() -> None:
    """Another number of seconds in each answer is not written each time."""
    game = playing()
    written = 0
    for seconds in range(20, 0, -1):
        game.service.down = Fault(Reason.RATE_LIMITED, f"Try again in {seconds} s. Ask less often.")
        game.settle(seconds=600)
        written = len({status.model_dump_json() for status in game.statuses[-20:]})

    assert written == 1


def events(game: Playing) -> list[EventReason]:
    """Returns what was told over all statuses that were written."""
    steps = zip([TrainingRunStatus(), *game.statuses], game.statuses, strict=False)
    return [one.reason for before, after in steps for one in run_events(before, after)]


def test_an_attempt_without_any_candidate_is_told_from_start_to_end() -> None:
    """Started, passed over, failed."""
    game = playing(training_run(recovery={"maxAttempts": 1}), 10)
    game.service.checkpoints[FIRST] = (checkpoint(10, size_bytes=0),)
    game.service.corrupt()
    game.settle()

    assert events(game)[1:] == [
        EventReason.CORRUPTION_DETECTED,
        EventReason.RECOVERY_STARTED,
        EventReason.CHECKPOINT_SKIPPED,
        EventReason.RECOVERY_FAILED,
        EventReason.RECOVERY_EXHAUSTED,
    ]


def test_one_corruption_is_told_once() -> None:
    """Also when the service falls silent and answers again."""
    game = playing(training_run(recovery={"enabled": False}))
    game.service.corrupt()
    for _ in range(3):
        game.settle()
        game.service.down = Fault(Reason.SERVER_FAULT, "It fails.")
        game.settle(seconds=600)
        game.service.down = None

    assert events(game).count(EventReason.CORRUPTION_DETECTED) == 1
