"""The page on the training loop says what is so: its programs run, its manifests are of the types, its tables agree."""

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client
from tests.docs.test_docs import fenced, section, table, unknown
from tests.trainer.conftest import Simulator
from tests.trainer.fakes import poll_until

from playground.kubectl import Kubectl
from tinker_operator import trainer
from tinker_operator.api.meta import GROUP, VERSION
from tinker_operator.api.run_spec import TrainingRunSpec
from tinker_operator.trainer import RESUMED_AT, ExitStatus, HandOver, Mode
from tinker_operator.trainer.sources import ATTEMPT, ENVIRONMENT, MOUNTED

Manifest = dict[str, Any]

REPOSITORY = Path(__file__).parents[2]
PAGE = (REPOSITORY / "docs" / "trainer.md").read_text(encoding="utf-8")
PROGRAMS = fenced(PAGE, "python")
COMMANDS = fenced(PAGE, "sh")
(DOCUMENT,) = fenced(PAGE, "json")
MANIFESTS: list[Manifest] = [each for block in fenced(PAGE, "yaml") for each in yaml.safe_load_all(block)]
MODELS = {"Job": client.V1Job, "Role": client.V1Role, "RoleBinding": client.V1RoleBinding}
STEPS = 30


def wire(manifest: Manifest, model: Any) -> Any:
    """The manifest as the official client's type reads it, without what the type does not have."""
    read = model.from_dict(manifest)
    return client.ApiClient().sanitize_for_serialization(read)  # type: ignore[no-untyped-call]  # has no types


def pod_of(manifest: Manifest) -> Manifest:
    """The pod that a Job, or a TrainingRun with a loop of its own, makes."""
    spec = manifest["spec"]["trainer"]["template"]["spec"] if "trainer" in manifest["spec"] else manifest["spec"]
    found: Manifest = spec["template"]["spec"]
    return found


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[Simulator]:
    """A Tinker service of this test alone."""
    service = Simulator(tmp_path)
    yield service
    service.end()


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(simulator: Simulator, tmp_path: Path) -> Iterator[Start]:
    """Starts a command in a folder that holds the page's programs and examples to train on."""
    for name, program in zip(("smallest.py", "sft.py", "by_hand.py"), PROGRAMS, strict=True):
        (tmp_path / name).write_text(program, encoding="utf-8")
    examples = [json.dumps({"prompt": [1, 2 + each], "completion": [3, 5 + each, 7]}) for each in range(10)]
    (tmp_path / "examples.jsonl").write_text("\n".join(examples), encoding="utf-8")
    home = {name: value for name, value in os.environ.items() if not name.startswith(("TINKER_", "KUBE"))}
    path = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    service = {"TINKER_BASE_URL": simulator.url, "TINKER_API_KEY": "tml-simulator"}
    started = []

    def run(*command: str, **environment: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            command,
            cwd=tmp_path,
            env=home | path | service | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def ended(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    """Wait for the end: the status and the output."""
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def saved_steps(simulator: Simulator) -> list[list[str]]:
    """The steps of the checkpoints of each run."""
    runs = [run["training_run_id"] for run in simulator.get("training_runs")["training_runs"]]
    return [sorted((each["step"] for each in simulator.checkpoints(run).values()), key=int) for run in runs]


@pytest.mark.http
@pytest.mark.parametrize(
    ("program", "steps"),
    [
        pytest.param("smallest.py", ["10", "20"], id="the smallest"),
        pytest.param("by_hand.py", ["5", "10"], id="by hand"),
    ],
)
def test_a_program_of_the_page_trains_and_saves(
    program: str, steps: list[str], simulator: Simulator, start: Start
) -> None:
    """As it stands there."""
    assert ended(start("python", program, TINKER_OPERATOR_HANDOVER="")) == (0, "", "")
    assert saved_steps(simulator) == [steps]


def write(folder: Path, **fields: object) -> None:
    """The page's hand-over with other fields, whole by one rename."""
    (folder / "new").write_text(json.dumps(json.loads(DOCUMENT) | fields), encoding="utf-8")
    (folder / "new").replace(folder / "handover.json")


@pytest.mark.http
def test_the_supervised_loop_goes_on_after_a_loss(simulator: Simulator, start: Start, tmp_path: Path) -> None:
    """Its run is corrupted in the middle; the page's own document hands the checkpoint over."""
    loop = start("python", "sft.py", "examples.jsonl", "--steps", "300", TINKER_OPERATOR_HANDOVER="handover.json")
    assert loop.stdout
    run = loop.stdout.readline().split()[1]
    path = poll_until(lambda: next(iter(simulator.checkpoints(run)), None), "the loop saves")
    simulator.corrupt(run)
    write(tmp_path, checkpoint=path, previousTrainingRunId=run)

    status, out, err = ended(loop)

    assert (status, err) == (0, "")
    resumed = re.findall(r"^run (\S+) from step (\d+)$", out, flags=re.MULTILINE)
    assert [step for _, step in resumed] == [simulator.checkpoints(run)[path]["step"]]
    metadata = simulator.get(f"training_runs/{resumed[0][0]}")["user_metadata"]
    assert metadata == json.loads(DOCUMENT)["userMetadata"] | {RESUMED_AT: metadata[RESUMED_AT]}
    assert out.splitlines()[-1] == f"done tinker://{resumed[0][0]}/sampler_weights/final"


@pytest.mark.http
def test_the_command_with_a_plain_file_resumes_from_it(simulator: Simulator, start: Start, tmp_path: Path) -> None:
    """What it starts from is what the file says."""
    first = start("python", "sft.py", "examples.jsonl", "--steps", "20", TINKER_OPERATOR_HANDOVER="")
    status, out, _ = ended(first)
    assert status == 0
    (path,) = [each for each in simulator.checkpoints(out.split()[1]) if "/weights/" in each]
    write(tmp_path, checkpoint=path)

    status, out, err = ended(start("sh", "-c", COMMANDS[1]))

    assert (status, err) == (0, "")
    assert re.findall(r"^step (\d+)", out, flags=re.MULTILINE) == [str(step) for step in range(21, STEPS + 1)]


@pytest.mark.pure
def test_the_command_that_installs_names_an_extra_that_there_is() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found = re.fullmatch(r"pip install '([\w-]+)\[(\w+)\]'\n", COMMANDS[0])
    assert found
    assert found[1] == project["name"]
    assert any(each.startswith("tinker==") for each in project["optional-dependencies"][found[2]])


@pytest.mark.pure
def test_every_block_of_the_page_is_of_a_kind_that_is_tried() -> None:
    """A block in another language would be one that nobody runs."""
    assert set(re.findall(r"^```(\w+)$", PAGE, flags=re.MULTILINE)) == {"python", "sh", "json", "yaml"}
    assert (len(PROGRAMS), len(COMMANDS)) == (3, 2)


@pytest.mark.pure
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_imports_what_the_library_shows(program: str) -> None:
    nodes = [node for node in ast.walk(ast.parse(program)) if isinstance(node, ast.ImportFrom)]
    names = {alias.name for node in nodes if node.module == trainer.__name__ for alias in node.names}
    assert names
    assert names <= set(trainer.__all__)


@pytest.mark.pure
def test_the_document_is_one_and_every_field_of_it_is_read() -> None:
    written = json.loads(DOCUMENT)
    read = HandOver.parse(DOCUMENT, place="the page").model_dump(by_alias=True, exclude={"schedule"})
    assert read == written


@pytest.mark.pure
def test_the_table_of_statuses_is_that_of_the_code() -> None:
    rows = table(section(PAGE, "Exit statuses"), "Status")
    assert [int(row["Status"]) for row in rows] == sorted(ExitStatus)
    assert all(row["Meaning"] and row["What to do"] for row in rows)


@pytest.mark.pure
def test_the_table_of_modes_is_that_of_the_code() -> None:
    rows = table(section(PAGE, "The modes"), "`spec.recovery.mode`")
    assert {row["`spec.recovery.mode`"].strip("`") for row in rows} == set(Mode)


@pytest.mark.pure
def test_the_table_of_the_environment_is_that_of_the_code() -> None:
    rows = table(section(PAGE, "Where the hand-over comes from"), "Variable")
    assert {row["Variable"].strip("`") for row in rows} == {"TINKER_API_KEY", "TINKER_BASE_URL", ENVIRONMENT, ATTEMPT}
    assert any(f"`{MOUNTED}`" in row["Default"] for row in rows)


@pytest.mark.pure
@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda each: each["kind"])
def test_every_manifest_is_of_the_types(manifest: Manifest) -> None:
    """Each field is one that the type has; the loop of a TrainingRun is a Job's template."""
    if manifest["kind"] in MODELS:
        assert list(unknown(manifest, wire(manifest, MODELS[manifest["kind"]]), "")) == []
        return
    template = manifest["spec"]["trainer"]["template"]
    assert manifest["apiVersion"] == f"{GROUP}/{VERSION}"
    assert list(unknown(template, wire(template, client.V1JobTemplateSpec), "spec.trainer.template")) == []
    recovery = {name: value for name, value in manifest["spec"]["recovery"].items() if name != "mode"}
    rest = {name: value for name, value in manifest["spec"].items() if name != "trainer"}
    assert TrainingRunSpec.model_validate(rest | {"recovery": recovery}).recovery.enabled


@pytest.mark.pure
def test_a_field_that_the_official_types_do_not_have_is_found() -> None:
    """The law above can fail, at any depth of a Job."""
    pod = {"spec": {"restartPolicy": "Never", "containers": [], "restart": "never"}}
    template = {"spec": {"template": pod, "retries": 3}}
    found = set(unknown(template, wire(template, client.V1JobTemplateSpec), "t"))
    assert found == {"t.spec.template.spec.restart", "t.spec.retries"}


@pytest.mark.pure
def test_a_failed_pod_is_restarted_only_where_that_helps() -> None:
    """A Job that went on after these would make a run beside the operator's next attempt."""
    (run,) = [each for each in MANIFESTS if each["kind"] == "TrainingRun"]
    rules = run["spec"]["trainer"]["template"]["spec"]["podFailurePolicy"]["rules"]
    (final,) = [rule["onExitCodes"]["values"] for rule in rules if rule["action"] == "FailJob"]
    assert set(final) == {ExitStatus.SETTING, ExitStatus.CHECKPOINT_UNUSABLE, ExitStatus.RUN_LOST}


@pytest.mark.pure
@pytest.mark.parametrize("manifest", [each for each in MANIFESTS if "containers" in str(each)], ids=lambda e: e["kind"])
def test_a_loop_runs_a_program_of_the_page_without_rights(manifest: Manifest) -> None:
    """With the key from a Secret, and the hand-over mounted whole: `subPath` is never updated."""
    pod = pod_of(manifest)
    (container,) = pod["containers"]
    assert container["command"][:2] == ["python", "sft.py"]
    assert container["envFrom"] == [{"secretRef": {"name": "tinker"}}]
    assert pod["automountServiceAccountToken"] is False
    assert {mount["mountPath"] for mount in container.get("volumeMounts", [])} <= {str(MOUNTED.parent)}
    assert "subPath" not in str(manifest)


@pytest.mark.cluster
@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda each: each["kind"])
def test_every_manifest_is_accepted(manifest: Manifest, kubectl: Kubectl, namespace: str) -> None:
    """By the real API server; of a TrainingRun the Job that is made of it."""
    if manifest["kind"] == "TrainingRun":
        template = manifest["spec"]["trainer"]["template"]
        manifest = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "loop"}, **template}
    moved = manifest | {"metadata": {"name": manifest["metadata"]["name"], "namespace": namespace}}
    arguments = ("apply", "--dry-run=server", "--validate=strict", f"--namespace={namespace}", "-f", "-")
    assert "(server dry run)" in kubectl(*arguments, stdin=yaml.safe_dump(moved)).stdout
