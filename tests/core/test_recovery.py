"""What becomes of a corrupted run: tables over whole recoveries, each played to its end against the fake service."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.core.builders import FIRST, MODEL, START, UNREACHABLE, FakeService, Playing, path_of, playing, training_run
from tests.core.legality import illegalities

from tinker_operator.api.meta import ATTEMPT_KEY, OWNER_KEY, RESUMED_KEY, ConditionStatus
from tinker_operator.api.reasons import ConditionType, Reason
from tinker_operator.api.recovery_status import VERDICT_LIMIT, RecoveryResult, Verdict
from tinker_operator.api.run_status import TrainingRunStatus
from tinker_operator.core.conditions import find_condition
from tinker_operator.core.world import Answer, CheckpointsOf, Fault, ObservedRun, Question, WeightsSeen

pytestmark = pytest.mark.pure


def reason(status: TrainingRunStatus, kind: ConditionType = ConditionType.READY) -> str | None:
    """Returns the reason of a condition."""
    found = find_condition(status.conditions, kind)
    return found.reason if found else None


def is_true(status: TrainingRunStatus, kind: ConditionType) -> bool:
    """Tells whether a condition is True."""
    found = find_condition(status.conditions, kind)
    return found is not None and found.status is ConditionStatus.TRUE


def test_a_healthy_run_is_ready_and_nothing_was_made() -> None:
    """Adopting a healthy run writes a hand-over and nothing at the service."""
    game = playing()

    assert reason(game.run.status) == Reason.LIVE
    assert is_true(game.run.status, ConditionType.READY)
    assert game.service.live() == [FIRST]
    assert game.service.sessions == {}


def test_a_corrupted_run_comes_back_from_its_newest_checkpoint() -> None:
    """One successor, restored from the newest checkpoint, with its lineage and hand-over told."""
    game = playing()
    game.service.corrupt()
    status = game.settle()

    assert status.training_run_id == "s1:train:0"
    assert game.service.live() == ["s1:train:0"]
    assert status.recoveries == 1
    assert status.recovery.restored_from == path_of(30)
    assert status.lineage == (FIRST, "s1:train:0")
    assert status.hand_over is not None
    assert (status.hand_over.attempt, status.hand_over.checkpoint) == (1, path_of(30))
    assert is_true(status, ConditionType.READY)


def test_the_successor_carries_the_owner_and_the_lost_run_s_own_metadata() -> None:
    """The service inherits nothing, so the operator passes on what the user had written there."""
    game = playing()
    game.service.runs[FIRST] = replace(
        game.service.runs[FIRST], metadata={"experiment": "math", RESUMED_KEY: "2026-01-01T00:00:00Z"}
    )
    game.service.corrupt()
    game.settle()

    metadata = game.service.runs["s1:train:0"].metadata
    assert metadata["experiment"] == "math"
    assert metadata[OWNER_KEY] == "test/team/sft"
    assert metadata[ATTEMPT_KEY] == "1"
    assert RESUMED_KEY not in metadata


def test_one_observation_is_not_enough() -> None:
    """Corruption seen once changes nothing at all; the second look decides."""
    game = playing()
    before = game.run.status
    game.service.corrupt()
    game.look()

    assert not game.round()
    assert game.run.status == before


def test_a_flag_that_does_not_stay_starts_nothing() -> None:
    """True, false, true, false: never twice in a row, never a recovery."""
    game = playing()
    for _ in range(6):
        game.service.corrupt()
        game.look()
        game.round()
        game.service.runs[FIRST] = replace(game.service.runs[FIRST], corrupted=False)
        game.look()
        game.round()

    assert game.service.sessions == {}


OBJECTIONS: dict[str, tuple[dict[str, Any], WeightsSeen | None, bool, Verdict]] = {
    "a checkpoint that does not load is passed over": ({}, None, True, Verdict.NOT_LOADABLE),
    "a checkpoint of zero bytes is passed over": ({"size_bytes": 0}, None, False, Verdict.EMPTY),
    "an expired checkpoint is passed over": ({"expires_at": START}, None, False, Verdict.EXPIRED),
    "another rank is passed over": ({}, WeightsSeen(MODEL, True, 16), False, Verdict.RANK_MISMATCH),
    "another base model is passed over": ({}, WeightsSeen("other", True, 8), False, Verdict.BASE_MODEL_MISMATCH),
    "a checkpoint that is no adapter is passed over": ({}, WeightsSeen(MODEL, False, None), False, Verdict.NOT_LORA),
}


@pytest.mark.parametrize("name", OBJECTIONS)
def test_the_walk_goes_back_to_the_first_good_checkpoint(name: str) -> None:
    """The newest has a fault: the one before is restored, and the verdict of both is in the history."""
    changes, weights, unloadable, verdict = OBJECTIONS[name]
    game = playing()
    listed = game.service.checkpoints[FIRST]
    game.service.checkpoints[FIRST] = (*listed[:-1], replace(listed[-1], **changes))
    game.service.weights |= {path_of(30): weights} if weights else {}
    game.service.unloadable |= {path_of(30)} if unloadable else set()
    game.service.corrupt()
    status = game.settle()

    told = [(one.checkpoint, one.verdict) for one in status.recovery.history[-1].candidates]
    assert told == [(path_of(30), verdict), (path_of(20), Verdict.GOOD)]
    assert status.recovery.restored_from == path_of(20)
    assert len(game.service.live()) == 1


def test_sampler_checkpoints_are_no_candidates() -> None:
    """Only training checkpoints can be trained from."""
    game = playing()
    listed = game.service.checkpoints[FIRST]
    game.service.checkpoints[FIRST] = (*listed[:-1], replace(listed[-1], kind=type(listed[-1].kind).SAMPLER))
    game.service.corrupt()

    assert game.settle().recovery.restored_from == path_of(20)


def test_specific_restores_the_named_checkpoint_only() -> None:
    """checkpointStrategy: Specific never walks back."""
    game = playing(training_run(recovery={"checkpointStrategy": "Specific", "checkpoint": path_of(10)}))
    game.service.corrupt()

    assert game.settle().recovery.restored_from == path_of(10)


def test_recovery_that_is_not_enabled_waits_for_a_person() -> None:
    """Nothing is ever restarted unasked."""
    game = playing(training_run(recovery={"enabled": False}))
    game.service.corrupt()
    status = game.settle()

    assert reason(status) == Reason.RECOVERY_DISABLED
    assert is_true(status, ConditionType.STALLED)
    assert game.service.sessions == {}


def test_attempts_end_with_the_budget_and_wait_between() -> None:
    """No checkpoint loads: three attempts, 5 and 10 seconds apart, then Stalled for good."""
    game = playing(training_run(recovery={"jitter": "None"}))
    game.service.unloadable |= {path_of(step) for step in (10, 20, 30)}
    game.service.corrupt()
    waits = []
    while game.settle().recovery.next_attempt_time is not None:
        wait = game.run.status.recovery.next_attempt_time
        assert wait is not None
        waits.append(wait - game.now)
        game.now = wait

    assert waits == [timedelta(seconds=5), timedelta(seconds=10)]
    assert reason(game.run.status) == Reason.RECOVERY_EXHAUSTED
    assert [record.result for record in game.run.status.recovery.history] == [RecoveryResult.NO_USABLE_CHECKPOINT] * 3
    assert game.service.live() == []


def test_recoveries_that_succeed_use_the_budget_too() -> None:
    """A run that is corrupted again and again is not restored for ever; a quiet window gives the budget back."""
    game = playing(training_run(recovery={"maxAttempts": 2}))
    for _ in range(2):
        game.service.corrupt(game.run.status.training_run_id or "")
        game.settle()
    assert game.run.status.recoveries == 2
    game.settle(seconds=86401)
    game.service.corrupt(game.run.status.training_run_id or "")
    assert game.settle().recoveries == 3
    game.service.corrupt(game.run.status.training_run_id or "")
    assert game.settle().recoveries == 4
    game.service.corrupt(game.run.status.training_run_id or "")

    assert reason(game.settle()) == Reason.RECOVERY_EXHAUSTED
    assert game.run.status.recoveries == 4
    assert game.service.live() == []


def test_an_attempt_tries_a_bounded_number_of_candidates() -> None:
    """A service that refuses every load ends the attempt; it does not begin again at the newest for ever."""
    game = playing(training_run(recovery={"maxAttempts": 1}), *range(1, 61))
    game.service.unloadable = {path_of(step) for step in range(1, 61)}
    game.service.corrupt()
    status = game.settle(rounds=200)

    assert status.recovery.history[-1].result is RecoveryResult.NO_USABLE_CHECKPOINT
    assert len(status.recovery.history[-1].candidates) == VERDICT_LIMIT
    assert reason(status) == Reason.RECOVERY_EXHAUSTED


def test_exhaustion_lasts_until_the_spec_changes() -> None:
    """Time alone starts nothing again; a new generation has a new budget."""
    game = playing(training_run(recovery={"maxAttempts": 1}))
    game.service.unloadable |= {path_of(step) for step in (10, 20, 30)}
    game.service.corrupt()
    game.settle()
    game.settle(seconds=10 * 86400)

    assert len(game.run.status.recovery.history) == 1
    game.service.unloadable.clear()
    game.run = training_run(recovery={"maxAttempts": 2}, generation=2, status=game.run.status)

    assert game.settle().recoveries == 1


def test_a_failing_service_is_no_verdict_on_the_checkpoint() -> None:
    """The next attempt takes the same checkpoint again."""
    game = playing()
    game.service.backend_failures = 1
    game.service.corrupt()
    game.settle()
    status = game.settle(seconds=5)

    assert [record.result for record in status.recovery.history] == [
        RecoveryResult.BACKEND_FAILED,
        RecoveryResult.RECOVERED,
    ]
    assert status.recovery.restored_from == path_of(30)
    assert game.service.live() == ["s2:train:0"]


def test_silence_in_the_middle_of_an_attempt_is_waited_out() -> None:
    """The attempt goes on where it was; nothing is counted twice, nothing is made twice."""
    game = playing()
    game.service.corrupt()
    for _ in range(3):
        game.look()
        game.round()
    game.service.down = UNREACHABLE
    game.settle(seconds=3600)
    game.service.down = None
    status = game.settle()

    assert status.recovery.attempt == 1
    assert game.service.live() == ["s1:train:0"]


FAULTS = {
    "no connection": UNREACHABLE,
    "a wrong key": Fault(Reason.UNAUTHORIZED, "The key is wrong. Give another.", needs_user=True),
    "garbage": Fault(Reason.INVALID_RESPONSE, "The answer is no JSON. Check the URL."),
    "half a listing": Fault(Reason.INCOMPLETE_LISTING, "The pages do not add up."),
    "5xx": Fault(Reason.SERVER_FAULT, "The service answered 503."),
}


@pytest.mark.parametrize("name", FAULTS)
def test_trouble_of_the_service_starts_nothing_and_passes(name: str) -> None:
    """Synced=False with the cause, Corrupted=Unknown, no call; Ready again when it is over."""
    game = playing()
    game.service.down = FAULTS[name]
    status = game.settle(seconds=3600)

    assert reason(status, ConditionType.SYNCED) == FAULTS[name].reason
    assert not is_true(status, ConditionType.SYNCED)
    assert not is_true(status, ConditionType.READY)
    assert is_true(status, ConditionType.STALLED) == FAULTS[name].needs_user
    assert reason(status, ConditionType.CORRUPTED) == Reason.NOT_OBSERVED
    game.service.down = None

    assert is_true(game.settle(), ConditionType.READY)
    assert game.service.sessions == {}


def test_one_lost_answer_does_not_take_ready_away() -> None:
    """Within three poll intervals a live run stays Ready, though no longer Synced."""
    game = playing()
    game.service.down = UNREACHABLE
    status = game.settle(seconds=30)

    assert is_true(status, ConditionType.READY)
    assert not is_true(status, ConditionType.SYNCED)


def test_a_run_that_is_gone_stalls_and_is_not_recovered() -> None:
    """Absence from two complete listings is told, with what to compare."""
    game = playing()
    del game.service.runs[FIRST]
    status = game.settle()

    assert reason(status) == Reason.RUN_NOT_FOUND
    assert is_true(status, ConditionType.STALLED)
    assert game.service.sessions == {}


def test_suspend_holds_everything_back() -> None:
    """A corrupted run that is suspended is seen, and left alone until suspend is lifted."""
    game = playing()
    game.run = training_run({"suspend": True}, generation=2, status=game.run.status)
    game.service.corrupt()
    status = game.settle()

    assert reason(status) == Reason.SUSPENDED
    assert is_true(status, ConditionType.CORRUPTED)
    assert game.service.sessions == {}
    game.run = training_run(generation=3, status=status)

    assert game.settle().recoveries == 1


def test_a_loop_that_resumed_is_followed_and_the_operator_s_session_ends() -> None:
    """The run that trains is the one that is watched; exactly one is live."""
    game = playing()
    game.service.corrupt()
    status = game.settle()
    kin = {**game.service.runs["s1:train:0"].metadata, RESUMED_KEY: "2026-01-01T03:00:00Z"}
    game.service.add_run("loop:train:0", 40, metadata=kin)
    status = game.settle()

    assert status.training_run_id == "loop:train:0"
    assert game.service.live() == ["loop:train:0"]
    assert status.session is None
    assert status.hand_over is not None
    assert status.hand_over.checkpoint == path_of(40, "loop:train:0")
    assert status.recovery.restored_from == path_of(30)


def test_the_run_of_the_loop_is_recovered_in_its_turn() -> None:
    """A second corruption restores from the loop's own checkpoints, as attempt 2."""
    game = playing()
    game.service.corrupt()
    game.settle()
    kin = {**game.service.runs["s1:train:0"].metadata, RESUMED_KEY: "2026-01-01T03:00:00Z"}
    game.service.add_run("loop:train:0", 40, metadata=kin)
    game.settle()
    game.service.corrupt("loop:train:0")
    status = game.settle()

    assert status.training_run_id == "s2:train:0"
    assert status.recovery.restored_from == path_of(40, "loop:train:0")
    assert game.service.live() == ["s2:train:0"]
    assert status.attempt == 2


def test_a_successor_that_never_saved_is_restored_from_its_own_source() -> None:
    """With no checkpoint of its own, the one it came from is the last resort."""
    game = playing()
    game.service.corrupt()
    game.settle()
    game.service.corrupt("s1:train:0")
    status = game.settle()

    assert status.recovery.restored_from == path_of(30)
    assert game.service.live() == ["s2:train:0"]


def test_a_cluster_rebuilt_from_git_finds_its_run_again() -> None:
    """Status is lost; the owner key at the service leads to the successor, and nothing new is made."""
    game = playing()
    game.service.corrupt()
    game.settle()
    rebuilt = Playing(training_run(), game.service)
    status = rebuilt.settle()

    assert status.training_run_id == "s1:train:0"
    assert status.attempt == 1
    assert game.service.live() == ["s1:train:0"]


def test_a_run_is_created_once() -> None:
    """The operator makes the run, keeps its session, and is at rest."""
    create = {"run": {"create": {"baseModel": MODEL, "lora": {"rank": 8}, "userMetadata": {"a": "b"}}}}
    game = Playing(training_run(create), FakeService())
    status = game.settle()

    assert status.training_run_id == "s1:train:0"
    assert status.session is not None
    assert game.service.live() == ["s1:train:0"]
    assert game.service.runs["s1:train:0"].metadata["a"] == "b"
    assert is_true(status, ConditionType.READY)


def test_a_created_run_is_found_again_after_a_rebuild() -> None:
    """No second run for the same owner."""
    create = {"run": {"create": {"baseModel": MODEL, "lora": {"rank": 8}}}}
    game = Playing(training_run(create), FakeService())
    game.settle()
    rebuilt = Playing(training_run(create), game.service)

    assert rebuilt.settle().training_run_id == "s1:train:0"
    assert game.service.live() == ["s1:train:0"]


def test_following_another_run_abandons_the_recovery_of_the_first() -> None:
    """spec.run.trainingRunId changes while an attempt is under way: no successor of the old run stays alive."""
    game = playing()
    game.service.corrupt()
    for _ in range(3):
        game.look()
        game.round()
    assert game.run.status.recovery.in_flight is not None
    game.service.add_run("other:train:0", 5)
    game.run = training_run({"run": {"trainingRunId": "other:train:0"}}, generation=2, status=game.run.status)
    status = game.settle()

    assert status.training_run_id == "other:train:0"
    assert status.recovery.history[-1].result is RecoveryResult.ABANDONED
    assert game.service.live() == ["other:train:0"]


def test_a_run_that_an_older_object_follows_is_left_to_it() -> None:
    """Nothing is begun, and what was begun at the same moment is abandoned without a live successor."""
    game = playing()
    game.service.corrupt()
    for _ in range(3):
        game.look()
        game.round()
    assert game.run.status.recovery.in_flight is not None
    game.claimed_by = "team/older"
    status = game.settle()

    assert reason(status) == Reason.RUN_CLAIMED
    assert status.recovery.history[-1].result is RecoveryResult.ABANDONED
    assert game.service.live() == []


def test_a_flag_that_is_withdrawn_ends_the_attempt() -> None:
    """Never restart a healthy run: two observations without the flag abandon what was begun."""
    game = playing()
    game.service.corrupt()
    for _ in range(3):
        game.look()
        game.round()
    game.service.runs[FIRST] = replace(game.service.runs[FIRST], corrupted=False)
    status = game.settle()

    assert status.training_run_id == FIRST
    assert game.service.live() == [FIRST]


def test_every_status_of_a_recovery_is_legal() -> None:
    """Kstatus' rules hold for each status on the way."""
    game = playing()
    game.service.unloadable.add(path_of(30))
    game.service.corrupt()
    game.settle()

    for status in game.statuses:
        assert illegalities(1, status.observed_generation, status.conditions) == []


def test_a_status_at_rest_is_the_same_again() -> None:
    """The same facts give the same status: no write at rest."""
    game = playing()
    for _ in range(5):
        game.look()

        assert not game.round()


def test_a_busy_run_is_not_chased() -> None:
    """last_request_time moves with every step of training; status follows it every ten minutes."""
    game = playing()
    written = 0
    for minute in range(30):
        run: ObservedRun = game.service.runs[FIRST]
        game.service.runs[FIRST] = replace(run, last_request_time=START + timedelta(minutes=minute))
        game.look()
        written += game.round()

    assert written == 3


class Listened(FakeService):
    """A service that notes whose checkpoints are asked for, and what the hand-over says by then."""

    def __init__(self) -> None:
        super().__init__()
        self.listed: list[tuple[str, str | None]] = []

    def answer(self, question: Question) -> Answer:
        if isinstance(question, CheckpointsOf):
            self.listed.append((question.run_id, self.hand_over))
        return super().answer(question)


def test_a_successor_is_not_asked_for_checkpoints_before_a_loop_can_know_of_it() -> None:
    """A hundred recoveries at once would ask a hundred times for what cannot be."""
    service = Listened()
    service.add_run(FIRST, 10)
    game = Playing(training_run(), service)
    game.settle()
    service.corrupt()
    game.settle()
    of_successor = [told or "" for run_id, told in service.listed if run_id == "s1:train:0"]

    assert FIRST in {run_id for run_id, _ in service.listed}
    assert all("s1:train:0" in told for told in of_successor)
    game.settle(seconds=3600)
    assert "s1:train:0" in {run_id for run_id, _ in service.listed}, "it is asked for them at rest"
