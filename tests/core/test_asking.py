"""What else spec and annotations ask for: discover, begin from a checkpoint, observe only, look again, hooks."""

import json
from datetime import timedelta
from typing import Any

import pytest
from tests.core.builders import FIRST, MODEL, START, UNREACHABLE, FakeService, Playing, path_of, training_run
from tests.core.legality import illegalities

from tinker_operator.api.meta import CHECKPOINT_KEY, OWNER_KEY
from tinker_operator.api.reasons import ConditionType, Reason
from tinker_operator.api.recovery_status import Cause, RecoveryResult
from tinker_operator.api.run_status import TrainingRunStatus
from tinker_operator.core.conditions import find_condition
from tinker_operator.core.farewell import FINALIZER
from tinker_operator.core.world import WeightsSeen

pytestmark = pytest.mark.pure
ASK = "tinker-operator.dev/reconcile-at"
DISCOVER = {"run": {"discover": {"userMetadata": {"experiment": "math"}}}}
HOOK = {"name": "chat", "webhook": {"urlSecretRef": {"name": "hooks", "key": "url"}}}


def reason(status: TrainingRunStatus) -> str:
    found = find_condition(status.conditions, ConditionType.READY)
    assert found is not None
    return found.reason


def tagged(minutes: int, **metadata: str) -> dict[str, Any]:
    """A run that was used so many minutes after the start, with this metadata."""
    return {"last_request_time": START + timedelta(minutes=minutes), "metadata": {"experiment": "math", **metadata}}


def discovering(service: FakeService, **spec: Any) -> Playing:
    game = Playing(training_run({**DISCOVER, **spec}), service)
    game.settle()
    return game


def test_nothing_to_discover_is_waited_for() -> None:
    """It is no failure: the loop may start tomorrow."""
    game = discovering(FakeService())

    assert reason(game.run.status) == Reason.DISCOVERING
    assert game.service.sessions == {}


def test_the_run_used_last_is_discovered() -> None:
    """Of all that carry the metadata; others are passed over."""
    service = FakeService()
    service.add_run("a:train:0", **tagged(1))
    service.add_run("b:train:0", **tagged(3))
    service.add_run("c:train:0", last_request_time=START + timedelta(minutes=9), metadata={"experiment": "physics"})
    game = discovering(service)

    assert game.run.status.training_run_id == "b:train:0"
    assert reason(game.run.status) == Reason.LIVE


def test_a_run_of_another_training_run_is_not_discovered() -> None:
    """Its owner restores it; two would make two successors."""
    service = FakeService()
    service.add_run("a:train:0", **tagged(1, **{OWNER_KEY: "test/team/other"}))

    assert discovering(service).run.status.training_run_id is None


def test_two_runs_side_by_side_are_not_changed_back_and_forth() -> None:
    """Both train, and each is used a moment after the other: the first choice stands."""
    service = FakeService()
    service.add_run("a:train:0", **tagged(1))
    game = discovering(service)
    for minute in range(2, 8):
        name = "b:train:0" if minute % 2 else "a:train:0"
        service.add_run(name, **tagged(minute))
        game.settle(seconds=60)

    assert game.run.status.lineage == ("a:train:0",)


def test_a_run_that_the_user_started_anew_is_followed_when_the_old_one_rests() -> None:
    """Ten minutes unused, and a newer one in use."""
    service = FakeService()
    service.add_run("a:train:0", **tagged(1))
    game = discovering(service)
    service.add_run("b:train:0", **tagged(12))
    status = game.settle()

    assert status.lineage == ("a:train:0", "b:train:0")


def test_a_run_that_the_user_restarted_by_hand_is_not_restored_a_second_time() -> None:
    """The old one is corrupted, and a newer one trains already."""
    service = FakeService()
    service.add_run("a:train:0", 10, **tagged(5))
    game = discovering(service)
    service.corrupt("a:train:0")
    service.add_run("b:train:0", **tagged(6))
    status = game.settle()

    assert status.training_run_id == "b:train:0"
    assert status.recovery.history == ()
    assert service.sessions == {}


def test_a_discovered_run_is_recovered() -> None:
    """With nothing newer, it is restored like any other, and its successor is no discovery."""
    service = FakeService()
    service.add_run("a:train:0", 10, **tagged(5))
    game = discovering(service)
    service.corrupt("a:train:0")
    status = game.settle()

    assert status.recoveries == 1
    assert service.live() == [status.training_run_id]


def test_other_metadata_is_another_run() -> None:
    """A change of what is asked for binds anew."""
    service = FakeService()
    service.add_run("a:train:0", **tagged(5))
    service.add_run("b:train:0", **tagged(1, stage="two"))
    game = discovering(service)
    asked = {"run": {"discover": {"userMetadata": {"experiment": "math", "stage": "two"}}}}
    game.run = training_run(asked, generation=2, status=game.run.status)

    assert game.settle().training_run_id == "b:train:0"


FROM = {
    "run": {"create": {"baseModel": MODEL, "lora": {"rank": 8}, "from": {"checkpoint": path_of(10, "old:train:0")}}}
}


def test_a_run_begins_with_a_checkpoint() -> None:
    """The one call restores it, and the run says what it came from."""
    game = Playing(training_run(FROM), FakeService())
    status = game.settle()

    assert game.service.runs[status.training_run_id or ""].metadata[CHECKPOINT_KEY] == path_of(10, "old:train:0")
    assert status.recovery.restored_from == path_of(10, "old:train:0")
    assert len(game.service.sessions) == 1


def test_a_checkpoint_of_another_rank_is_refused() -> None:
    """What spec asks for and what the checkpoint is contradict each other: the user has to say which."""
    create = {**FROM["run"]["create"], "lora": {"rank": 16}}
    game = Playing(training_run({"run": {"create": create}}), FakeService())
    status = game.settle()

    assert reason(status) == Reason.CREATE_REFUSED
    assert status.training_run_id is None


def test_observe_only_tells_and_does_nothing() -> None:
    """Not a session, not a run, not a hand-over."""
    service = FakeService()
    service.add_run(FIRST, 10)
    game = Playing(training_run({"managementPolicy": "ObserveOnly"}), service)
    assert reason(game.settle()) == Reason.LIVE
    service.corrupt()
    status = game.settle()

    assert reason(status) == Reason.OBSERVE_ONLY
    assert (service.hand_over, service.sessions) == (None, {})
    assert status.recovery.attempt == 0


def test_observe_only_makes_no_run() -> None:
    """There is nothing to observe, and it says so."""
    create = {"create": {"baseModel": MODEL, "lora": {"rank": 8}}}
    game = Playing(training_run({"run": create, "managementPolicy": "ObserveOnly"}), FakeService())

    assert reason(game.settle()) == Reason.OBSERVE_ONLY
    assert game.service.runs == {}


def asked(game: Playing, value: str) -> None:
    """The user sets the annotation."""
    game.run = training_run(recovery={"jitter": "None"}, status=game.run.status, annotations={ASK: value})


def test_the_annotation_starts_a_new_budget() -> None:
    """Exhausted for good, until somebody asks again; the same value asks only once."""
    service = FakeService()
    service.add_run(FIRST, 10)
    game = Playing(training_run(recovery={"jitter": "None", "maxAttempts": 1}), service)
    game.settle()
    service.unloadable.add(path_of(10))
    service.corrupt()
    assert reason(game.settle()) == Reason.RECOVERY_EXHAUSTED
    service.unloadable.clear()
    asked(game, "one")
    status = game.settle()

    assert status.recoveries == 1
    assert status.last_handled_reconcile_at == "one"
    before = game.run.status
    game.settle()
    assert game.run.status == before


def test_the_annotation_alone_restarts_nothing() -> None:
    """A healthy run is looked at, and that is all."""
    service = FakeService()
    service.add_run(FIRST, 10)
    game = Playing(training_run(), service)
    game.settle()
    asked(game, "2026-11-22T00:00:00Z")
    status = game.settle()

    assert status.recovery.attempt == 0
    assert service.sessions == {}
    assert status.last_handled_reconcile_at == "2026-11-22T00:00:00Z"


def missing(on_missing: str) -> Playing:
    """A run that was there and is gone."""
    service = FakeService()
    service.add_run(FIRST, 10)
    game = Playing(training_run(recovery={"onMissing": on_missing}), service)
    game.settle()
    del service.runs[FIRST]
    game.settle()
    return game


def test_a_missing_run_waits_for_a_person_unless_asked_otherwise() -> None:
    """The key may be another one's; nobody can tell."""
    game = missing("Stall")

    assert reason(game.run.status) == Reason.RUN_NOT_FOUND
    assert game.service.sessions == {}


def test_a_missing_run_is_recovered_from_what_it_saved_last() -> None:
    """Its listing is gone with it; the checkpoint still loads."""
    game = missing("Recover")
    record = game.run.status.recovery.history[-1]

    assert (record.cause, record.result, record.checkpoint) == (Cause.MISSING, RecoveryResult.RECOVERED, path_of(10))


def test_a_run_that_never_was_is_a_mistake_and_not_a_loss() -> None:
    """An id with a typing error makes no run."""
    game = Playing(training_run(recovery={"onMissing": "Recover"}), FakeService())

    assert reason(game.settle()) == Reason.RUN_NOT_FOUND
    assert game.service.sessions == {}


def hooked(**recovery: Any) -> Playing:
    """A corrupted run with hooks."""
    service = FakeService()
    service.add_run(FIRST, 10)
    hooks = {"onRecovery": [HOOK], "onFailure": [{**HOOK, "name": "pager"}]}
    game = Playing(training_run(recovery={"jitter": "None", "maxAttempts": 1, **hooks, **recovery}), service)
    game.settle()
    service.corrupt()
    return game


def test_a_recovery_is_told_once_it_is_handed_over() -> None:
    """One call, with what happened in it; delivered and struck off."""
    game = hooked()
    status = game.settle()
    (call,) = game.service.hook_calls
    body = json.loads(call.body)

    assert (call.hook.name, body["occasion"], body["attempt"]) == ("chat", "Recovered", 1)
    assert body["recovery"]["toTrainingRunId"] == status.training_run_id
    assert status.hooks is not None
    assert (status.hooks.pending, status.hooks.delivered) == ((), 1)


def test_giving_up_is_told_to_the_other_hook() -> None:
    """Nobody is told of a recovery that did not happen."""
    game = hooked()
    game.service.unloadable.add(path_of(10))
    game.settle()

    assert [call.hook.name for call in game.service.hook_calls] == ["pager"]


def test_a_hook_that_fails_is_shown_and_repeated_and_undoes_nothing() -> None:
    """The run is Ready meanwhile; the call keeps its id."""
    game = hooked()
    game.service.hooks_down = True
    status = game.settle()
    assert reason(status) == Reason.LIVE
    assert status.hooks is not None
    pending = status.hooks.pending[0]
    assert (pending.tries, "503" in pending.message) == (1, True)
    game.service.hooks_down = False
    status = game.settle(seconds=10)

    assert game.service.hook_calls[0].id == pending.id
    assert status.hooks is not None
    assert status.hooks.pending == ()


def test_a_hook_that_fails_for_a_day_is_given_up() -> None:
    """It is counted, and why stays readable."""
    game = hooked()
    game.service.hooks_down = True
    for _ in range(160):
        game.settle(seconds=600)
    status = game.run.status

    assert status.hooks is not None
    assert (status.hooks.pending, status.hooks.given_up) == ((), 1)
    assert "503" in (status.hooks.last_failure or "")


def test_a_crash_after_a_call_repeats_it_under_the_same_id() -> None:
    """At least once: the receiver tells repetitions by the id."""
    game = hooked()
    while not game.service.hook_calls:
        game.look()
        plan = game.decide()
        performed = game.act(plan)
        if not game.service.hook_calls:
            game.report(plan, performed)
    game.settle()

    assert len(game.service.hook_calls) == 2
    assert len({call.id for call in game.service.hook_calls}) == 1


def test_the_finalizer_is_there_where_the_policy_asks_for_it_and_nowhere_else() -> None:
    """It comes before anything else, and goes when the policy changes back."""
    service = FakeService()
    service.add_run(FIRST, 10)
    game = Playing(training_run({"deletionPolicy": "Delete"}), service)
    game.settle()
    assert game.run.metadata.finalizers == (FINALIZER,)
    run = training_run(generation=2, status=game.run.status)
    game.run = run.model_copy(update={"metadata": run.metadata.model_copy(update={"finalizers": (FINALIZER,)})})
    game.settle()

    assert game.run.metadata.finalizers == ()
    assert reason(game.run.status) == Reason.LIVE


def test_a_silent_service_starts_nothing_in_any_mode() -> None:
    """Trouble is not failure, whatever recovery is asked for."""
    for changes in (
        {"mode": "HandOver"},
        {"onMissing": "Recover"},
        {"checkpointStrategy": "Best", "metric": {"name": "l"}},
    ):
        service = FakeService()
        service.add_run(FIRST, 10)
        game = Playing(training_run(recovery=changes), service)
        game.settle()
        service.down = UNREACHABLE
        for _ in range(5):
            game.settle(seconds=3600)
        assert game.run.status.recovery.attempt == 0
        service.down = None
        assert reason(game.settle()) == Reason.LIVE


def test_a_proof_restores_nothing_that_anybody_owns() -> None:
    """The run that proves a checkpoint carries no owner key, so nobody follows it."""
    service = FakeService()
    service.add_run(FIRST, 10)
    service.weights[path_of(10)] = WeightsSeen(MODEL, is_lora=True, lora_rank=8)
    game = Playing(training_run(recovery={"mode": "HandOver", "validation": "Load"}), service)
    game.settle()
    service.corrupt()
    game.settle()
    proofs = [run for run_id, run in service.runs.items() if run_id != FIRST]

    assert len(proofs) == 1
    assert OWNER_KEY not in proofs[0].metadata
    assert all(
        illegalities(one.observed_generation, one.observed_generation, one.conditions) == [] for one in game.statuses
    )
