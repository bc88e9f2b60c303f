"""docs/dialects.md names every dialect that the simulator speaks, and no other; each column says something."""

import re
from pathlib import Path

import pytest

from tinker_simulator.dialects import DIALECTS

pytestmark = pytest.mark.pure

REPOSITORY = Path(__file__).parents[2]
PAGE = (REPOSITORY / "docs" / "dialects.md").read_text(encoding="utf-8")


def rows() -> list[list[str]]:
    """Returns the cells of the table below its head."""
    lines = [line for line in PAGE.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_every_dialect_has_one_row_in_the_order_of_the_code() -> None:
    assert [row[0] for row in rows()] == [f"`{name}`" for name in DIALECTS]


def test_every_row_tells_the_deviation_the_client_and_the_operator() -> None:
    assert [row for row in rows() if len(row) != 4 or not all(row)] == []


def test_every_test_file_that_is_named_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)`", PAGE)
    assert named
    assert [path for path in named if not (REPOSITORY / path).is_file()] == []


def test_every_dialect_has_a_sentence_of_its_own() -> None:
    sentences = [profile.deviation for profile in DIALECTS.values()]
    assert len(set(sentences)) == len(sentences)
    assert [sentence for sentence in sentences if not sentence.endswith(".")] == []
