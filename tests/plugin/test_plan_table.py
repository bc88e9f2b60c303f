"""The plan as people see it: it fits, it says why, and it obeys nobody else's escape sequences."""

import io
import re
from dataclasses import replace
from datetime import timedelta

import pytest
from rich.console import Console
from tests.core.strategies_policy import NOW, World
from tests.plugin.snapshots import everyday, snapshot_of

from tinker_operator.api.policy_status import DueRule, KeepReason
from tinker_operator.api.retention_spec import RetentionAction
from tinker_operator.plugin.files import Given
from tinker_operator.plugin.planning import Asked, reported
from tinker_operator.plugin.report import Fate
from tinker_operator.plugin.table import SHOWN, show
from tinker_operator.plugin.words import DUE, FATES, KEPT, age_in_words, shortened, size_in_words

pytestmark = pytest.mark.pure


def printed(world: World, width: int = 100, *, everything: bool = False, **console: object) -> str:
    out = io.StringIO()
    report = reported(Asked(None, None, Given(None, ()), None), snapshot_of(world))
    show(report, Console(file=out, width=width, highlight=False, **console), everything=everything)  # type: ignore[arg-type]
    return out.getvalue()


@pytest.mark.parametrize("width", [60, 80, 100, 140])
@pytest.mark.parametrize("everything", [False, True], ids=["what goes", "everything"])
def test_no_line_is_wider_than_the_terminal_and_no_name_is_lost(width: int, everything: bool) -> None:
    lines = printed(everyday(), width, everything=everything).splitlines()
    assert max(map(len, lines)) <= width
    assert [line for line in lines if line.lstrip().startswith("-") and "goes" not in line] == []
    assert [line for line in lines if "step-000500" in line and "goes" in line]


def test_what_goes_what_waits_and_the_totals_are_said() -> None:
    said = printed(everyday(), 140)
    assert re.search(r"- +step-000500 +7 d +1\.4 GiB +goes +nothing keeps it", said)
    assert re.search(r"~ +step-002000 +6 d +1\.4 GiB +goes in 40 min +nothing keeps it", said)
    assert re.search(r"~ +step-005000 .* over the budget", said)
    assert re.search(r"stays +10 +[\d.]+ GiB or more +keepLast 8", said)
    assert re.search(r"goes +2 +2\.7 GiB", said)
    assert "! chem-rl: No connection to the service." in said
    assert "At most 1 an hour" in said
    assert "step-007000" not in said
    assert "step-007000" in printed(everyday(), 140, everything=True)


def test_a_report_says_that_nothing_is_deleted() -> None:
    said = printed(everyday(RetentionAction.REPORT), 140)
    assert "would go" in said
    assert "Nothing is deleted: action is Report." in said


def test_more_than_a_screen_is_counted() -> None:
    world = everyday()
    (run, its), *rest = world.listings.items()
    many = tuple(
        replace(its[0], path=f"{its[0].path}-{number}", time=NOW - timedelta(days=9 + number)) for number in range(60)
    )
    fuller = replace(world, listings={run: (*its, *many), **dict(rest)})
    assert f"and {60 + 9 - SHOWN} more: --all shows them" in printed(fuller, 140)


def test_a_name_from_the_service_cannot_move_the_cursor() -> None:
    world = everyday()
    evil = {run: tuple(replace(it, path=it.path + "\x1b[2J") for it in its) for run, its in world.listings.items()}
    assert "\x1b" not in printed(replace(world, listings=evil), 140, everything=True)


def test_colours_are_for_terminals() -> None:
    assert "\x1b[" in printed(everyday(), 140, force_terminal=True, color_system="standard")
    assert "\x1b[" not in printed(everyday(), 140)


def test_every_word_of_a_plan_can_be_said() -> None:
    assert (set(KEPT), set(DUE), set(FATES)) == (set(KeepReason), set(DueRule), set(Fate))


@pytest.mark.parametrize(
    ("size", "said"),
    [
        (None, "-"),
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (99_999, "97.7 KiB"),
        (1_048_575, "1.0 MiB"),
        (150 * 1024**2, "150 MiB"),
        (5 * 1024**4, "5.0 TiB"),
    ],
)
def test_sizes_are_in_binary_units(size: int | None, said: str) -> None:
    assert size_in_words(size) == said


@pytest.mark.parametrize(
    ("ago", "said"),
    [
        (timedelta(seconds=59), "59 s"),
        (timedelta(minutes=90), "1 h"),
        (timedelta(hours=30), "1 d 6 h"),
        (timedelta(days=2), "2 d"),
        (timedelta(days=400, hours=3), "400 d"),
        (timedelta(hours=-2), "in 2 h"),
    ],
    ids=str,
)
def test_ages_are_relative(ago: timedelta, said: str) -> None:
    assert age_in_words(NOW - ago, NOW) == said


@pytest.mark.parametrize("width", range(1, 30))
def test_a_long_name_keeps_both_ends(width: int) -> None:
    told = shortened("step-000123-of-a-run", width)
    assert len(told) == min(width, 20)
    assert "…" in told or told == "step-000123-of-a-run"
