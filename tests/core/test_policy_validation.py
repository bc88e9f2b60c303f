"""Background validation: which verdict, how often it is asked for, and what a death or trouble changes of it."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.concern_world import BASE, DOWN, NEW, OLD, Game, asking, proving, service
from tests.core.strategies_policy import HOUR, NOW, checkpoint

from tinker_operator.api.meta import OWNER_KEY, VALIDATES_KEY
from tinker_operator.api.recovery_spec import ValidationLevel
from tinker_operator.api.retention_spec import CheckpointType
from tinker_operator.core import policy_findings, policy_validation
from tinker_operator.core.telemetry import EventReason
from tinker_operator.core.world import (
    Action,
    BackendFailed,
    CheckpointKind,
    FinishSession,
    InspectExport,
    ObservedCheckpoint,
    OpenSession,
    Outcome,
    ReadWeights,
    RestoreRun,
)

pytestmark = pytest.mark.pure

LISTED, METADATA, LOAD, ARCHIVE = ValidationLevel
GOOD = {OLD.path: "Good", NEW.path: "Good"}
EXPENSIVE = (LOAD, ARCHIVE)
STEPS = (OpenSession, RestoreRun, InspectExport, FinishSession)


@pytest.mark.parametrize("level", ValidationLevel)
def test_every_checkpoint_that_stays_gets_one_verdict_and_then_it_rests(level: ValidationLevel) -> None:
    game = Game(proving(level), service(OLD, NEW)).rest()
    assert game.verdicts() == GOOD
    asked = Counter(type(action).__name__ for action in game.service.asked)
    assert max(asked.values(), default=0) <= 2, "once for each"
    assert game.condition("Validated") == ("True", "Validated")
    writes = game.writes
    for _ in range(5):
        game.look()
    assert game.writes == writes
    assert Counter(type(action).__name__ for action in game.service.asked) == asked


CASES: dict[str, tuple[ValidationLevel, dict[str, Any], str]] = {
    "cut short": (LOAD, {"broken": {NEW.path}}, "NotLoadable"),
    "not finite": (ARCHIVE, {"unsound": {NEW.path}}, "Unsound"),
    "listed and missing": (METADATA, {"missing": {NEW.path}}, "Missing"),
    "of another rank, by its metadata": (METADATA, {"rank": 4}, "RankMismatch"),
    "of another rank, by its load": (LOAD, {"rank": 4}, "RankMismatch"),
}


@pytest.mark.parametrize("says", CASES)
def test_a_bad_newest_checkpoint_is_told_once(says: str) -> None:
    level, facts, verdict = CASES[says]
    game = Game(proving(level), service(NEW, **facts)).rest()
    assert game.verdicts() == {NEW.path: verdict}
    assert game.condition("Validated") == ("False", "CheckpointInvalid")
    assert game.condition("Ready")[0] == "True"
    warnings = [it for it in game.events if it.warning]
    assert [it.reason for it in warnings] == [EventReason.CHECKPOINT_INVALID]
    assert NEW.path in warnings[0].note


def test_an_empty_one_is_told_from_the_listing_at_every_level() -> None:
    empty = checkpoint("empty", size_bytes=0)
    for level in ValidationLevel:
        game = Game(proving(level), service(empty)).rest()
        assert (game.verdicts(), game.service.asked) == ({empty.path: "Empty"}, [])


def test_the_newest_comes_first_and_proofs_keep_their_distance() -> None:
    game = Game(proving(LOAD), service(OLD, NEW)).rest()
    loads = [it.checkpoint for it in game.service.asked if isinstance(it, RestoreRun)]
    assert loads == [NEW.path, OLD.path]
    section = game.policy.status.validation
    assert section is not None
    assert section.last_proof_time is not None
    assert (section.last_proof_time - NOW).total_seconds() >= 60


def test_what_is_saved_again_is_another_checkpoint() -> None:
    game = Game(proving(METADATA), service(NEW)).rest()
    game.resaved(NEW.path, time=NOW)
    game.service.missing.add(NEW.path)
    assert game.rest().verdicts() == {NEW.path: "Missing"}
    assert game.service.count(ReadWeights) == 2


def test_a_verdict_on_what_was_saved_again_meanwhile_is_not_kept() -> None:
    """It was the new content that was loaded, perhaps: the proof is made anew."""
    game = Game(proving(LOAD), service(NEW, broken={NEW.path}))
    while not game.service.count(RestoreRun):
        game.look()
    game.resaved(NEW.path, time=NOW)
    game.service.broken.clear()
    assert game.rest().verdicts() == {NEW.path: "Good"}
    assert not any(it.warning for it in game.events)


@pytest.mark.parametrize("level", [METADATA, LOAD, ARCHIVE])
def test_trouble_of_the_service_is_no_verdict_and_waits_longer_each_time(level: ValidationLevel) -> None:
    game = Game(proving(level), service(NEW, down=DOWN))
    for _ in range(12):
        game.look()
        game.now += (game.wake or 30) * (HOUR / 3600)
    assert game.verdicts() == {}
    assert game.condition("Validated") == ("Unknown", "ServerFault")
    section = game.policy.status.validation
    assert section is not None
    assert section.setback is not None
    assert section.setback.failures > 3
    assert len(game.service.asked) == section.setback.failures
    game.service.down = None
    assert game.rest().verdicts() == {NEW.path: "Good"}


def test_a_view_that_is_not_whole_forgets_nothing_and_proves_nothing() -> None:
    game = Game(proving(METADATA), service(OLD, NEW)).rest()
    asked = len(game.service.asked)
    game.blind = True
    for _ in range(3):
        game.look()
    assert (game.verdicts(), len(game.service.asked)) == (GOOD, asked)


def test_a_deeper_level_proves_anew_and_a_shallower_one_does_not() -> None:
    game = Game(proving(METADATA), service(NEW)).rest()
    for level in (LOAD, METADATA, LISTED):
        game.policy = game.policy.model_copy(update={"spec": proving(level).spec})
        game.rest()
    assert (game.service.count(ReadWeights), game.service.count(RestoreRun)) == (1, 1)


def test_a_bad_one_is_bad_at_every_deeper_level() -> None:
    """Each level includes those before it."""
    game = Game(proving(METADATA), service(NEW, missing={NEW.path})).rest()
    game.policy = game.policy.model_copy(update={"spec": proving(LOAD).spec})
    assert game.rest().verdicts() == {NEW.path: "Missing"}
    assert game.service.count(RestoreRun) == 0


def test_without_the_spec_the_section_goes_and_its_session_first() -> None:
    game = Game(proving(LOAD), service(NEW))
    while not game.service.count(RestoreRun):
        game.look()
    game.policy = game.policy.model_copy(update={"spec": proving(LOAD).spec.model_copy(update={"validation": None})})
    game.rest()
    assert not any(game.service.sessions.values())
    assert game.policy.status.validation is None


def test_a_suspended_policy_finishes_its_session_and_begins_no_other() -> None:
    game = Game(proving(LOAD), service(OLD, NEW))
    while not game.service.count(RestoreRun):
        game.look()
    game.policy = game.policy.model_copy(update={"spec": game.policy.spec.model_copy(update={"suspend": True})})
    game.rest()
    assert not any(game.service.sessions.values())
    assert game.service.count(RestoreRun) == 1


@pytest.mark.parametrize("step", STEPS, ids=lambda it: it.__name__)
def test_a_death_after_any_step_leaves_one_session_and_that_is_finished(step: type) -> None:
    game = Game(proving(ARCHIVE), service(NEW, dies_after=step)).rest()
    assert game.verdicts() == {NEW.path: "Good"}
    assert list(game.service.sessions.values()) == [False]


def test_the_run_of_a_proof_says_for_whom_and_belongs_to_nobody() -> None:
    game = Game(proving(LOAD), service(NEW)).rest()
    marks = [it.metadata for it in game.service.asked if isinstance(it, RestoreRun | OpenSession)]
    assert [set(it) for it in marks] == [{VALIDATES_KEY}, {VALIDATES_KEY}]
    assert all(OWNER_KEY not in it for it in marks)


def test_what_the_service_fails_on_does_not_hold_up_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    game = Game(proving(LOAD), service(OLD, NEW))
    done = game.service.perform

    def failing(action: object) -> object:
        if isinstance(action, RestoreRun) and action.checkpoint == NEW.path:
            game.service.asked.append(action)
            return BackendFailed("The service failed.")
        return done(action)  # type: ignore[arg-type]  # the game's own actions

    monkeypatch.setattr(game.service, "perform", failing)
    for _ in range(60):
        game.look()
        game.now += (30 if game.wake is None else game.wake) * (HOUR / 3600)
    assert game.verdicts() == {OLD.path: "Good"}
    assert sum(game.service.sessions.values()) <= 1


@given(
    level=st.sampled_from(ValidationLevel),
    names=st.lists(st.sampled_from("abcdef"), unique=True, min_size=1),
    broken=st.sets(st.sampled_from("abcdef")),
    deaths=st.lists(st.sampled_from(STEPS), max_size=4),
)
def test_deaths_change_neither_verdicts_nor_leave_a_session(
    level: ValidationLevel, names: list[str], broken: set[str], deaths: list[type]
) -> None:
    """Whatever dies when, each checkpoint that stays has the verdict that it deserves, and every session has ended."""
    saved = [checkpoint(name, hours) for hours, name in enumerate(names, 1)]
    bad = {it.path for it in saved if it.path[-1] in broken}
    game = Game(proving(level), service(*saved, broken=bad))
    for step in deaths:
        game.service.dies_after = step
        for _ in range(4):
            game.look()
    game.service.dies_after = None
    game.rest(300, 60)
    expected = {it.path: "NotLoadable" if level in EXPENSIVE and it.path in bad else "Good" for it in saved}
    assert game.verdicts() == expected
    assert not any(game.service.sessions.values())
    assert game.run.status.base_model == BASE


@pytest.mark.parametrize("level", [METADATA, LOAD])
def test_more_checkpoints_than_status_remembers_are_not_proven_again_and_again(
    level: ValidationLevel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest are proven, once; the rest are left."""
    for module in (policy_findings, policy_validation):
        monkeypatch.setattr(module, "FINDINGS_LIMIT", 5)
    game = Game(proving(level), service(*(checkpoint(f"c{hours}", hours) for hours in range(1, 9))))
    for _ in range(200):
        game.look()
        game.now += HOUR / 60
    asked = Counter(
        it.path if isinstance(it, ReadWeights) else it.checkpoint
        for it in game.service.asked
        if isinstance(it, ReadWeights | RestoreRun)
    )

    assert len(game.verdicts()) == 5
    assert max(asked.values()) <= 2, "once for the metadata and once for the load"
    assert game.wake is None


def test_a_sampler_is_not_proven() -> None:
    """It cannot be loaded for training, and that says nothing against it."""
    asked = proving(LOAD)
    types = (CheckpointType.TRAINING, CheckpointType.SAMPLER)
    asked = asking(asked, retention=asked.spec.retention.model_copy(update={"checkpoint_types": types}))
    sampler = ObservedCheckpoint(
        "tinker://r1/sampler_weights/s", "r1", kind=CheckpointKind.SAMPLER, time=NOW - HOUR / 2, size_bytes=10
    )
    game = Game(asked, service(NEW, sampler, broken={sampler.path})).rest()

    assert game.condition("Validated")[0] == "True"


def test_those_that_always_meet_trouble_starve_no_other() -> None:
    """Two of them, so that putting the last one at the end is not enough."""
    saved = [checkpoint(name, hours) for hours, name in enumerate("abcd", 1)]
    game = Game(proving(METADATA), service(*saved))
    sound = game.service.perform

    def perform(action: Action) -> Outcome:
        troubled = isinstance(action, ReadWeights) and action.path in {saved[0].path, saved[1].path}
        return DOWN if troubled else sound(action)

    game.service.perform = perform  # type: ignore[method-assign]  # a service that fails for two of them alone
    for _ in range(40):
        game.look()
        game.now += HOUR / 4

    assert game.verdicts() == {saved[2].path: "Good", saved[3].path: "Good"}
