"""docs/operator-levels.md answers each question once, and with a test wherever the answer is not a plain no."""

import re
from pathlib import Path

import pytest
from tests.docs.test_docs import PAGES, section, table

pytestmark = pytest.mark.pure
PAGE = PAGES["docs/operator-levels.md"]
REPOSITORY = Path(__file__).parents[2]
QUESTIONS = {
    "Level 1: basic install": range(1, 11),
    "Level 2: seamless upgrades": range(1, 6),
    "Level 3: full lifecycle": range(1, 11),
    "Level 4: deep insights": (1, 2, 4, 5, 6, 7, 8),
    "Level 5: auto pilot": range(1, 7),
}
"""Numbers of the questions, as the documentation of the Operator SDK has them."""


@pytest.mark.parametrize(("title", "numbers"), QUESTIONS.items())
def test_every_question_is_answered_once(title: str, numbers: range | tuple[int, ...]) -> None:
    rows = table(section(PAGE, title), "")
    assert [int(row[""]) for row in rows] == [*numbers]
    assert [row for row in rows if not row["Question"].endswith("?") or not row["Answer"].endswith(".")] == []


@pytest.mark.parametrize("title", QUESTIONS)
def test_every_answer_but_a_plain_no_is_shown_by_a_test(title: str) -> None:
    """That the tests exist is a law of all pages; here, that files without a test's name do."""
    for row in table(section(PAGE, title), ""):
        named = re.findall(r"`(tests/[\w/]+\.py)(?:::\w+)?`", row["Shown by"])
        assert named or row["Answer"].startswith("No"), row["Question"]
        assert [path for path in named if not (REPOSITORY / path).is_file()] == []


def test_every_level_is_there() -> None:
    assert re.findall(r"^## (.*)$", PAGE, flags=re.MULTILINE) == [*QUESTIONS]
