"""What users may write, told by the real API server through the real kubectl: manifests.yaml is the table."""

import json
from collections.abc import Callable, Mapping
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
import yaml

from playground.kubectl import Kubectl
from tinker_operator.api.checkpoint_policy import CheckpointPolicySpec
from tinker_operator.api.meta import ApiModel, to_wire
from tinker_operator.api.run_spec import TrainingRunSpec

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("crds")]

Case = dict[str, Any]
Manifest = dict[str, Any]
MakeManifest = Callable[..., Manifest]
WriteStatus = Callable[[Manifest, Mapping[str, Any]], Manifest]

TABLE: dict[str, list[Case]] = yaml.safe_load(Path(__file__).with_name("manifests.yaml").read_text(encoding="utf-8"))
SPECS: dict[str, type[ApiModel]] = {"TrainingRun": TrainingRunSpec, "CheckpointPolicy": CheckpointPolicySpec}
ABSENT = "absent"


def rows(section: str) -> list[Any]:
    return [pytest.param(case, id=case["it"]) for case in TABLE[section]]


def field(document: Mapping[str, Any], path: str) -> Any:
    """The value at a dotted path, or `absent`."""
    node: Any = document
    for key in path.split("."):
        node = node.get(key, ABSENT) if isinstance(node, dict) else ABSENT
    return node


def place(document: Manifest, path: str, value: Any) -> None:
    *way, last = path.split(".")
    reduce(lambda node, key: node.setdefault(key, {}), way, document)[last] = value


def written(case: Case, make: MakeManifest) -> Manifest:
    """The manifest that a row describes; `long` and `many` stand for what would be tedious to spell out."""
    rest = {"status": case["status"]} if "status" in case else {}
    manifest = make(case["kind"], case.get("spec"), **rest)
    if "name_length" in case:
        manifest["metadata"]["name"] = "n" * case["name_length"]
    for path, length in case.get("long", {}).items():
        place(manifest, path, "x" * length)
    for path, count in case.get("many", {}).items():
        place(manifest, path, {f"key-{number}": "x" for number in range(count)})
    return manifest


def assert_stored(stored: Manifest, expected: Mapping[str, Any]) -> None:
    assert {path: field(stored, path) for path in expected} == dict(expected)


def assert_refused(said: str, case: Case) -> None:
    """A message of the API server names the field and the remedy, and shows no regular expression."""
    about_field = [line for line in said.splitlines() if case["field"] in line]
    assert about_field, f"no word of {case['field']} in: {said}"
    assert any(case["remedy"] in line for line in about_field), f"no word of the remedy in: {said}"
    assert "should match" not in said


@pytest.mark.parametrize("case", rows("accepted"))
def test_a_good_manifest_is_accepted_with_its_defaults(case: Case, kubectl: Kubectl, manifest: MakeManifest) -> None:
    """What is stored is what the table says, and the types give the same defaults as the API server."""
    wanted = json.dumps(written(case, manifest))
    created = kubectl("create", "-f", "-", "-o", "json", *case.get("arguments", []), stdin=wanted)
    stored = json.loads(created.stdout)
    assert_stored(stored, case.get("stored", {}))
    model = SPECS[case["kind"]]
    asked = {key: value for key, value in case["spec"].items() if value is not None}
    assert to_wire(model.model_validate(asked)) == to_wire(model.model_validate(stored["spec"])) == stored["spec"]


@pytest.mark.parametrize("case", rows("refused"))
def test_a_bad_manifest_is_refused_with_the_field_and_the_remedy(
    case: Case, kubectl: Kubectl, manifest: MakeManifest
) -> None:
    """Nothing is stored, and whoever applied it can read what to change."""
    answer = kubectl("create", "-f", "-", stdin=json.dumps(written(case, manifest)), check=False)
    assert answer.returncode != 0, answer.stdout
    assert_refused(answer.stderr, case)


@pytest.mark.parametrize("case", rows("changes"))
def test_a_change_is_judged_by_what_was_there(
    case: Case, kubectl: Kubectl, manifest: MakeManifest, write_status: WriteStatus
) -> None:
    """What is immutable is immutable once the run exists and not before."""
    before = manifest(case["kind"], case["before"])
    kubectl("apply", "-f", "-", stdin=json.dumps(before))
    write_status(before, case["status"])
    after = json.dumps(before | {"spec": case["after"]})
    answer = kubectl("apply", "-f", "-", "-o", "json", stdin=after, check=False)
    if "stored" in case:
        assert_stored(json.loads(answer.stdout), case["stored"])
    else:
        assert answer.returncode != 0, answer.stdout
        assert_refused(answer.stderr, case)


def test_the_table_is_as_large_as_promised() -> None:
    """Sixty manifests at least, each with a sentence of its own."""
    sentences = [case["it"] for section in TABLE.values() for case in section]
    assert len(sentences) == len(set(sentences)) >= 60
