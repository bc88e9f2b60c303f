"""A pod starts from the hand-over of its own attempt: it waits for a late one, and gives way to a later one."""

from collections.abc import Callable

import pytest
from tests.trainer.fakes import Clock, Look, Script

from tinker_operator.trainer import (
    HandOver,
    HandOverForbidden,
    HandOverLate,
    HandOverMalformed,
    NoHandOver,
    SettingInvalid,
    Superseded,
    attempt_from,
    current_hand_over,
)

pytestmark = pytest.mark.pure

Make = Callable[..., str]
HALF = HandOverMalformed("Half a document.", remedy="Wait.")


def _arrive(looks: list[Look], clock: Clock, attempt: int | None = 2) -> HandOver | None:
    return current_hand_over(
        Script(looks), attempt=attempt, timeout_seconds=60, poll_seconds=5, monotonic=clock, sleep=clock.sleep
    )


@pytest.fixture
def at(handover_text: Make) -> Callable[..., HandOver]:
    """Makes a hand-over of an attempt."""

    def make(attempt: int) -> HandOver:
        return HandOver.parse(handover_text(attempt=attempt, mode="Relaunch"), place="here")

    return make


def test_the_document_of_an_earlier_attempt_is_waited_out(at: Callable[..., HandOver]) -> None:
    """The kubelet shows it for up to two minutes after the operator wrote the next."""
    clock = Clock()

    seen = _arrive([None, at(0), HALF, at(1), at(2)], clock)

    assert seen is not None
    assert (seen.attempt, clock.now) == (2, 20.0)


def test_the_first_attempt_waits_for_its_document_too() -> None:
    """Without it the run would carry no owner, and the operator would never find it."""
    with pytest.raises(HandOverLate):
        _arrive([None], Clock(), attempt=0)


def test_a_later_attempt_ends_the_pod_at_once(at: Callable[..., HandOver]) -> None:
    """Its replacement is on the way; acting would make two loops."""
    clock = Clock()

    with pytest.raises(Superseded) as caught:
        _arrive([at(3)], clock)

    assert (caught.value.attempt, clock.now) == (3, 0.0)


def test_a_document_that_never_comes_is_told_with_what_was_seen(at: Callable[..., HandOver]) -> None:
    """A mount with subPath, for one, is never updated."""
    clock = Clock()

    with pytest.raises(HandOverLate, match=r"attempt 2 .* within 60 s: the script is at attempt 1 .*subPath"):
        _arrive([at(1)], clock)

    assert clock.now == 60.0


def test_without_an_attempt_the_document_is_taken_as_it_stands(at: Callable[..., HandOver]) -> None:
    """A loop that the operator did not start has nothing to compare with."""
    assert _arrive([at(7)], Clock(), attempt=None) == at(7)
    assert _arrive([None], Clock(), attempt=None) is None


def test_what_no_waiting_mends_is_told_at_once() -> None:
    """A missing Role shows at the start and not after the deadline."""
    clock = Clock()

    with pytest.raises(HandOverForbidden):
        _arrive([HandOverForbidden("No.", remedy="Mend it.")], clock)

    assert clock.now == 0.0


def test_an_attempt_without_a_place_is_a_setting_that_makes_no_sense() -> None:
    """Nothing would ever arrive."""
    with pytest.raises(SettingInvalid, match="TINKER_OPERATOR_HANDOVER"):
        current_hand_over(NoHandOver(), attempt=1)


@pytest.mark.parametrize(
    ("environ", "attempt"),
    [
        pytest.param({}, None, id="absent"),
        pytest.param({"TINKER_OPERATOR_ATTEMPT": " "}, None, id="blank"),
        pytest.param({"TINKER_OPERATOR_ATTEMPT": "0"}, 0, id="the first"),
        pytest.param({"TINKER_OPERATOR_ATTEMPT": "12"}, 12, id="a later one"),
    ],
)
def test_the_environment_tells_the_attempt(environ: dict[str, str], attempt: int | None) -> None:
    """Only the operator's pods have one."""
    assert attempt_from(environ) == attempt


@pytest.mark.parametrize("text", ["one", "-1", "1.5", "¹"])
def test_an_attempt_that_is_no_number_is_refused(text: str) -> None:
    """Guessing would start from the wrong document."""
    with pytest.raises(SettingInvalid, match="TINKER_OPERATOR_ATTEMPT"):
        attempt_from({"TINKER_OPERATOR_ATTEMPT": text})
