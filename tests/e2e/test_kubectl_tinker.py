"""`kubectl tinker` through kubectl, on a real API server and service: what it says is so, what it asks for happens."""

import hashlib
import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.e2e.kubectl_tinker import environ, tinker, told
from tests.e2e.stage import Stage, wait_for
from tests.e2e.test_policy_validation import alive, proofs

pytestmark = pytest.mark.cluster


def bound(stage: Stage, checkpoints: int = 3, **recovery: Any) -> tuple[str, list[str]]:
    """A Ready TrainingRun that follows a run with checkpoints."""
    run, paths = stage.trained_run(checkpoints)
    given = {"enabled": True, "backoffSeconds": 1, **recovery}
    stage.apply(stage.training_run({"run": {"trainingRunId": run}, "recovery": given}))
    stage.wait_ready()
    return run, paths


def losses(stage: Stage, run: str) -> list[float]:
    """Returns what the loop wrote beside each checkpoint, oldest first."""
    listed = stage.wire.get(f"training_runs/{run}/checkpoints").json()["checkpoints"]
    listed.sort(key=lambda one: one["time"])
    return [float(one["user_metadata"]["loss"]) for one in listed]


def silent(schema: dict[str, Any], where: str) -> list[str]:
    """Returns the fields below a schema that say nothing of themselves."""
    found = silent(schema["items"], f"{where}[]") if "items" in schema else []
    for name, child in schema.get("properties", {}).items():
        mute = not {"description", "allOf", "$ref"} & child.keys()
        found += [f"{where}.{name}"] * mute + silent(child, f"{where}.{name}")
    return found


def test_status_says_what_the_objects_say(stage: Stage) -> None:
    """Field by field, and the curve is what the loop wrote."""
    run, paths = bound(stage)
    stage.apply(stage.policy({"keepLast": 1}))
    stage.wait_condition("Ready", "True", "Reported", "keep", "checkpointpolicy")
    wait_for(lambda: stage.status().get("lastCheckpoint", {}).get("path") == paths[-1], "the last checkpoint")

    report = told(stage, "status")
    status, (line,) = stage.status(), report["trainingRuns"]
    assert (line["name"], line["state"], line["ready"], line["stalled"]) == ("sft", "Live", True, False)
    assert {name: line[name] for name in ("trainingRunId", "baseModel", "lastCheckpoint")} == {
        name: status[name] for name in ("trainingRunId", "baseModel", "lastCheckpoint")
    }
    assert [point["value"] for point in line["curve"]["points"]] == losses(stage, run)
    assert [point["path"] for point in line["curve"]["points"]] == paths

    policy, (shown,) = stage.status("keep", "checkpointpolicy"), report["policies"]
    numbers = ("trainingRuns", "keptCount", "keptBytes", "dueCount", "dueBytes")
    assert {name: shown[name] for name in numbers} == {name: policy[name] for name in numbers}
    assert (shown["action"], shown["state"]) == ("Report", "Reported")

    same = yaml.safe_load(tinker(stage, "status", "-o", "yaml").stdout)
    assert same["trainingRuns"] == report["trainingRuns"]
    screen = tinker(stage, "status")
    assert "sft" in screen.stdout
    assert "\x1b" not in screen.stdout


def test_without_a_key_the_status_is_shown_all_the_same(stage: Stage) -> None:
    """Only the curve is not, with the reason; --cluster-only does not ask."""
    bound(stage)
    (line,) = told(stage, "status", TINKER_API_KEY="")["trainingRuns"]
    assert line["state"] == "Live"
    assert "TINKER_API_KEY" in line["curve"]["gap"]
    before = stage.calls("checkpoints")
    (line,) = told(stage, "status", "--cluster-only")["trainingRuns"]
    assert "curve" not in line
    assert stage.calls("GET /api/v1/training_runs/{run_id}/checkpoints") <= before


def test_watching_costs_the_service_nothing_while_nothing_changes(stage: Stage) -> None:
    """One look at the checkpoints for many at the objects; with an interrupt it ends well."""
    bound(stage)
    stage.operator.end()
    before = stage.calls("checkpoints")
    command = ["status", "--watch", "--every", "0.5", "-o", "yaml", "-n", stage.namespace]
    with subprocess.Popen(
        [str(stage.kubectl.program), "tinker", *command], env=environ(stage), stdout=subprocess.PIPE, text=True
    ) as watching:
        assert watching.stdout is not None
        looks = 0
        while looks < 5:
            line = watching.stdout.readline()
            assert line, "the watch ended"
            looks += line == "---\n"
        watching.send_signal(signal.SIGINT)
        assert watching.wait(timeout=10) == 0
    assert stage.calls("checkpoints") == before + 1


def test_a_healthy_run_is_never_replaced(stage: Stage) -> None:
    """Not even with --yes; the object is as it was."""
    _, paths = bound(stage)
    before = stage.get("trainingrun", "sft")["metadata"]["resourceVersion"]
    said = tinker(stage, "recover", "sft", "--from", paths[0], "--yes", status=3)
    assert "healthy" in said.stderr
    assert said.stderr.count("\n") == 1
    assert stage.get("trainingrun", "sft")["metadata"]["resourceVersion"] == before


def test_a_lost_run_comes_back_from_the_checkpoint_that_is_named(stage: Stage) -> None:
    """By declaration: the operator recovers it, the history tells, and --reset has the newest taken again."""
    run, paths = bound(stage, enabled=False, checkpointStrategy="Best", metric={"name": "loss"})
    stage.corrupt(run)
    stage.wait_condition("Stalled", "True", "RecoveryDisabled")
    asked = tinker(stage, "recover", "sft", "--from", paths[0], status=2)
    assert "--yes" in asked.stderr
    dry = told(stage, "recover", "sft", "--from", paths[0], "--dry-run")
    assert {one["field"] for one in dry["changes"]} >= {"spec.recovery.enabled", "spec.recovery.checkpoint"}
    assert stage.get("trainingrun", "sft")["spec"]["recovery"]["enabled"] is False

    changed = told(stage, "recover", "sft", "--from", paths[0], "--yes")
    asked_for = {"enabled": True, "checkpointStrategy": "Specific", "checkpoint": paths[0]}
    fields = {one["field"]: one.get("after") for one in changed["changes"]}
    assert {name: fields[f"spec.recovery.{name}"] for name in asked_for} == asked_for
    wait_for(lambda: stage.status().get("recoveries") == 1, "the recovery")
    stage.wait_ready()
    status = stage.status()
    assert status["recovery"]["history"][-1]["checkpoint"] == paths[0]

    history = told(stage, "history", "tr/sft")
    assert [one["trainingRunId"] for one in history["runs"]] == status["lineage"]
    (attempt,) = history["runs"][0]["attempts"]
    assert (attempt["result"], attempt["checkpoint"]) == ("Recovered", paths[0])
    assert history["runs"][-1] == {"trainingRunId": status["trainingRunId"], "current": True, "attempts": []}
    assert "✓ step-1" in tinker(stage, "history", "sft").stdout

    told(stage, "recover", "sft", "--reset", "--yes")
    recovery = stage.get("trainingrun", "sft")["spec"]["recovery"]
    assert recovery["checkpointStrategy"] == "Latest"
    assert "checkpoint" not in recovery
    assert told(stage, "recover", "sft", "--reset", "--yes")["changes"] == []


def test_checkpoints_are_those_of_the_service(stage: Stage) -> None:
    """Newest first, with what policies know of them."""
    run, paths = bound(stage)
    policy = stage.policy({"keepLast": 2, "action": "Delete", "gracePeriodSeconds": 3600})
    policy["spec"]["validation"] = {"level": "Metadata"}
    stage.apply(policy)
    wait_for(lambda: stage.status("keep", "checkpointpolicy").get("marked"), "a mark")
    wait_for(lambda: stage.status("keep", "checkpointpolicy").get("validation", {}).get("verdicts"), "a verdict")
    listed = told(stage, "checkpoints", "sft")["checkpoints"]
    assert [one["path"] for one in listed] == paths[::-1]
    assert "deletedNotBefore" in listed[-1]
    assert listed[0]["verdict"] == "Good"
    assert "KeepLast" in listed[0]["because"]
    shown = tinker(stage, "checkpoints", "sft").stdout
    assert f"tinker://{run}/" in shown
    assert all(f"weights/step-{step}" in shown for step in (1, 2, 3))


@pytest.mark.parametrize("level", ["Listed", "Metadata", "Load", "Archive"])
def test_a_good_checkpoint_is_good_at_every_level(stage: Stage, level: str) -> None:
    """And nothing of the proof stays at the service."""
    run, paths = bound(stage, 1)
    proof = told(stage, "validate", paths[0], "--level", level)
    assert (proof["verdict"], proof["level"], proof["trainingRun"]) == ("Good", level, "sft")
    assert stage.remote_checkpoints(run) == paths
    assert stage.status()["trainingRunId"] == run
    assert alive(stage) == []
    assert len(proofs(stage)) == (level in {"Load", "Archive"})


def test_a_bad_checkpoint_is_told_by_the_exit_status(stage: Stage) -> None:
    """Bad is 3, trouble of the service is 1, a wrong path is 2."""
    _, paths = bound(stage, 2)
    stage.break_checkpoint(paths[0])
    proof = told(stage, "validate", paths[0], "--level", "Load", status=3)
    assert proof["verdict"] == "NotLoadable"
    assert told(stage, "validate", paths[1], "--level", "Load")["verdict"] == "Good"
    tinker(stage, "validate", "tinker://none", status=2)
    tinker(stage, "validate", paths[0].replace("step-1", "step-9"), status=1)
    tinker(stage, "validate", paths[1], status=1, TINKER_API_KEY="tml-wrong-key")


def test_a_person_publishes_and_takes_back(stage: Stage) -> None:
    """After confirmation only; what a policy publishes stays."""
    run, paths = bound(stage)

    def public() -> list[str]:
        listed = stage.wire.get(f"training_runs/{run}/checkpoints").json()["checkpoints"]
        return sorted(one["tinker_path"] for one in listed if one["public"])

    tinker(stage, "publish", paths[0], status=2)
    assert public() == []
    assert told(stage, "publish", paths[0], "--yes")["changed"] is True
    assert public() == [paths[0]]
    assert told(stage, "publish", paths[0], "--yes")["changed"] is False
    assert told(stage, "unpublish", paths[0], "--yes")["public"] is False
    assert public() == []

    policy = stage.policy({"keepLast": 9})
    policy["spec"]["publish"] = "Latest"
    stage.apply(policy)
    wait_for(lambda: public() == [paths[-1]], "the policy's own publication")
    said = tinker(stage, "unpublish", paths[-1], "--yes", status=3)
    assert "spec.publish" in said.stderr
    assert public() == [paths[-1]]


def test_suspend_resume_and_reconcile_are_declared(stage: Stage) -> None:
    """Twice is once; a policy is named as kubectl names it."""
    bound(stage)
    stage.apply(stage.policy({"keepLast": 1}))
    assert told(stage, "suspend", "sft")["changes"] == [{"field": "spec.suspend", "before": False, "after": True}]
    stage.wait_condition("Ready", "False", "Suspended")
    assert told(stage, "suspend", "tr/sft")["changes"] == []
    assert "resume" in tinker(stage, "recover", "sft", "--yes", status=3).stderr
    tinker(stage, "resume", "sft")
    stage.wait_ready()
    tinker(stage, "suspend", "ckp/keep")
    assert stage.get("checkpointpolicy", "keep")["spec"]["suspend"] is True

    told(stage, "reconcile", "sft")
    asked = stage.get("trainingrun", "sft")["metadata"]["annotations"]["tinker-operator.dev/reconcile-at"]
    wait_for(lambda: stage.status().get("lastHandledReconcileAt") == asked, "the look")
    managers = {one["manager"] for one in stage.get("trainingrun", "sft")["metadata"]["managedFields"]}
    assert "kubectl-tinker" in managers
    assert "there is no TrainingRun none" in tinker(stage, "suspend", "none", status=2).stderr


def test_a_checkpoint_is_downloaded_whole(stage: Stage, tmp_path: Path) -> None:
    """The digests are those of the files; how far it is, is told beside the result."""
    _, paths = bound(stage, 1)
    report = told(stage, "download", paths[0], "--to", tmp_path)
    folder = Path(report["folder"])
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    assert found == {one["name"]: one["sha256"] for one in report["files"]}
    assert found
    again = tinker(stage, "download", paths[0], "--to", tmp_path, status=1)
    assert "--force" in again.stderr


def test_kubectl_completes_the_words_of_the_plugin(stage: Stage) -> None:
    """By the executable that kubectl looks for: commands, options and names of objects."""
    bound(stage)

    def completed(*words: str) -> list[str]:
        command = [str(stage.kubectl.program), "__complete", "tinker", *words]
        answer = subprocess.run(command, env=environ(stage), capture_output=True, text=True, check=True)
        return [line.partition("\t")[0] for line in answer.stdout.splitlines()]

    assert completed("rec") == ["reconcile", "recover", ":4"]
    # A shell is not kept waiting: on a busy machine the API server may have answered too late.
    wait_for(lambda: completed("history", "-n", stage.namespace, "") == ["sft", ":4"], "the names of the runs")
    assert "--watch" in completed("status", "--w")


@pytest.mark.parametrize("kind", ["TrainingRun", "CheckpointPolicy"])
def test_kubectl_explains_every_field(stage: Stage, kind: str) -> None:
    """From what the API server serves, which is what kubectl explain prints; none is without a description."""
    served = stage.kubectl("get", "--raw", "/openapi/v3/apis/tinker-operator.dev/v1alpha1").stdout
    schemas = json.loads(served)["components"]["schemas"].values()
    kinds = "x-kubernetes-group-version-kind"
    (schema,) = [one for one in schemas if kind in {it["kind"] for it in one.get(kinds, [])}]
    assert silent(schema, kind) == []
    assert "DESCRIPTION" in stage.kubectl("explain", f"{kind}.spec").stdout


def test_the_category_lists_both_kinds(stage: Stage) -> None:
    bound(stage)
    stage.apply(stage.policy({"keepLast": 1}))
    names = stage.kubectl("get", "tinker", "-n", stage.namespace, "-o", "name").stdout.split()
    assert sorted(names) == ["checkpointpolicy.tinker-operator.dev/keep", "trainingrun.tinker-operator.dev/sft"]
