"""docs/reference.md is what the types say, to the letter, and the command that writes it says so when it is not."""

from enum import StrEnum
from pathlib import Path

import pytest
from tests.api.test_crds import fields_of

from tinker_operator.api.definitions import KINDS, Kind
from tinker_operator.api.fields import Field, refusals_of
from tinker_operator.api.fields import fields_of as told_of
from tinker_operator.api.member_docs import member_docs
from tinker_operator.api.policy_status import KeepReason
from tinker_operator.api.reasons import ConditionType, Reason
from tinker_operator.api.reference import main, rendered
from tinker_operator.api.rules import rule, rules

pytestmark = pytest.mark.pure
PAGE = rendered()


class Colour(StrEnum):
    """Some with a sentence, one without."""

    RED = "Red"
    """As a rose,
    or a tomato."""
    BLUE = "Blue"
    GREEN = "Green"
    """As grass."""


def test_what_is_committed_is_what_the_types_say(repository: Path) -> None:
    """To the byte; the remedy is `make reference`."""
    assert (repository / "docs" / "reference.md").read_text(encoding="utf-8") == PAGE


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_field_of_the_types_has_a_row(kind: Kind) -> None:
    wanted = {path for part, model in (("spec", kind.spec), ("status", kind.status)) for path in fields_of(model, part)}
    assert [path for path in wanted if f"| `{path}` |" not in PAGE] == []


@pytest.mark.parametrize("words", [ConditionType, Reason, KeepReason])
def test_every_word_of_status_is_told_in_a_sentence(words: type[StrEnum]) -> None:
    told = member_docs(words)
    assert list(told) == [*words]
    assert [text for text in told.values() if not text.endswith(".")] == []


def test_every_table_is_one() -> None:
    """A bar in a description would make a cell more than the head has."""
    blocks = [block.splitlines() for block in PAGE.split("\n\n") if block.startswith("|")]
    assert blocks
    assert [line for head, *rows in blocks for line in rows if line.count("|") != head.count("|")] == []


def test_a_member_without_a_sentence_is_left_out() -> None:
    assert member_docs(Colour) == {"Red": "As a rose, or a tomato.", "Green": "As grass."}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        pytest.param(
            {"type": "integer", "minimum": 1, "maximum": 9, "default": 3},
            ("integer", "`3`", "1 to 9"),
            id="a number between two",
        ),
        pytest.param({"type": "string", "maxLength": 9}, ("string", "", "at most 9 characters"), id="a length"),
        pytest.param(
            {"type": "integer", "minimum": 0}, ("integer", "", "at least 0"), id="a least alone, though it is 0"
        ),
        pytest.param(
            {"type": "string", "enum": ["a", "b"]}, ("string", "", "one of `a`, `b`"), id="one of a few words"
        ),
        pytest.param(
            {"type": "array", "maxItems": 2, "items": {"type": "string", "maxLength": 3}},
            ("list of string", "", "at most 2 items; each at most 3 characters"),
            id="a list, and each of its items",
        ),
        pytest.param(
            {"type": "object", "additionalProperties": {"type": "integer"}, "default": {}},
            ("map of integer", "as its fields", ""),
            id="a map",
        ),
        pytest.param({"type": "string", "format": "date-time"}, ("time", "", ""), id="a time"),
        pytest.param(
            {"type": "object", "x-kubernetes-preserve-unknown-fields": True}, ("any object", "", ""), id="anything"
        ),
        pytest.param({"type": "boolean", "default": False}, ("boolean", "`false`", ""), id="no is a default"),
    ],
)
def test_a_field_is_told_in_words(schema: dict[str, object], expected: tuple[str, str, str]) -> None:
    (found,) = told_of({"properties": {"it": {"description": "It.", **schema}}}, "spec")
    assert found == Field("spec.it", *expected, "It.")


def test_what_a_rule_requires_is_required() -> None:
    """Some are required by a rule, whose message tells what to write."""
    properties = {name: {"type": "string", "description": "It."} for name in ("a", "b", "c")}
    schema = {"properties": properties, "required": ["a"], **rules(rule("has(self.b)", "b: missing; give one"))}
    assert {one.path: one.default for one in told_of(schema, "spec")} == {
        "spec.a": "required",
        "spec.b": "required",
        "spec.c": "",
    }


def test_a_refusal_is_told_where_it_is_looked_at() -> None:
    inner = {"type": "string", **rules(rule("true", "own"))}
    schema = {"properties": {"l": {"items": inner}}, **rules(rule("true", "whole", path=".l"))}
    assert [(one.path, one.message) for one in refusals_of(schema, "spec")] == [
        ("spec.l", "whole"),
        ("spec.l[]", "own"),
    ]


def test_the_command_writes_what_it_then_finds_right(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "reference.md"
    assert main([str(page), "--check"]) == 1
    assert "make reference" in capsys.readouterr().err
    assert (main([str(page)]), main([str(page), "--check"])) == (0, 0)
    page.write_text(page.read_text(encoding="utf-8").replace("keepLast", "keepLst"), encoding="utf-8")
    assert main([str(page), "--check"]) == 1
    assert "+| `spec.retention.keepLast`" in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 1
    assert "Is a directory" in capsys.readouterr().err
