"""Waiting for a recovery: only a later attempt with a checkpoint ends it, and the deadline says where to look."""

from collections.abc import Callable

import pytest
from tests.trainer.fakes import Clock, Script

from tinker_operator.trainer import (
    ConfigMapHandOver,
    HandOver,
    HandOverForbidden,
    HandOverSource,
    HandOverUnreadable,
    HandOverVersionUnknown,
    NoHandOver,
    NoNextHandOver,
    SettingInvalid,
    TrainerError,
    wait_for_next,
)

pytestmark = pytest.mark.pure

Make = Callable[..., str]


def _wait(source: HandOverSource, clock: Clock, previous_attempt: int = 0) -> HandOver:
    return wait_for_next(
        source,
        previous_attempt=previous_attempt,
        timeout_seconds=60,
        poll_seconds=5,
        monotonic=clock,
        sleep=clock.sleep,
    )


@pytest.fixture
def at(handover_text: Make) -> Callable[..., HandOver]:
    """Makes a hand-over of an attempt."""

    def make(attempt: int, **fields: object) -> HandOver:
        return HandOver.parse(handover_text(attempt=attempt, **fields), place="here")

    return make


def test_the_next_attempt_with_a_checkpoint_ends_the_wait(at: Callable[..., HandOver]) -> None:
    """Nothing, the old attempt, an attempt without a checkpoint: none of these is a recovery."""
    clock = Clock()
    looks = [None, at(0), at(1, checkpoint=None), at(1), at(9)]

    seen = _wait(Script(looks), clock)

    assert (seen.attempt, clock.now) == (1, 15.0)


def test_the_checkpoint_of_the_same_attempt_is_not_a_recovery(at: Callable[..., HandOver]) -> None:
    """While a run is well the hand-over may name its newest checkpoint, which nobody has proven good."""
    with pytest.raises(NoNextHandOver):
        _wait(Script([at(2)]), Clock(), previous_attempt=2)


def test_attempts_that_were_missed_do_not_matter(at: Callable[..., HandOver]) -> None:
    """Recovery may have failed and succeeded again between two looks."""
    assert _wait(Script([at(7)]), Clock(), previous_attempt=2).attempt == 7


@pytest.mark.parametrize(
    ("looks", "expected"),
    [
        pytest.param(
            ["attempt"], "kubectl describe trainingrun math-sft -n math", id="a hand-over names its TrainingRun"
        ),
        pytest.param([None], "kubectl describe trainingrun NAME", id="an empty place names none"),
    ],
)
def test_the_deadline_says_what_to_look_at(looks: list[str | None], expected: str, at: Callable[..., HandOver]) -> None:
    """The operator's conditions hold the reason."""
    clock = Clock()

    with pytest.raises(NoNextHandOver, match=expected):
        _wait(Script([at(0) if look else None for look in looks]), clock)

    assert clock.now == 60.0


def test_the_deadline_of_a_config_map_that_never_came_still_names_the_training_run() -> None:
    """The ConfigMap is called after its TrainingRun."""

    class Absent(ConfigMapHandOver):
        def read(self) -> HandOver | None:
            return None

    with pytest.raises(TimeoutError, match="kubectl describe trainingrun sft -n math"):
        _wait(Absent("math", "sft-handover"), Clock())


def test_another_checkpoint_of_the_attempt_ends_the_wait_when_only_the_checkpoint_was_at_fault(
    at: Callable[..., HandOver],
) -> None:
    """The run is well, so the operator hands its next save over under the same attempt."""
    path = "tinker://s1:train:0/weights/step-000020"
    clock = Clock()
    looks = [at(1), at(1, checkpoint=None), at(0, checkpoint="tinker://s0:train:0/weights/a"), at(1, checkpoint="new")]

    seen = wait_for_next(
        Script(looks),
        previous_attempt=1,
        unusable=path,
        timeout_seconds=60,
        poll_seconds=5,
        monotonic=clock,
        sleep=clock.sleep,
    )

    assert (seen.checkpoint, clock.now) == ("new", 15.0)


def test_trouble_that_may_pass_does_not_end_the_wait(at: Callable[..., HandOver]) -> None:
    """An API server that restarts during a recovery costs a look and no training."""
    trouble = HandOverUnreadable("Away.", remedy="Wait.")

    assert _wait(Script([trouble, trouble, at(1)]), Clock()).attempt == 1


def test_trouble_that_never_passes_is_told_at_the_deadline() -> None:
    """The last look explains why nothing came."""
    with pytest.raises(NoNextHandOver, match="The API server is away"):
        _wait(Script([HandOverUnreadable("The API server is away.", remedy="Wait.")]), Clock())


@pytest.mark.parametrize("kind", [HandOverForbidden, HandOverVersionUnknown])
def test_trouble_that_only_a_person_mends_is_told_at_once(kind: type[TrainerError]) -> None:
    """Nobody should learn of a missing Role after an hour of waiting."""
    clock = Clock()

    with pytest.raises(kind):
        _wait(Script([kind("No.", remedy="Mend it.")]), clock)

    assert clock.now == 0.0


def test_without_a_place_there_is_nothing_to_wait_for() -> None:
    """A loop without an operator ends at once and says what to set."""
    with pytest.raises(SettingInvalid, match="TINKER_OPERATOR_HANDOVER"):
        _wait(NoHandOver(), Clock())
