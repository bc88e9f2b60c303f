"""The page on recovery says what is so: its manifests are accepted, its tables are those of the code."""

import json
import re
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.docs.test_docs import coded, fenced, section, table, unknown

from playground.kubectl import Kubectl
from tinker_operator.api.hook_status import Occasion
from tinker_operator.api.meta import GROUP, VERSION, to_wire
from tinker_operator.api.recovery_spec import CheckpointStrategy, FailureClass, Recovery, RecoveryMode, ValidationLevel
from tinker_operator.api.run_spec import DeletionPolicy, ManagementPolicy, RunSource, TrainingRunSpec
from tinker_operator.controllers.hooks import CALL_ID, OCCASION, SIGNATURE
from tinker_operator.core.hook_job import HOOK_VARIABLE
from tinker_operator.core.telemetry import STEPS, EventReason
from tinker_operator.core.trainer_job import ATTEMPT_VARIABLE, HAND_OVER_VARIABLE, KEY_VARIABLE, URL_VARIABLE

Manifest = dict[str, Any]

PAGE = (Path(__file__).parents[2] / "docs" / "recovery.md").read_text(encoding="utf-8")
MANIFESTS: list[Manifest] = [each for block in fenced(PAGE, "yaml") for each in yaml.safe_load_all(block)]
FIELD = "Field of `spec.recovery`"


def names(page: str, title: str, heading: str) -> list[str]:
    """Returns the first cells of a table, without their backticks."""
    return [row[heading].strip("`") for row in table(section(page, title), heading)]


def told_default(text: str) -> Any:
    return {"none": None, "all": "all"}.get(text, yaml.safe_load(text.strip("`")))


@pytest.mark.pure
def test_every_field_is_told_with_its_default_and_no_other() -> None:
    rows = {row[FIELD].strip("`"): row["Default"] for row in table(section(PAGE, "In short"), FIELD)}
    defaults = Recovery().model_dump(by_alias=True, mode="json")
    every = {"retryOn": "all", "onRecovery": None, "onFailure": None}
    assert {name: told_default(text) for name, text in rows.items()} == defaults | every
    assert defaults["retryOn"] == list(FailureClass)


@pytest.mark.pure
@pytest.mark.parametrize(
    ("title", "heading", "values"),
    [
        pytest.param("Proof", "`validation`", ValidationLevel, id="levels of proof, in their order"),
        pytest.param("Modes", "`mode`", RecoveryMode, id="modes"),
        pytest.param("Attempts", "`retryOn`", FailureClass, id="classes of failure"),
    ],
)
def test_a_table_has_a_row_for_each_value(title: str, heading: str, values: type[StrEnum]) -> None:
    assert sorted(names(PAGE, title, heading)) == sorted(values)


@pytest.mark.pure
def test_the_levels_of_proof_stand_in_their_order() -> None:
    assert names(PAGE, "Proof", "`validation`") == list(ValidationLevel)


@pytest.mark.pure
def test_each_strategy_is_told() -> None:
    assert re.findall(r"^- \*\*(\w+)\*\*", section(PAGE, "Which checkpoint"), re.MULTILINE) == list(CheckpointStrategy)


@pytest.mark.pure
def test_the_steps_are_those_of_the_code() -> None:
    rows = table(section(PAGE, "What is told"), "Step")
    told = {reason: row for row in rows for reason in coded(row["Event"])}
    assert {EventReason(reason) for reason in told} == set(STEPS)
    assert {reason: list(row.values())[3].strip("`") for reason, row in told.items()} == STEPS
    assert all(row["Log"] == f"`recovery_{list(row.values())[3].strip('`')}`" for row in rows)


@pytest.mark.pure
def test_what_is_sent_and_added_has_the_names_of_the_code() -> None:
    named = coded(PAGE)
    assert {CALL_ID, OCCASION, SIGNATURE, HOOK_VARIABLE} <= named
    assert {ATTEMPT_VARIABLE, HAND_OVER_VARIABLE, KEY_VARIABLE, URL_VARIABLE} <= named
    assert set(Occasion) <= named


@pytest.mark.pure
def test_the_body_of_a_webhook_is_the_one_that_is_sent() -> None:
    """The dictionary of the module that makes it, read from its text."""
    source = Path(__file__).parents[2] / "operator" / "tinker_operator" / "core" / "hooks.py"
    (made,) = re.findall(r"^    body = \{\n(.*?)^    \}", source.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert names(PAGE, "Hooks", "Field of the body") == re.findall(r'^        "(\w+)":', made, re.MULTILINE)


@pytest.mark.pure
def test_every_row_says_something() -> None:
    titles = {"In short": FIELD, "Proof": "`validation`", "Modes": "`mode`", "Hooks": "Field of the body"}
    titles |= {"Attempts": "`retryOn`", "What is told": "Step"}
    rows = [row for title, heading in titles.items() for row in table(section(PAGE, title), heading)]
    assert [row for row in rows if not all(row.values())] == []


def given(value: Any, where: str) -> set[str]:
    """Returns the paths of all fields that are given, lists passed through."""
    if isinstance(value, list):
        return {path for each in value for path in given(each, where)}
    if not isinstance(value, dict) or where.endswith(("userMetadata", "template")):
        return {where}
    return {where} | {path for name, each in value.items() for path in given(each, f"{where}.{name}")}


@pytest.mark.pure
def test_the_examples_give_every_field_of_recovery_once_at_least() -> None:
    shown = {path for each in MANIFESTS for path in given(each["spec"], "spec")}
    fields = {field.alias or name for name, field in Recovery.model_fields.items()}
    assert {f"spec.recovery.{name}" for name in fields} - shown == set()
    hooks = {"webhook.urlSecretRef", "webhook.hmacSecretRef", "webhook.timeoutSeconds", "job.template"}
    assert {path for path in hooks if not any(each.endswith(path) for each in shown)} == set()
    assert {f"spec.recovery.metric.{name}" for name in ("name", "mode", "namePattern")} - shown == set()
    sources = {field.alias or name for name, field in RunSource.model_fields.items()}
    assert {f"spec.run.{name}" for name in sources} - shown == set()


@pytest.mark.pure
def test_the_examples_show_every_value_that_is_not_the_default() -> None:
    text = json.dumps([each["spec"] for each in MANIFESTS])
    values = {*RecoveryMode, *CheckpointStrategy} - {"Recreate", "Latest"}
    assert {value for value in values if f'"{value}"' not in text} == set()
    assert f'"{ManagementPolicy.OBSERVE_ONLY}"' in text
    assert f'"{DeletionPolicy.DELETE}"' in text


@pytest.mark.pure
@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda each: each["metadata"]["name"])
def test_every_manifest_is_of_the_types(manifest: Manifest) -> None:
    assert (manifest["apiVersion"], manifest["kind"]) == (f"{GROUP}/{VERSION}", "TrainingRun")
    parsed = TrainingRunSpec.model_validate(manifest["spec"])
    assert list(unknown(manifest["spec"], to_wire(parsed), "spec")) == []


@pytest.mark.pure
def test_no_two_manifests_have_one_name() -> None:
    """Whoever applies the page gets as many objects as it shows; the command names one of them."""
    shown = [each["metadata"]["name"] for each in MANIFESTS]
    assert len(shown) == len(set(shown)) >= 9
    (command,) = fenced(PAGE, "sh")
    assert command.split()[3] in shown


@pytest.mark.cluster
@pytest.mark.usefixtures("crds")
def test_the_command_asks_the_operator_again(kubectl: Kubectl, namespace: str) -> None:
    """It is a valid command, and sets the annotation that is heeded."""
    (command,) = fenced(PAGE, "sh")
    _, verb, kind, name, annotation, *_ = command.split()
    made = next(each for each in MANIFESTS if each["metadata"]["name"] == name)
    kubectl("apply", f"--namespace={namespace}", "-f", "-", stdin=yaml.safe_dump(made))
    key = annotation.partition("=")[0]
    kubectl(verb, kind, name, f"{key}=2026-01-01T00:00:00Z", "--overwrite", f"--namespace={namespace}")
    assert key == f"{GROUP}/reconcile-at"
    assert kubectl.json("get", kind, name, f"--namespace={namespace}")["metadata"]["annotations"][key]
