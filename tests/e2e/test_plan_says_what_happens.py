"""`kubectl tinker plan` on a real API server and service: what it says is what the operator then does."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.stage import KEY, Stage, wait_for

pytestmark = pytest.mark.cluster

GOING = {"Goes", "Waits", "WouldGo"}


def environ(stage: Stage, **changes: str) -> dict[str, str]:
    """A person's own environment: a kubeconfig and a key."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("TINKER")}
    told = {"KUBECONFIG": str(stage.kubectl.kubeconfig), "TINKER_BASE_URL": stage.served.url}
    return {**plain, **told, "TINKER_API_KEY": KEY, **changes}


def planned(stage: Stage, *arguments: str | Path, status: int = 0, **changes: str) -> dict[str, Any]:
    """Returns the plan as a program reads it, and holds the command to its exit status."""
    command = [sys.executable, "-m", "tinker_operator.plugin", "plan", "-n", stage.namespace, "-o", "json"]
    answer = subprocess.run(
        [*command, *map(str, arguments)], env=environ(stage, **changes), capture_output=True, text=True, check=False
    )
    assert answer.returncode == status, answer.stderr
    report: dict[str, Any] = json.loads(answer.stdout)
    return report


def fates(report: Mapping[str, Any], name: str = "keep") -> dict[str, str]:
    """Returns what becomes of each checkpoint by one policy, by path."""
    (policy,) = [one for one in report["policies"] if one["name"] == name]
    return {one["path"]: one["fate"] for one in policy["checkpoints"]}


def going(told: Mapping[str, str]) -> list[str]:
    return sorted(path for path, fate in told.items() if fate in GOING)


def tried(tmp_path: Path, *policies: Mapping[str, Any]) -> Path:
    """Returns a file with policies that are not applied yet."""
    path = tmp_path / "policies.yaml"
    path.write_text("\n---\n".join(json.dumps(one, indent=1) for one in policies))
    return path


def bound(stage: Stage, checkpoints: int) -> tuple[str, list[str]]:
    """A TrainingRun that follows a run with checkpoints."""
    run, paths = stage.trained_run(checkpoints)
    stage.apply(stage.training_run({"run": {"trainingRunId": run}}))
    stage.wait_ready()
    return run, paths


def test_what_report_would_delete_is_what_delete_deletes(stage: Stage) -> None:
    """The same plan before and after the switch, but for the word."""
    run, paths = bound(stage, 5)
    stage.apply(stage.policy({"keepLast": 2}))
    told = fates(planned(stage, "keep"))
    assert {told[path] for path in paths[:3]} == {"WouldGo"}

    stage.apply(stage.policy({"keepLast": 2, "action": "Delete"}))
    wait_for(lambda: stage.status("keep", "checkpointpolicy").get("deletedTotal") == 3, "three deletions")
    stage.wait_condition("Ready", "True", "Enforced", "keep", "checkpointpolicy")
    assert going(told) == sorted(paths[:3])
    assert stage.remote_checkpoints(run) == sorted(set(told) - set(going(told)))


def test_a_policy_is_tried_before_it_is_applied(stage: Stage, tmp_path: Path) -> None:
    """A budget that has room for three; the plan of the file is what the policy then does, and says what changes."""
    run, paths = bound(stage, 5)
    stage.apply(stage.policy({"keepLast": 4}))
    listed = stage.wire.get(f"training_runs/{run}/checkpoints").json()["checkpoints"]
    room = 3 * max(one["size_bytes"] for one in listed)
    edited = stage.policy({"keepLast": 4, "maxTotalBytes": room, "action": "Delete"})
    report = planned(stage, "-f", tried(tmp_path, edited))
    told = fates(report)
    was = {one["path"]: one["was"] for one in report["policies"][0]["checkpoints"]}
    assert (was[paths[0]], was[paths[1]]) == ("WouldGo", "Stays")

    stage.apply(edited)
    wait_for(lambda: stage.remote_checkpoints(run) == sorted(set(told) - set(going(told))), "what the plan said")
    stage.wait_polls()
    assert stage.remote_checkpoints(run) == sorted(paths[2:])
    assert set(fates(planned(stage, "keep")).values()) == {"Stays"}


def test_what_waits_now_goes_when_its_grace_has_ended(stage: Stage) -> None:
    """--as-of the end of the grace period."""
    run, _ = bound(stage, 4)
    stage.apply(stage.policy({"keepLast": 1, "action": "Delete", "gracePeriodSeconds": 25}))
    marked = wait_for(lambda: stage.status("keep", "checkpointpolicy").get("marked", []), "the marks")
    ends = datetime.fromisoformat(marked[0]["dueSince"]) + timedelta(seconds=25)
    before = planned(stage, "keep", "--as-of", (ends - timedelta(seconds=1)).isoformat())
    after = planned(stage, "keep", "--as-of", ends.isoformat())
    assert {fates(before)[one["path"]] for one in marked} == {"Waits"}
    assert {path for path, fate in fates(after).items() if fate == "Goes"} == {one["path"] for one in marked}

    expected = sorted(path for path, fate in fates(after).items() if fate == "Stays")
    wait_for(lambda: stage.remote_checkpoints(run) == expected, "what the plan said")


def test_several_policies_agree_with_their_plans(stage: Stage, tmp_path: Path) -> None:
    """What all let go goes, by one of them; and one that only reports keeps its own."""
    run, paths = bound(stage, 6)
    rules = {"wide": 4, "keep": 1, "middle": 2}
    policies = [stage.policy({"keepLast": count, "action": "Delete"}, name) for name, count in rules.items()]
    report = planned(stage, "-f", tried(tmp_path, *policies))
    told = [fates(report, name) for name in rules]
    assert [sorted(path for path, fate in one.items() if fate != "Stays") for one in told] == [sorted(paths[:2])] * 3

    stage.apply(*policies)
    wait_for(lambda: stage.remote_checkpoints(run) == sorted(paths[2:]), "what the plans said")
    stage.wait_polls()
    assert stage.remote_checkpoints(run) == sorted(paths[2:])


def test_the_key_is_that_of_the_secret_and_a_dump_says_the_same(stage: Stage, tmp_path: Path) -> None:
    """No key of one's own is needed where the Secret may be read; the dump holds neither."""
    run, _ = stage.trained_run(3)
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "tinker"},
        "stringData": {"TINKER_API_KEY": KEY},
    }
    spec = {"run": {"trainingRunId": run}, "credentialsRef": {"name": "tinker"}}
    stage.apply(secret, stage.training_run(spec), stage.policy({"keepLast": 1}))
    stage.wait_ready()
    moment, dump = "2030-01-01T00:00:00Z", tmp_path / "dump.json"
    live = planned(stage, "keep", "--as-of", moment, "--dump", dump, TINKER_API_KEY="")
    assert len(going(fates(live))) == 2

    stage.operator.end()
    again = planned(stage, "keep", "--as-of", moment, "-f", dump, KUBECONFIG="/nowhere", TINKER_API_KEY="")
    assert again == live
    assert KEY not in dump.read_text()


def test_without_any_key_nothing_is_planned_and_the_status_tells(stage: Stage) -> None:
    """The gap names the remedy."""
    bound(stage, 3)
    stage.apply(stage.policy({"keepLast": 1}))
    report = planned(stage, "keep", status=1, TINKER_API_KEY="")
    (gap,) = report["policies"][0]["gaps"]
    assert gap["reason"] == "NoCredentials"
    assert "TINKER_API_KEY" in gap["message"]
    assert report["policies"][0]["checkpoints"] == []


def test_kubectl_finds_the_plugin(stage: Stage) -> None:
    """By the name of its script; piped, the table has no colours."""
    bound(stage, 3)
    stage.apply(stage.policy({"keepLast": 1}))
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    answer = subprocess.run(
        [stage.kubectl.program, "tinker", "plan", "keep", "-n", stage.namespace],
        env=environ(stage, PATH=path, COLUMNS="120"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    assert "would go" in answer.stdout
    assert "\x1b" not in answer.stdout
