"""Who waits is told what for: at once, then now and then, never in a flood."""

from __future__ import annotations

import io
from itertools import pairwise

import pytest
from rich.console import Console

from playground.progress import BYTES, BarReporter, PlainReporter, Silence, amount, duration, reporter

pytestmark = pytest.mark.pure


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("done", "total", "unit", "text"),
    [
        pytest.param(12_300_000, 60_000_000, BYTES, "12 of 60 MB", id="bytes are told in megabytes"),
        pytest.param(3, 2672, "packages", "3 of 2672 packages", id="packages are counted"),
        pytest.param(7, None, "packages", "7 packages", id="an unknown total is left out"),
        pytest.param(0, None, "", "", id="a mere wait has no amount"),
        pytest.param(0, 0, BYTES, "0 of 0 MB", id="nothing of nothing"),
    ],
)
def test_amounts_read_as_a_person_would_say_them(done: int, total: int | None, unit: str, text: str) -> None:
    """An amount has a unit, and a total when there is one."""
    assert amount(done, total, unit) == text


@pytest.mark.parametrize(("seconds", "text"), [(0, "0 s"), (59.9, "59 s"), (60, "1 min 00 s"), (671, "11 min 11 s")])
def test_durations_read_as_a_person_would_say_them(seconds: float, text: str) -> None:
    """Seconds up to a minute, then minutes."""
    assert duration(seconds) == text


def test_a_log_gets_a_line_at_once_and_then_every_ten_seconds() -> None:
    """However often a step advances, a minute of it is seven lines."""
    said, clock = io.StringIO(), Clock()
    with PlainReporter(said, clock).step("Compiling", "packages") as step:
        for tick in range(240):
            clock.now = tick * 0.25
            step.advance(tick, 240)

    lines = said.getvalue().splitlines()
    assert lines[:2] == ["Compiling ...", "Compiling: 40 of 240 packages, 10 s"]
    assert len(lines) == 6
    assert all(earlier != later for earlier, later in pairwise(lines))


def test_a_terminal_gets_a_bar_with_title_and_amount() -> None:
    """The title is shown as it is, brackets and all."""
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=120)
    bars = BarReporter(console)

    with bars.step("Downloading [etcd]", BYTES) as step:
        step.advance(1_000_000, 5_000_000)
    bars.say("done [green]")

    assert "Downloading [etcd]" in screen.getvalue()
    assert "1 of 5 MB" in screen.getvalue()
    assert "done [green]" in screen.getvalue()


def test_a_file_is_no_terminal() -> None:
    """What is not a terminal gets lines."""
    assert isinstance(reporter(io.StringIO()), PlainReporter)


def test_silence_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """Who does not want to know hears nothing."""
    quiet = Silence()
    quiet.say("hello")
    with quiet.step("Waiting") as step:
        step.advance(1)

    assert capsys.readouterr() == ("", "")
