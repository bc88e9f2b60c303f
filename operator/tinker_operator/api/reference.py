"""The command that writes the reference of both kinds: `python -m tinker_operator.api.reference FILE [--check]`.

`make reference` writes docs/reference.md; the build checks with `--check` that what is committed is what the types say.
What a page says by hand of a field goes stale; this one cannot.
"""

import argparse
import difflib
import sys
from collections.abc import Iterator, Sequence
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn, get_args

from pydantic import BaseModel

from tinker_operator.api.definitions import KINDS, Kind, definition
from tinker_operator.api.fields import Field, Refusal, fields_of, refusals_of
from tinker_operator.api.member_docs import member_docs
from tinker_operator.api.reasons import ConditionType, Reason
from tinker_operator.api.schema import SchemaError

REMEDY = "make reference"
DIFF_LINES = 40
"""Lines of a difference that --check shows: enough to see what it is about."""

INTRODUCTION = f"""# Reference

Every field of both kinds, as the API server checks it. `kubectl explain trainingrun.spec` tells the same, and
[concepts.md](concepts.md) what they are for. This page is made from the types by `{REMEDY}`, and a test fails when it
says something else.

`[]` stands for each item of a list, `{{}}` for each value of a map. A field without default may be left out, unless it
is required. The operator never writes `spec`; nobody but the operator writes `status`.
"""
CONDITIONS = """## Conditions

What each means when it is True. When it is False or absent, and what to do then, is in the [README](../README.md).
"""
REASONS = """## Reasons

The closed list of words that a condition's `reason` can be. What to do about each is in the [README](../README.md).
"""
VALUES = """## Values

What the words mean that fields of the two kinds can hold.
"""


def rendered() -> str:
    """Returns the text of the page."""
    parts = [INTRODUCTION, *(_kind(kind) for kind in KINDS)]
    parts += [CONDITIONS, _members(ConditionType, "Condition"), REASONS, _members(Reason, "Reason")]
    return "\n".join([*parts, VALUES, *_values()])


def _kind(kind: Kind) -> str:
    schema = definition(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    spec, status = (tuple(fields_of(schema["properties"][part], part)) for part in ("spec", "status"))
    said = f"{schema['description']} Short name `{kind.short}`, plural `{kind.plural}`."
    parts = [f"## {kind.name}", said, _columns(kind), f"### spec of a {kind.name}", _fields(spec)]
    parts += [f"### What is refused of a {kind.name}", "In these words, when it is applied:", _refusals(schema)]
    return "\n\n".join([*parts, f"### status of a {kind.name}", _fields(status)]) + "\n"


def _columns(kind: Kind) -> str:
    always, wide = ([each.name.upper() for each in kind.columns if each.wide is said] for said in (False, True))
    return f"`kubectl get {kind.short}` shows {', '.join(always)} and AGE; with `-o wide` {', '.join(wide)} too."


def _fields(fields: Sequence[Field]) -> str:
    rows = ([f"`{one.path}`", one.type, one.default, one.limits, one.meaning] for one in fields)
    return _table(["Field", "Type", "Default", "Limits", "Meaning"], rows)


def _refusals(schema: dict[str, Any]) -> str:
    found: Iterator[Refusal] = refusals_of(schema["properties"]["spec"], "spec")
    return _table(["Where", "Told"], ([f"`{one.path}`", one.message] for one in found))


def _members(enumeration: type[StrEnum], heading: str) -> str:
    return _table([heading, "Meaning"], ([f"`{name}`", text] for name, text in member_docs(enumeration).items())) + "\n"


def _values() -> Iterator[str]:
    found: dict[type[StrEnum], None] = {}
    for kind in KINDS:
        found |= dict.fromkeys([*_enumerations(kind.spec), *_enumerations(kind.status)])
    for each in found:
        if len(member_docs(each)) == len(each):
            yield f"### {each.__name__}\n\n{each.__doc__}\n\n{_members(each, 'Value')}"


def _enumerations(annotation: Any) -> Iterator[type[StrEnum]]:
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        yield annotation
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for field in annotation.model_fields.values():
            yield from _enumerations(field.annotation)
    for inner in get_args(annotation):
        yield from _enumerations(inner)


def _table(head: Sequence[str], rows: Iterator[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |".replace("<", "&lt;") for cells in lines)


def differences(path: Path) -> list[str]:
    """Returns what is wrong with the file, with the first lines of the difference; nothing if it is right."""
    committed = path.read_text(encoding="utf-8") if path.is_file() else ""
    lines = difflib.unified_diff(
        committed.splitlines(), rendered().splitlines(), str(path), "generated from the types", lineterm=""
    )
    shown = list(islice(lines, DIFF_LINES))
    return ["\n".join([f"{path} is not what the types say; run `{REMEDY}`:", *shown])] if shown else []


class _OneLineParser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; `--help` tells the rest\n")


def _run(path: Path, *, check: bool) -> list[str]:
    try:
        if check:
            return differences(path)
        path.write_text(rendered(), encoding="utf-8")
    except (SchemaError, OSError) as error:
        return [str(error)]
    return []


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns 0, or 1 when --check finds a difference or the file cannot be written."""
    parser = _OneLineParser(prog="python -m tinker_operator.api.reference", description="Writes the reference.")
    parser.add_argument("file", type=Path, metavar="FILE", help="the page, in the repository: docs/reference.md")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when it differs")
    given = parser.parse_args(arguments)
    faults = _run(given.file, check=given.check)
    sys.stderr.writelines(f"{fault}\n" for fault in faults)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
