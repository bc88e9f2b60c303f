"""The page about exports tells every option of the command, and the files by their names."""

import re
from pathlib import Path

import pytest

from tinker_operator.cli.main import command
from tinker_operator.exporter import MANIFEST

PAGE = (Path(__file__).parents[2] / "docs" / "export.md").read_text(encoding="utf-8")
pytestmark = pytest.mark.pure


def test_every_option_is_told_and_no_other() -> None:
    """In the table of options, `--to` in the table of places."""
    options = {option for each in command.commands["export"].params for option in each.opts if option.startswith("--")}
    told = set(re.findall(r"--[a-z][a-z-]+", PAGE))
    assert told | {"--output"} == options - {"--tinker-path"}


def test_the_manifest_is_called_by_its_name() -> None:
    assert MANIFEST in PAGE
