"""docs/simulator.md tells every command, option and fault of `tinker-simulator`, and no other."""

import re
from pathlib import Path

import click
import pytest

from tinker_simulator.cli import simulator

pytestmark = pytest.mark.pure

REPOSITORY = Path(__file__).parents[2]
PAGE = (REPOSITORY / "docs" / "simulator.md").read_text(encoding="utf-8")


def group(command: click.Command) -> click.Group:
    """Returns a command that has others below it."""
    assert isinstance(command, click.Group)
    return command


def options(command: click.Command) -> set[str]:
    """Returns the long options of a command, without the one that names the simulator."""
    return {option for each in command.params for option in each.opts if option.startswith("--")} - {"--url"}


def rows(title: str) -> list[list[str]]:
    """Returns the cells of the one table under a heading, below its head."""
    section = PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_every_option_of_serve_is_told_and_no_other() -> None:
    assert {row[0].strip("`") for row in rows("Options of `serve`")} == options(group(simulator).commands["serve"])


def test_every_option_of_the_other_commands_is_told_and_no_other() -> None:
    told = {(row[0].strip("`"), row[1].strip("`")) for row in rows("Filling and counting")}
    commands = {name: each for name, each in group(simulator).commands.items() if name not in {"serve", "fault"}}
    assert told == {(name, option) for name, command in commands.items() for option in options(command)}


def test_every_fault_is_told_and_no_other() -> None:
    faults = group(group(simulator).commands["fault"]).commands
    assert sorted(row[0].strip("`") for row in rows("Faults")) == sorted(faults)


def test_every_row_says_something() -> None:
    titles = ("Options of `serve`", "Filling and counting", "Faults", "What is chosen")
    assert [row for title in titles for row in rows(title) if not all(row)] == []


def test_every_test_file_that_is_named_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)`", PAGE)
    assert named
    assert [path for path in named if not (REPOSITORY / path).is_file()] == []
