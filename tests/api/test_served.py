"""What kubectl and the operator see of the two kinds, on the real API server."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from playground.kubectl import Kubectl
from tinker_operator.api.definitions import KINDS, Kind
from tinker_operator.api.meta import GROUP, ApiModel, to_wire
from tinker_operator.api.policy_status import CheckpointPolicyStatus
from tinker_operator.api.run_status import TrainingRunStatus

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("crds")]

Manifest = dict[str, Any]
MakeManifest = Callable[..., Manifest]
WriteStatus = Callable[[Manifest, Mapping[str, Any]], Manifest]

SPECS: dict[str, Manifest] = {
    "TrainingRun": {"run": {"trainingRunId": "r"}},
    "CheckpointPolicy": {"selector": {"matchLabels": {}}, "retention": {"keepLast": 3}},
}
STATUSES: dict[str, type[ApiModel]] = {"TrainingRun": TrainingRunStatus, "CheckpointPolicy": CheckpointPolicyStatus}
NOON = "2026-05-01T12:00:00Z"
READY = {
    "type": "Ready",
    "status": "False",
    "observedGeneration": 1,
    "lastTransitionTime": NOON,
    "reason": "Recovering",
    "message": "Wait.",
}
SYNCED = READY | {"type": "Synced", "status": "True", "reason": "Observed", "message": "Seen."}
STALLED = READY | {"type": "Stalled", "status": "True", "reason": "InvalidSpec", "message": "Mend it."}

each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)


def full(schema: Mapping[str, Any]) -> Any:
    """A value with every field that a schema has; lists and maps have one entry."""
    if "enum" in schema:
        return schema["enum"][0]
    if schema.get("format") == "date-time":
        return NOON
    match schema["type"]:
        case "object" if "properties" in schema:
            return {name: full(field) for name, field in schema["properties"].items()}
        case "object":
            return {"key": full(schema["additionalProperties"])}
        case "array":
            return [full(schema["items"])]
        case other:
            return {"string": "Text", "integer": 7, "boolean": True}[other]


def created(kubectl: Kubectl, subject: Manifest) -> Manifest:
    kubectl("create", "-f", "-", stdin=json.dumps(subject))
    return subject


def address(subject: Manifest) -> tuple[str, ...]:
    """The object as kubectl's arguments name it."""
    metadata = subject["metadata"]
    return ("--namespace", metadata["namespace"], subject["kind"], metadata["name"])


def status_schema(repository: Path, kind: Kind) -> Mapping[str, Any]:
    definition = yaml.safe_load((repository / "crds" / f"{kind.plural}.yaml").read_text(encoding="utf-8"))
    schema: Mapping[str, Any] = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]
    return schema


@each_kind
def test_every_field_of_a_status_is_kept_and_read_back(
    kind: Kind, repository: Path, kubectl: Kubectl, manifest: MakeManifest, write_status: WriteStatus
) -> None:
    """The API server prunes nothing that the operator writes, and the types lose nothing that it stores."""
    subject = created(kubectl, manifest(kind.name, SPECS[kind.name]))
    status = full(status_schema(repository, kind))
    stored = write_status(subject, status)["status"]
    assert stored == status
    assert to_wire(STATUSES[kind.name].model_validate(stored)) == status


@each_kind
def test_a_status_of_defaults_is_accepted(
    kind: Kind, kubectl: Kubectl, manifest: MakeManifest, write_status: WriteStatus
) -> None:
    """What the types write of an object that nothing is known of is legal, and nothing is added to it."""
    subject = created(kubectl, manifest(kind.name, SPECS[kind.name]))
    status = to_wire(STATUSES[kind.name]())
    assert write_status(subject, status)["status"] == status


@each_kind
@pytest.mark.parametrize(
    ("conditions", "said"),
    [
        pytest.param([READY, READY], "Duplicate value", id="two conditions of one type"),
        pytest.param([READY | {"status": "Maybe"}], "supported values", id="a fourth truth value"),
        pytest.param([READY | {"reason": "not a word"}], "reason", id="a reason of several words"),
        pytest.param([READY | {"lastTransitionTime": "noon"}], "lastTransitionTime", id="a time that is none"),
        pytest.param([{"type": "Ready", "status": "True"}], "Required value", id="a condition that explains nothing"),
        pytest.param([READY | {"message": "x" * 4097}], "Too long", id="a message that is a log"),
    ],
)
def test_conditions_have_the_form_of_kubernetes(
    kind: Kind, conditions: list[Manifest], said: str, kubectl: Kubectl, manifest: MakeManifest
) -> None:
    """What other tools could not read is refused before they see it."""
    subject = created(kubectl, manifest(kind.name, SPECS[kind.name]))
    patch = json.dumps({"status": {"conditions": conditions}})
    arguments = ("--subresource=status", "--type=merge", "--patch", patch)
    answer = kubectl("patch", *address(subject), *arguments, check=False)
    assert answer.returncode != 0
    assert said in answer.stderr


@each_kind
def test_writing_status_leaves_spec_alone_and_the_other_way_round(
    kind: Kind, kubectl: Kubectl, manifest: MakeManifest, write_status: WriteStatus
) -> None:
    """The status subresource: a user cannot write status, the operator cannot write spec, and generation is spec's."""
    subject = created(kubectl, manifest(kind.name, SPECS[kind.name]))
    assert write_status(subject, {"observedGeneration": 1})["metadata"]["generation"] == 1
    both = json.dumps({"spec": {"suspend": True}, "status": {"observedGeneration": 9}})
    by_operator = kubectl.json("patch", *address(subject), "--type=merge", "--subresource=status", "--patch", both)
    assert by_operator["spec"]["suspend"] is False
    stored = kubectl.json("patch", *address(subject), "--type=merge", "--patch", both.replace("9", "8"))
    assert (stored["spec"]["suspend"], stored["status"]["observedGeneration"]) == (True, 9)


def headings(table: str) -> list[str]:
    return [heading.strip() for heading in table.splitlines()[0].split("  ") if heading.strip()]


@dataclass(frozen=True, slots=True)
class Shown:
    """A status, the headings that kubectl prints for it and the cells below them, NAME and AGE not counted."""

    kind: str
    status: Manifest
    narrow: list[str]
    wide: list[str]
    row: list[str]


TRAINING_RUN = Shown(
    kind="TrainingRun",
    status={
        "trainingRunId": "s:train:1",
        "baseModel": "Qwen/Qwen3-8B",
        "loraRank": 32,
        "recoveries": 2,
        "lastCheckpoint": {"path": "tinker://s:train:1/weights/a"},
        "recovery": {"nextAttemptTime": NOON},
    },
    narrow=["NAME", "READY", "STATE", "RUN", "BASE MODEL", "RECOVERIES", "LAST CHECKPOINT", "AGE"],
    wide=["RANK", "NEXT ATTEMPT", "MESSAGE"],
    row=["False", "Recovering", "s:train:1", "Qwen/Qwen3-8B", "2", "tinker://s:train:1/weights/a", "32", NOON, "Wait."],
)
CHECKPOINT_POLICY = Shown(
    kind="CheckpointPolicy",
    status={"trainingRuns": 11, "keptCount": 12, "dueCount": 13, "deletedTotal": 14, "keptBytes": 15, "dueBytes": 16},
    narrow=["NAME", "READY", "STATE", "RUNS", "KEPT", "DUE", "DELETED", "AGE"],
    wide=["VALIDATED", "ACTION", "KEPT BYTES", "DUE BYTES", "MESSAGE"],
    row=["False", "Recovering", "11", "12", "13", "14", "Report", "15", "16", "Wait."],
)


@pytest.mark.parametrize("shown", [TRAINING_RUN, CHECKPOINT_POLICY], ids=lambda shown: shown.kind)
def test_kubectl_get_shows_the_truth_in_columns(
    shown: Shown, kubectl: Kubectl, manifest: MakeManifest, write_status: WriteStatus
) -> None:
    """By the condition's type: Ready stands between two others here, so no position would find it."""
    subject = created(kubectl, manifest(shown.kind, SPECS[shown.kind]))
    write_status(subject, shown.status | {"conditions": [STALLED, READY, SYNCED]})
    assert headings(kubectl("get", *address(subject)).stdout) == shown.narrow
    table = kubectl("get", *address(subject), "-o", "wide").stdout
    assert headings(table) == shown.narrow + shown.wide
    assert [cell for cell in table.splitlines()[1].split() if cell in shown.row] == shown.row


@pytest.mark.parametrize("name", ["tr", "trainingrun", "trainingruns", "ckp", "checkpointpolicy", "checkpointpolicies"])
def test_each_kind_answers_to_its_names(name: str, kubectl: Kubectl, shared_namespace: str) -> None:
    """Short, singular and plural."""
    assert kubectl("get", name, "--namespace", shared_namespace).returncode == 0


def test_the_category_shows_both_kinds(kubectl: Kubectl, manifest: MakeManifest) -> None:
    """`kubectl get tinker` lists all there is."""
    made = [created(kubectl, manifest(kind, spec)) for kind, spec in SPECS.items()]
    listed = kubectl("get", "tinker", "--namespace", made[0]["metadata"]["namespace"], "-o", "name").stdout.split()
    assert {f"{subject['kind'].lower()}.{GROUP}/{subject['metadata']['name']}" for subject in made} <= set(listed)


@each_kind
def test_a_new_object_is_read_as_not_observed_yet(kind: Kind, kubectl: Kubectl, manifest: MakeManifest) -> None:
    """kstatus, Argo CD and Flux wait for it; without this default they would take it for done."""
    subject = created(kubectl, manifest(kind.name, SPECS[kind.name]))
    assert kubectl.json("get", *address(subject))["status"] == {"observedGeneration": -1}


@pytest.mark.parametrize(
    ("path", "said"),
    [
        pytest.param("trainingrun.spec.recovery.mode", "Recreate", id="an enum with its values"),
        pytest.param("trainingrun.spec.run.create.lora.rank", "LoRA rank", id="a field deep down"),
        pytest.param("trainingrun.status.conditions.reason", "CamelCase", id="a field of a list"),
        pytest.param("checkpointpolicy.spec.retention.keepLast", "newest checkpoints of each type", id="a rule"),
    ],
)
def test_kubectl_explain_tells_what_a_field_means(path: str, said: str, kubectl: Kubectl) -> None:
    """The docs of the types are the docs of the API."""
    assert said in kubectl("explain", path).stdout
