"""The watch ends a loop for one thing only: a later attempt. Everything else is trouble, or no news."""

import logging
import threading
from collections.abc import Callable

import pytest
from tests.trainer.fakes import Look, Script, poll_until

from tinker_operator.trainer import HandOver, HandOverForbidden, HandOverUnreadable, HandOverWatch, Superseded

pytestmark = pytest.mark.pure

Make = Callable[..., str]
At = Callable[..., HandOver]
OURS = "s1:train:0"
AWAY = HandOverUnreadable("The API server is away.", remedy="Wait.")
FORBIDDEN = HandOverForbidden("The Role is gone.", remedy="Mend it.")


@pytest.fixture
def at(handover_text: Make) -> At:
    """Makes a hand-over of an attempt."""

    def make(attempt: int, **fields: object) -> HandOver:
        return HandOver.parse(handover_text(attempt=attempt, **fields), place="here")

    return make


def watch(looks: list[Look], **options: object) -> HandOverWatch:
    return HandOverWatch(Script(looks), training_run_id=OURS, attempt=1, **options)  # type: ignore[arg-type]  # by name


def look_at_all(seen: HandOverWatch, count: int) -> None:
    for _ in range(count):
        seen.look()
        seen.check()


def test_a_later_attempt_ends_the_loop_at_its_next_question(at: At) -> None:
    """The thread only remembers; the loop's own thread is told."""
    seen = watch([at(1), at(2)])
    look_at_all(seen, 1)
    seen.look()

    with pytest.raises(Superseded) as caught:
        seen.check()

    assert (caught.value.attempt, caught.value.handover) == (2, at(2))


def test_what_says_nothing_of_a_later_attempt_ends_nothing(at: At) -> None:
    """Trouble, absence, a deleted ConfigMap, an older document, our own attempt: training goes on."""
    newer_save = at(1, checkpoint=f"tinker://{OURS}/weights/step-000040")
    lost = at(1, previousTrainingRunId=OURS)
    looks: list[Look] = [None, at(0), at(1), newer_save, lost, AWAY, FORBIDDEN, RuntimeError("odd"), None]

    look_at_all(watch(looks), len(looks))


def test_a_later_attempt_is_not_forgotten_when_the_place_falls_silent(at: At) -> None:
    """The successor does not go away with the ConfigMap."""
    seen = watch([at(2), None, AWAY])
    for _ in range(3):
        seen.look()

    with pytest.raises(Superseded):
        seen.check()


def test_trouble_is_logged_once_and_again_after_it_was_over(at: At, caplog: pytest.LogCaptureFixture) -> None:
    """A week of an API server that is away must not fill a disk."""
    looks: list[Look] = [AWAY, AWAY, FORBIDDEN, at(1), at(1), RuntimeError("odd"), AWAY]

    with caplog.at_level(logging.INFO):
        look_at_all(watch(looks), len(looks))

    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "The hand-over cannot be read, training goes on: The API server is away. Wait."),
        ("INFO", "The hand-over in the script can be read again."),
        ("WARNING", "The hand-over cannot be read, training goes on: RuntimeError: odd"),
    ]


def test_the_loop_is_told_once_before_it_ends(at: At) -> None:
    """In the loop's own thread, so that it may touch what is the loop's."""
    told: list[tuple[int, threading.Thread]] = []
    seen = watch([at(2)], on_superseded=lambda error: told.append((error.attempt, threading.current_thread())))
    seen.look()

    for _ in range(2):
        with pytest.raises(Superseded):
            seen.check()

    assert told == [(2, threading.current_thread())]


def test_many_loops_do_not_look_at_once() -> None:
    """Each pause is spread by a fifth to either side."""
    pauses = [
        watch([None], every_seconds=10.0, chance=lambda drawn=drawn: drawn).pause_seconds() for drawn in (0, 0.5, 1)
    ]

    assert pauses == pytest.approx([8.0, 10.0, 12.0])


def test_the_thread_looks_by_itself_and_ends_with_the_watch(at: At) -> None:
    """And a second start begins anew."""
    script = Script([at(1), at(2)])
    seen = HandOverWatch(script, training_run_id=OURS, attempt=1, every_seconds=0.001)
    for _ in range(2):
        with seen:
            poll_until(lambda: seen.latest == at(2), "the later attempt is seen")
        poll_until(lambda: "hand-over-watch" not in {each.name for each in threading.enumerate()}, "the thread ends")
        seen.latest = None
