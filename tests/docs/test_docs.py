"""The documents say what is so: what can be checked against the code is."""

import ast
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tinker_operator import trainer
from tinker_operator.api.checkpoint_policy import CheckpointPolicySpec
from tinker_operator.api.definitions import KINDS
from tinker_operator.api.meta import GROUP, VERSION, ApiModel, to_wire
from tinker_operator.api.policy_status import KeepReason
from tinker_operator.api.reasons import ConditionType, Reason
from tinker_operator.api.run_spec import TrainingRunSpec
from tinker_operator.cli.main import command

Manifest = dict[str, Any]
Table = list[dict[str, str]]

REPOSITORY = Path(__file__).parents[2]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
DESIGN = (REPOSITORY / "operator" / "DESIGN.md").read_text(encoding="utf-8")
CONTRIBUTING = (REPOSITORY / ".github" / "CONTRIBUTING.md").read_text(encoding="utf-8")
PAGES = {f"docs/{page.name}": page.read_text(encoding="utf-8") for page in (REPOSITORY / "docs").glob("*.md")}
DOCUMENTS = {"README.md": README, "DESIGN.md": DESIGN, "CONTRIBUTING.md": CONTRIBUTING, **PAGES}
SPECS: Mapping[str, type[ApiModel]] = {"TrainingRun": TrainingRunSpec, "CheckpointPolicy": CheckpointPolicySpec}
ADVICE = "What to do"


def section(text: str, title: str) -> str:
    """Returns what stands under a heading of the second level."""
    sections = dict(part.split("\n", 1) for part in re.split(r"^## ", text, flags=re.MULTILINE)[1:])
    return sections[title]


def tables(text: str) -> Iterator[Table]:
    """Yields each table as rows by heading; a row with more or fewer cells than its head fails."""
    for block in re.findall(r"(?:^\|.*\n?)+", text, flags=re.MULTILINE):
        head, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in block.strip().splitlines()]
        yield [dict(zip(head, row, strict=True)) for row in rows]


def table(text: str, heading: str) -> Table:
    """Returns the one table whose first column has this heading."""
    (found,) = [rows for rows in tables(text) if next(iter(rows[0])) == heading]
    return found


def coded(text: str) -> set[str]:
    """Returns everything that stands in backticks."""
    return set(re.findall(r"`([^`\n]+)`", text))


def fenced(text: str, language: str) -> list[str]:
    """Returns the blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def manifests() -> list[Manifest]:
    """Returns the objects of our kinds in the README."""
    documents = (each for block in fenced(README, "yaml") for each in yaml.safe_load_all(block))
    return [each for each in documents if each["kind"] in SPECS]


def unknown(given: Any, known: Any, where: str) -> Iterator[str]:
    """Yields the fields that are given and that the type does not have."""
    if not isinstance(given, dict):
        return
    for name, value in given.items():
        if name in known:
            yield from unknown(value, known[name], f"{where}.{name}")
        else:
            yield f"{where}.{name}"


@pytest.mark.pure
def test_every_reason_is_explained_once_and_no_other() -> None:
    """A reason that a user meets and cannot look up would be a riddle."""
    told = [row["Reason"] for row in table(README, "Reason")]
    assert sorted(told) == sorted(f"`{reason}`" for reason in Reason)


@pytest.mark.pure
def test_every_condition_is_explained_once_and_no_other() -> None:
    told = [row["Condition"] for row in table(README, "Condition")]
    assert sorted(told) == sorted(f"`{kind}`" for kind in ConditionType)


@pytest.mark.pure
@pytest.mark.parametrize("heading", ["Reason", "Condition"])
def test_every_row_says_what_it_means_and_what_to_do(heading: str) -> None:
    rows = table(README, heading)
    assert all(ADVICE in row for row in rows)
    assert [row for row in rows if not all(row.values())] == []


@pytest.mark.pure
def test_a_reason_is_told_beside_conditions_that_exist() -> None:
    shown = {word for row in table(README, "Reason") for word in re.findall(r"[A-Z]\w+", row["Seen on"])}
    assert shown <= {*ConditionType, "True", "False", "Unknown"}


@pytest.mark.pure
@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_test_that_is_named_exists(name: str) -> None:
    """Wherever a document claims that something is proven, the proof is there."""
    named = re.findall(r"(tests/[\w/]+\.py)::(\w+)", DOCUMENTS[name])
    missing = [f"{path}::{test}" for path, test in named if test not in defined(REPOSITORY / path)]
    assert missing == []


def defined(path: Path) -> set[str]:
    """Returns the names that a module defines at its top, functions that pytest would not collect left out."""
    if not path.is_file():
        return set()
    names: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) if name.startswith("test_"):
                names.add(name)
            case ast.ClassDef(name=name) if name.startswith("Test"):
                names.add(name)
            case ast.Assign(targets=[ast.Name(id=name)]) if name.startswith("Test"):
                names.add(name)
    return names


@pytest.mark.pure
def test_every_promise_has_its_proof() -> None:
    rows = table(section(README, "What it never does"), "Promise")
    unproven = [row["Promise"] for row in rows if "::test_" not in row["Test that proves it"]]
    assert unproven == []


@pytest.mark.pure
@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_path_that_is_named_exists(name: str) -> None:
    """From the root of the repository, or below the operator's own package for short."""
    roots = (REPOSITORY, REPOSITORY / "operator", REPOSITORY / "operator" / "tinker_operator")
    paths = {word for word in coded(DOCUMENTS[name]) if re.fullmatch(r"\.?\w+(/[\w.]+)+\.\w+", word)}
    assert sorted(path for path in paths if not any((root / path).is_file() for root in roots)) == []


@pytest.mark.pure
def test_every_dependency_is_named_with_its_reason() -> None:
    """Each dependency and each extra, in the table of dependencies."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    required = [*project["dependencies"], *(each for extra in extras.values() for each in extra)]
    packages = {re.split(r"[^\w.-]", requirement, maxsplit=1)[0] for requirement in required} - {project["name"]}
    rows = table(section(DESIGN, "Dependencies"), "Name")
    named = {word for row in rows for word in coded(row["Name"])}
    assert named == packages | set(extras)
    assert all(row["Why it is here"] for row in rows)


@pytest.mark.pure
def test_decisions_are_numbered_in_order_and_say_why_and_what_was_refused() -> None:
    decisions = re.findall(r"^### D(\d+)\. [^\n]+\n(.*?)(?=^##|\Z)", DESIGN, flags=re.MULTILINE | re.DOTALL)
    assert [int(number) for number, _ in decisions] == list(range(1, len(decisions) + 1))
    assert [number for number, said in decisions if not {"**Why:**", "**Refused:**"} <= set(said.split())] == []


@pytest.mark.pure
def test_every_decision_that_is_referred_to_exists() -> None:
    decisions = set(re.findall(r"^### (D\d+)\.", DESIGN, flags=re.MULTILINE))
    assert set(re.findall(r"\bD\d+\b", DESIGN)) == decisions


@pytest.mark.pure
def test_the_readme_shows_each_kind() -> None:
    assert {each["kind"] for each in manifests()} == {kind.name for kind in KINDS}


@pytest.mark.pure
@pytest.mark.parametrize("manifest", manifests(), ids=lambda each: each["metadata"]["name"])
def test_every_manifest_of_the_readme_is_of_the_types(manifest: Manifest) -> None:
    """It parses, and the type has each of its fields."""
    assert manifest["apiVersion"] == f"{GROUP}/{VERSION}"
    parsed = SPECS[manifest["kind"]].model_validate(manifest["spec"])
    assert list(unknown(manifest["spec"], to_wire(parsed), "spec")) == []


@pytest.mark.pure
def test_a_field_that_no_type_has_is_found() -> None:
    """The law above can fail."""
    found = unknown({"keepLast": 3, "selector": {"matchNames": []}}, {"selector": {"matchLabels": {}}}, "spec")
    assert list(found) == ["spec.keepLast", "spec.selector.matchNames"]


@pytest.mark.pure
def test_every_option_of_the_operator_is_told_and_no_other() -> None:
    options = {option for each in command.commands["run"].params for option in each.opts}
    assert set(re.findall(r"--[a-z-]+", "\n".join(coded(section(README, "Install"))))) == options


@pytest.mark.pure
def test_every_target_of_make_that_is_named_exists() -> None:
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, flags=re.MULTILINE))
    shown = "\n".join(block for text in DOCUMENTS.values() for block in (*fenced(text, "sh"), *coded(text)))
    assert set(re.findall(r"\bmake ([a-z]+)", shown)) <= targets


@pytest.mark.pure
def test_the_loop_of_the_readme_compiles_and_imports_what_there_is() -> None:
    (loop,) = fenced(README, "python")
    imported = [node for node in ast.parse(loop).body if isinstance(node, ast.ImportFrom)]
    assert [node.module for node in imported] == [trainer.__name__]
    assert {alias.name for node in imported for alias in node.names} <= set(trainer.__all__)


@pytest.mark.pure
def test_the_map_names_every_package() -> None:
    """And no package that is not there."""
    source = REPOSITORY / "operator"
    packages = {str(each.parent.relative_to(source)) for each in source.rglob("__init__.py")} - {"tinker_operator"}
    rows = tables(section(README, "Map of the code"))
    named = {word for rows_ in rows for row in rows_ for cell in row.values() for word in coded(cell)}
    assert {word for word in named if (source / word).is_dir()} == packages
    assert {word for word in named if re.fullmatch(r"[a-z_/]+", word)} - packages == {"crds/"}


@pytest.mark.pure
def test_every_reason_to_keep_is_explained_once_and_no_other() -> None:
    told = [word for row in table(README, "Kept because") for word in re.findall(r"`(\w+)`", row["Kept because"])]
    assert sorted(told) == sorted(KeepReason)
