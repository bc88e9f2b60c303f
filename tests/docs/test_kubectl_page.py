"""docs/kubectl.md says what `kubectl tinker` does: its commands run as they stand there."""

import json
import re
import signal
import subprocess
from pathlib import Path

import click
import pytest
from tests.docs.shown_commands import commands
from tests.docs.test_docs import PAGES, coded, fenced, table
from tests.e2e.conftest import operator_kubeconfig, stage
from tests.e2e.kubectl_tinker import environ
from tests.e2e.stage import Stage, wait_for

from tinker_operator.plugin import endings, status_table
from tinker_operator.plugin.checkpoints_report import CheckpointsReport
from tinker_operator.plugin.declared import Declared
from tinker_operator.plugin.download_command import Fetched
from tinker_operator.plugin.history_report import HistoryReport
from tinker_operator.plugin.main import COMMANDS
from tinker_operator.plugin.report import PlanReport
from tinker_operator.plugin.share_commands import Sharing
from tinker_operator.plugin.status_report import StatusReport
from tinker_operator.plugin.validate_command import Proof

__all__ = ["operator_kubeconfig", "stage"]

PAGE = PAGES["docs/kubectl.md"]
REPORTS = (StatusReport, HistoryReport, CheckpointsReport, PlanReport, Proof, Fetched, Sharing, Declared)
LINES = [line.partition("  #")[0].strip() for block in fenced(PAGE, "sh") for line in block.splitlines()]


@pytest.mark.pure
def test_every_command_is_shown_and_no_other() -> None:
    shown = {found for line in LINES for found in re.findall(r"kubectl[ -]tinker (\w+)", line)}
    assert shown == {one.name for one in COMMANDS}


@pytest.mark.pure
def test_every_option_is_told_and_exists() -> None:
    known = {name for one in COMMANDS for it in one.params if isinstance(it, click.Option) for name in it.opts}
    of_plan = {"--all", "--as-of", "--dump", "--filename"}
    short = {"--namespace", "--output", "--every", "--all-namespaces"}
    told = set(re.findall(r"(?<![-|\w])--[a-z][a-z-]*", PAGE))
    assert told <= known
    assert {name for name in known if name.startswith("--")} - of_plan - short <= told


@pytest.mark.pure
def test_every_kind_of_report_is_named() -> None:
    assert {one.model_fields["kind"].default for one in REPORTS} <= coded(PAGE)


@pytest.mark.pure
def test_every_exit_status_has_its_row() -> None:
    rows = [int(row["Status"]) for row in table(PAGE, "Status")]
    assert rows == sorted({endings.DONE, endings.FAILED, endings.BAD_ARGUMENT, endings.NO})


@pytest.mark.pure
def test_every_sign_has_its_row() -> None:
    signs = [
        value[0]
        for name, value in vars(status_table).items()
        if re.fullmatch(r"_[A-Z]+", name) and isinstance(value, tuple)
    ]
    assert sorted(row["Sign"].strip("`") for row in table(PAGE, "Sign")) == sorted(signs)


def said(stage: Stage, line: str, folder: Path, checkpoint: str) -> str:
    """Runs a line of the page as a person does, who says yes."""
    yes = " --yes" if re.search(r"tinker (recover|publish|unpublish) ", line) else ""
    told = environ(stage, CHECKPOINT=checkpoint, KUBECONFIG=str(folder / "kubeconfig"))
    if "--watch" in line:
        with subprocess.Popen(["bash", "-c", f"exec {line}"], env=told, stdout=subprocess.PIPE, text=True) as watching:
            assert watching.stdout is not None
            first = watching.stdout.readline()
            watching.send_signal(signal.SIGINT)
            assert watching.wait(timeout=10) == 0
        return first
    answer = subprocess.run(
        ["bash", "-c", line + yes],
        env=told,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert answer.returncode == 0, f"{line}: {answer.stdout}{answer.stderr}"
    return answer.stdout


def settle(stage: Stage, folder: Path) -> None:
    """Writes a kubeconfig of one's own, with the test's namespace as the one that is meant."""
    own = folder / "kubeconfig"
    own.write_text(stage.kubectl.kubeconfig.read_text(encoding="utf-8"), encoding="utf-8")
    here = ("config", "set-context", "--current", f"--namespace={stage.namespace}")
    subprocess.run([stage.kubectl.program, f"--kubeconfig={own}", *here], check=True, capture_output=True)


@pytest.mark.cluster
def test_every_command_of_the_page_on_plans_plans(stage: Stage, tmp_path: Path) -> None:
    """In their order, beside a policy in a file that keeps less than the one that is applied."""
    run, paths = stage.trained_run(3)
    stage.apply(stage.training_run({"run": {"trainingRunId": run}}), stage.policy({"keepLast": 3}, "keep-what-counts"))
    stage.wait_ready()
    stage.wait_condition("Ready", "True", "Reported", "keep-what-counts", "checkpointpolicy")
    settle(stage, tmp_path)
    edited = json.dumps(stage.policy({"keepLast": 1}, "keep-what-counts"))
    (tmp_path / "policy.yaml").write_text(edited, encoding="utf-8")
    answers = {line: said(stage, line, tmp_path, paths[0]) for line in commands("docs/plan.md")}

    assert len(answers) == 6
    assert [line for line, answer in answers.items() if "keep-what-counts" not in answer and "--dump" not in line] == []
    assert all(Path(path).name in answers["kubectl tinker plan keep-what-counts --all"] for path in paths)
    assert "would go" in answers["kubectl tinker plan -f policy.yaml"]
    assert json.loads((tmp_path / "world.json").read_text(encoding="utf-8"))
    assert stage.remote_checkpoints(run) == sorted(paths)


@pytest.mark.cluster
def test_every_command_of_the_page_does_what_it_should(stage: Stage, tmp_path: Path) -> None:
    """In their order, with a namespace of one's own; before the recovery the run is lost."""
    run, paths = stage.trained_run(3)
    spec = {"run": {"trainingRunId": run}, "recovery": {"enabled": False, "backoffSeconds": 1}}
    stage.apply(stage.training_run(spec, "math-sft"), stage.policy({"keepLast": 2}, "keep-what-counts"))
    stage.wait_ready("math-sft")
    stage.wait_condition("Ready", "True", "Reported", "keep-what-counts", "checkpointpolicy")
    settle(stage, tmp_path)
    for line in LINES:
        if "recover" in line and "--from" in line:
            stage.corrupt(run)
            stage.wait_condition("Stalled", "True", "RecoveryDisabled", "math-sft")
        told = said(stage, line, tmp_path, paths[0])
        if line.endswith("status"):
            assert "math-sft" in told
        if "recover" in line and "--from" in line:
            wait_for(lambda: stage.status("math-sft").get("recoveries") == 1, "the recovery")
            stage.wait_ready("math-sft")
    recovered = stage.status("math-sft")["recovery"]["history"][-1]
    assert recovered["checkpoint"] == paths[0]
    assert stage.get("checkpointpolicy", "keep-what-counts")["spec"]["suspend"] is True
    assert [path for path in tmp_path.iterdir() if path.is_dir()]
