"""What the demonstration prints fits the screen and cuts nothing; it reads what is there, and waits no longer."""

from __future__ import annotations

import io
import itertools
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from playground.demonstration.errors import NotInTime
from playground.demonstration.evidence import brief, short_run
from playground.demonstration.layout import folded, hanging
from playground.demonstration.loop_log import parse
from playground.demonstration.patience import Patience
from playground.demonstration.stage import Stage
from playground.demonstration.workspace import fresh_part, workspace
from playground.errors import BadSetting

pytestmark = pytest.mark.pure

TABLE = """\
NAME       READY   BASE MODEL      MESSAGE
math-sft   True    Qwen/Qwen3-8B   All is well with it.
"""


def test_a_table_that_fits_is_left_alone() -> None:
    """The lines are as kubectl printed them."""
    assert folded(TABLE, 100) == TABLE.splitlines()


def test_a_wide_table_goes_on_below_in_whole_columns() -> None:
    """No column is cut; a head of two words stays one."""
    assert folded(TABLE, 36) == [
        "NAME       READY   BASE MODEL",
        "math-sft   True    Qwen/Qwen3-8B",
        "",
        "MESSAGE",
        "All is well with it.",
    ]


def test_a_column_wider_than_the_screen_stands_alone() -> None:
    """It is too wide anyway, but nothing else is lost."""
    blocks = folded(TABLE, 10)

    assert [line for line in blocks if line][::2] == ["NAME", "READY", "BASE MODEL", "MESSAGE"]


def test_a_table_of_nothing_is_nothing() -> None:
    """There may be nothing to show."""
    assert folded("", 80) == []


def test_a_long_path_is_never_cut() -> None:
    """Somebody will copy it."""
    path = "tinker://" + "a" * 80 + "/weights/step-000005"

    assert path in hanging(f"restored {path} again", 12, 60)


@pytest.fixture
def screen() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def stage(screen: io.StringIO) -> Stage:
    """A stage in a pipe, whose clock moves a second at each look."""
    ticks = itertools.count()
    return Stage(Console(file=screen, width=60, emoji=False, markup=False), lambda: float(next(ticks)))


def test_a_step_is_a_line_with_its_time(stage: Stage, screen: io.StringIO) -> None:
    """What is too long goes on below, set in."""
    stage.done("a line that is rather longer than sixty columns can hold at once")

    first, second = screen.getvalue().splitlines()
    assert first.startswith("    1.0 s ✓ a line that")
    assert second.startswith("            ")


def test_nothing_in_a_line_is_markup(stage: Stage, screen: io.StringIO) -> None:
    """The id of a run has colons, and they are not the name of a picture."""
    stage.done("run 1:train:0 [bold]")

    assert "run 1:train:0 [bold]" in screen.getvalue()


def test_a_long_wait_in_a_pipe_shows_a_sign_of_life_now_and_then(stage: Stage, screen: io.StringIO) -> None:
    """Not at once, and not at every look."""
    with stage.wait("Waiting") as wait:
        for number in range(12):
            wait.tell(f"{number} of 12")

    lines = screen.getvalue().splitlines()
    assert 2 <= len(lines) <= 5
    assert all("Waiting · " in line and " of 12 · " in line for line in lines)


def test_a_wait_ends_with_what_it_waited_for(stage: Stage) -> None:
    """It looks again until there is something, and sees after the parts in between."""
    answers = iter([None, None, "found"])
    watched: list[Any] = []
    paused: list[Any] = []

    found = Patience(stage, lambda: watched.append(1), lambda: 0.0, paused.append).until("It", lambda: next(answers))

    assert (found, len(watched), paused) == ("found", 2, [0.1, 0.1])


def test_a_wait_has_an_end(stage: Stage) -> None:
    """Then it says what did not come."""
    clock = itertools.count()

    with pytest.raises(NotInTime, match=r"The rain: not within 3 s\."):
        Patience(stage, lambda: None, lambda: float(next(clock)), lambda _: None).until(
            "The rain", lambda: None, seconds=3
        )


def test_the_death_of_a_part_ends_a_wait(stage: Stage) -> None:
    """There is no use in waiting any longer."""

    def died() -> None:
        raise BadSetting("The loop ended.", "")

    with pytest.raises(BadSetting, match="The loop ended"):
        Patience(stage, died, lambda: 0.0, lambda _: None).until("It", lambda: None)


def test_the_log_of_the_loop_is_events_and_noise() -> None:
    """A line that is not whole yet waits for the next reading."""
    told = parse('{"event": "step", "step": 1, "loss": 2.0}\nUserWarning: no\n[1]\n{"event": "st')

    assert told.losses() == {1: 2.0}
    assert told.noise == ("UserWarning: no", "[1]")


def test_the_steps_of_each_run_are_told_apart() -> None:
    """A step that two runs trained has a loss in each."""
    events = [
        {"event": "started", "run": "a", "fresh": True},
        {"event": "step", "step": 1, "loss": 1.0},
        {"event": "lost", "run": "a"},
        {"event": "resumed", "run": "b", "fresh": False},
        {"event": "step", "step": 1, "loss": 2.0},
    ]
    told = parse("".join(json.dumps(it) + "\n" for it in events))

    assert [told.of_run(run).losses() for run in "abc"] == [{1: 1.0}, {1: 2.0}, {}]
    assert told.first("lost", run="a") == events[2]
    assert told.first("lost", run="b") is None


def test_ids_and_paths_have_a_short_form() -> None:
    """Enough to tell them apart on a screen."""
    assert short_run("0123456789:train:2") == "01234567…:train:2"
    assert brief("Failed to load tinker://a:train:0/weights/step-1: no") == "Failed to load step-1: no"


def test_a_temporary_folder_is_removed_however_it_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the demonstration stays behind."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def interrupted() -> None:
        with workspace(None) as folder:
            (fresh_part(folder) / "file").touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()

    assert list(tmp_path.iterdir()) == []


def test_a_named_folder_stays_and_is_begun_anew(tmp_path: Path) -> None:
    """What an earlier demonstration left there is replaced."""
    (tmp_path / ".tinker-playground").touch()
    for _ in range(2):
        with workspace(tmp_path) as folder:
            part = fresh_part(folder)
            assert list(part.iterdir()) == []
            (part / "file").touch()

    assert (part / "file").exists()


def test_what_somebody_else_made_is_not_removed(tmp_path: Path) -> None:
    """A folder of that name without our marker is refused, with the remedy."""
    (tmp_path / "demonstration").mkdir()

    with pytest.raises(BadSetting, match="Choose another folder"), workspace(tmp_path):
        pass

    assert (tmp_path / "demonstration").exists()
