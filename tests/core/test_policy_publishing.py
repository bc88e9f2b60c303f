"""Publishing: what is chosen, in which order it moves, and that nothing but the policy's own is ever taken back."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.concern_world import BASE, DOWN, NEW, OLD, REFUSED, Game, asking, proving, service
from tests.core.strategies_policy import NOW, checkpoint, policy, training_run

from tinker_operator.api.publish_spec import Publish
from tinker_operator.api.reasons import ConditionType
from tinker_operator.api.recovery_spec import Metric, MetricMode, ValidationLevel
from tinker_operator.api.retention_spec import KeepBest
from tinker_operator.api.validation_status import PublishedCheckpoint, PublishingStatus
from tinker_operator.core import policy_publishing
from tinker_operator.core.policy import plan_policy
from tinker_operator.core.policy_concern import Returned
from tinker_operator.core.policy_publishing import next_publishing, plan_publishing
from tinker_operator.core.policy_references import references
from tinker_operator.core.policy_seen import Governed, PolicySeen
from tinker_operator.core.telemetry import EventReason
from tinker_operator.core.world import (
    CheckpointsOf,
    Done,
    Fault,
    ObservedCheckpoint,
    ObservedRun,
    PublishCheckpoint,
    UnpublishCheckpoint,
)

pytestmark = pytest.mark.pure

LATEST = asking(publish=Publish.LATEST)
METRIC = Metric(name="loss", mode=MetricMode.MIN)
BEST = asking(
    policy(uid="p1", created=NOW, keep_last=100, keep_best=KeepBest(count=1, metric=METRIC)), publish=Publish.BEST
)


def scored(name: str, hours: float, loss: str | None) -> ObservedCheckpoint:
    return checkpoint(name, hours, metadata={} if loss is None else {"loss": loss})


CHOSEN = {
    "the newest is the latest": (LATEST, (OLD, NEW), {"new"}),
    "an empty one is passed over": (LATEST, (OLD, replace(NEW, size_bytes=0)), {"old"}),
    "an expired one is passed over": (LATEST, (OLD, replace(NEW, expires_at=NOW)), {"old"}),
    "one from the future is passed over": (LATEST, (OLD, replace(NEW, time=NOW + timedelta(days=9))), {"old"}),
    "one of unknown time is passed over": (LATEST, (OLD, replace(NEW, time=None)), {"old"}),
    "the lowest loss is the best": (BEST, (scored("a", 3, "0.1"), scored("b", 2, "0.2")), {"a"}),
    "of equal ones the newer is the best": (BEST, (scored("a", 3, "0.1"), scored("b", 2, "0.1")), {"b"}),
    "NaN is never best": (BEST, (scored("a", 3, "0.3"), scored("b", 2, "NaN")), {"a"}),
    "without a metric there is no best": (BEST, (scored("a", 3, None),), set[str]()),
    "nothing is published unasked": (asking(), (OLD, NEW), set[str]()),
    "a suspended policy publishes nothing": (asking(LATEST, suspend=True), (OLD, NEW), set[str]()),
}


@pytest.mark.parametrize("says", CHOSEN)
def test_what_is_public(says: str) -> None:
    asked, listed, names = CHOSEN[says]
    game = Game(asked, service(*listed)).rest()
    assert {path.rpartition("/")[2] for path in game.service.public()} == names


def test_it_is_announced_before_it_is_published_and_then_it_rests() -> None:
    game = Game(LATEST, service(OLD, NEW))
    game.look()
    assert game.service.asked == []
    section = game.policy.status.publishing
    assert section is not None
    assert [(it.path, it.public) for it in section.checkpoints] == [(NEW.path, False)]
    writes = game.rest().writes
    for _ in range(5):
        game.look()
    assert (game.writes, len(game.service.asked)) == (writes, 1)
    assert game.condition("Published") == ("True", "Published")
    assert [it.reason for it in game.events] == [EventReason.CHECKPOINT_PUBLISHED]


def test_the_new_one_is_public_before_the_old_one_is_taken_back() -> None:
    game = Game(LATEST, service(OLD)).rest()
    game.service.listed[NEW.path] = NEW
    while game.service.public() != {NEW.path}:
        game.look()
        assert game.service.public()
    game.rest()
    assert [type(it) for it in game.service.asked] == [PublishCheckpoint, PublishCheckpoint, UnpublishCheckpoint]


def test_the_old_one_stays_public_while_the_new_one_cannot_be_published() -> None:
    game = Game(LATEST, service(OLD)).rest()
    game.service.listed[NEW.path] = NEW
    game.service.down = DOWN
    for _ in range(5):
        game.look()
        game.now += timedelta(minutes=10)
    assert game.service.public() == {OLD.path}
    assert game.condition("Published") == ("False", "ServerFault")
    assert game.condition("Ready")[0] == "True"


def test_what_somebody_else_published_is_never_taken_back() -> None:
    game = Game(LATEST, service(replace(OLD, public=True), replace(NEW, public=True))).rest()
    newer = checkpoint("newer", 0.5)
    game.service.listed[newer.path] = newer
    game.rest()
    game.policy = asking(game.policy, publish=Publish.NONE)
    game.rest()
    assert game.service.public() == {OLD.path, NEW.path}
    assert game.policy.status.publishing is None


def test_what_the_service_refused_and_somebody_else_did_is_somebody_elses() -> None:
    game = Game(LATEST, service(NEW, down=REFUSED))
    for _ in range(3):
        game.look()
    game.service.down = None
    game.resaved(NEW.path, public=True)
    game.now += timedelta(hours=1)
    game.rest()
    game.policy = asking(game.policy, publish=Publish.NONE)
    assert game.rest().service.public() == {NEW.path}


@pytest.mark.parametrize(
    "change", [{"publish": Publish.NONE}, {"selector": None}], ids=["None", "not governed any more"]
)
def test_what_it_published_is_taken_back_when_it_is_not_asked_for_any_more(change: dict[str, object]) -> None:
    game = Game(LATEST, service(OLD, NEW)).rest()
    if "selector" in change:
        change = {"selector": game.policy.spec.selector.model_copy(update={"match_labels": {"team": "bio"}})}
    game.policy = asking(game.policy, **change)
    game.rest()
    assert game.service.public() == set()
    assert game.policy.status.publishing is None
    assert [it.reason for it in game.events][-1] is EventReason.CHECKPOINT_UNPUBLISHED


def test_suspended_it_takes_nothing_back_either() -> None:
    game = Game(LATEST, service(OLD, NEW)).rest()
    game.policy = asking(game.policy, publish=Publish.NONE, suspend=True)
    assert game.rest().service.public() == {NEW.path}


@pytest.mark.parametrize("step", [PublishCheckpoint, UnpublishCheckpoint], ids=lambda it: it.__name__)
def test_a_death_right_after_the_call_forgets_nothing(step: type) -> None:
    game = Game(LATEST, service(OLD, dies_after=step)).rest()
    game.service.listed[NEW.path] = NEW
    assert game.rest().service.public() == {NEW.path}
    game.policy = asking(game.policy, publish=Publish.NONE)
    assert game.rest().service.public() == set()


def test_nothing_moves_on_a_view_that_is_not_whole() -> None:
    game = Game(LATEST, service(OLD)).rest()
    game.service.listed[NEW.path] = NEW
    game.blind = True
    for _ in range(5):
        game.look()
    assert game.service.public() == {OLD.path}
    assert len(game.service.asked) == 1


def test_where_checkpoints_are_proven_only_good_ones_are_published() -> None:
    asked = asking(proving(ValidationLevel.LOAD), publish=Publish.LATEST)
    game = Game(asked, service(OLD, NEW, broken={NEW.path}))
    while not game.service.public():
        game.look()
        game.now += timedelta(seconds=20)
        assert NEW.path not in game.service.public()
    assert game.service.public() == {OLD.path}


def test_of_several_policies_the_oldest_publishes_and_the_others_say_so() -> None:
    older = policy("older", keep_last=100, created=NOW - timedelta(days=1), uid="p0")
    game = Game(LATEST, service(OLD, NEW), others=(asking(older, publish=Publish.BEST),)).rest()
    assert game.service.public() == set()
    assert game.condition("Published") == ("False", "PublishConflict")
    game.others = (older,)
    assert game.rest().service.public() == {NEW.path}


def test_one_that_is_saved_again_is_not_published_in_the_place_of_the_other() -> None:
    game = Game(LATEST, service(NEW))
    game.look()
    game.resaved(NEW.path, time=NOW + timedelta(days=3))
    for _ in range(3):
        game.look()
    assert game.service.public() == set()


def test_a_full_journal_lets_those_in_it_move_on_and_names_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy_publishing, "PUBLISHED_LIMIT", 1)
    game = Game(LATEST, service(OLD)).rest()
    game.service.listed[NEW.path] = NEW
    assert game.rest().service.public() == {NEW.path}
    monkeypatch.setattr(policy_publishing, "PUBLISHED_LIMIT", 0)
    full = Game(LATEST, service(OLD)).rest()
    assert full.service.asked == []
    assert full.condition("Published") == ("False", "NothingToPublish")


ACTIONS = st.sampled_from(["save", "theirs", "none", "latest", "death", "down", "up", "look", "delete"])


@given(st.lists(ACTIONS, max_size=25))
def test_nobody_elses_is_ever_taken_back_and_at_rest_only_the_newest_is_its_own(actions: list[str]) -> None:
    """Whatever happens in whatever order; what the test published itself is public to the end."""
    game, theirs = Game(LATEST, service()), set[str]()
    for number, action in enumerate(actions):
        _happens(game, action, number, theirs)
        game.look()
        game.now += timedelta(seconds=15)
        theirs &= game.service.listed.keys()
        assert theirs <= game.service.public()
    game.service.down = game.service.dies_after = None
    game.now += timedelta(hours=1)
    game.rest()
    newest = max(game.service.listed.values(), key=lambda it: (it.time or NOW, it.path), default=None)
    wanted = {newest.path} if newest is not None and game.policy.spec.publish is Publish.LATEST else set()
    assert game.service.public() == wanted | theirs


def _happens(game: Game, action: str, number: int, theirs: set[str]) -> None:
    remote = game.service
    match action:
        case "save":
            it = checkpoint(f"c{number}", time=game.now - timedelta(seconds=1))
            remote.listed[it.path] = it
        case "theirs":
            # One that the policy has neither published nor announced: what it announced counts as its own.
            section = game.policy.status.publishing
            known = {it.path for it in section.checkpoints} if section is not None else set()
            mine = [it for it in remote.listed.values() if not it.public and it.path not in known]
            for it in mine[:1]:
                remote.listed[it.path] = replace(it, public=True)
                theirs.add(it.path)
        case "none" | "latest":
            game.policy = asking(game.policy, publish=Publish.NONE if action == "none" else Publish.LATEST)
        case "death":
            remote.dies_after = PublishCheckpoint if number % 2 else UnpublishCheckpoint
        case "down" | "up":
            remote.down = DOWN if action == "down" else None
        case "delete":
            for path in list(remote.listed)[:1]:
                del remote.listed[path]


def test_a_training_run_that_loses_its_status_does_not_lose_its_publication() -> None:
    """Deleted and applied again it is not bound for a while; what is public is taken back when it is asked for."""
    game = Game(LATEST, service(OLD)).rest()
    bound = game.run
    game.run = training_run(current=None, lineage=())
    game.look()
    game.run = bound
    game.policy = asking(game.policy, publish=Publish.NONE)

    assert game.rest().service.public() == set()


def test_what_a_run_that_is_left_behind_has_public_is_taken_back() -> None:
    """The TrainingRun follows another run now, whose listing says nothing of it."""
    game = Game(LATEST, service(OLD)).rest()
    game.run = training_run(current="r2", lineage=("r2",))

    assert game.rest().service.public() == set()


def test_a_publication_that_the_service_does_late_is_the_policys_own() -> None:
    """Its answer was lost, and it took effect between the next listing and the next call."""
    game = Game(LATEST, service(NEW))
    game.look()
    game.service.down = DOWN
    game.look()
    game.service.down = None
    game.now += timedelta(minutes=1)
    stale = game.seen()
    game.resaved(NEW.path, public=True)
    game._pass(stale, plan_policy(game.policy, stale, game.now))
    game.now += timedelta(minutes=1)
    game.policy = asking(game.policy, publish=Publish.NONE)

    assert game.rest().service.public() == set()


def test_one_that_cannot_be_taken_back_holds_up_no_other() -> None:
    """Its key is gone, for ever; those of other TrainingRuns are taken back all the same."""
    listed = {"r1": checkpoint("a", 2, public=True), "r2": checkpoint("b", 2, run_id="r2", public=True)}
    runs = [training_run(name, current=key, lineage=(key,)) for name, key in (("one", "r1"), ("two", "r2"))]
    entries = tuple(
        PublishedCheckpoint(
            path=it.path, time=it.time, size_bytes=it.size_bytes, training_run=run.metadata.name, public=True
        )
        for run, it in zip(runs, listed.values(), strict=True)
    )
    asked = asking(publish=Publish.NONE)
    publishing = PublishingStatus(checkpoints=entries)
    asked = asked.model_copy(update={"status": asked.status.model_copy(update={"publishing": publishing})})
    now, taken = NOW, list[str]()
    for _ in range(4):
        governed = tuple(
            Governed(run, {key: ObservedRun(key, BASE)}, {CheckpointsOf(key): (listed[key],)})
            for run, key in zip(runs, listed, strict=True)
        )
        seen = PolicySeen(governed, (asked,), references(runs))
        plan = plan_publishing(asked, seen, plan_policy(asked, seen, now), now)
        returned = list[Returned]()
        for errand in plan.errands:
            returned.append(Returned(errand, REFUSED if errand.training_run == "one" else Done()))
            if isinstance(returned[-1].outcome, Fault):
                break
            taken.append(errand.training_run)
        section = next_publishing(plan, returned, now)
        asked = asked.model_copy(update={"status": asked.status.model_copy(update={"publishing": section})})
        now += timedelta(minutes=15)

    assert taken == ["two"]


def test_published_is_not_true_of_what_was_not_looked_at() -> None:
    """Nothing is public, and nobody knows."""
    game = Game(LATEST, service(NEW), blind=True)
    for _ in range(3):
        game.look()

    assert game.condition(ConditionType.PUBLISHED)[0] == "Unknown"
