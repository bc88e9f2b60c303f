"""Every right that deploy/ grants is used, and none is missing: what the API server writes into its audit log.

The operator runs as the Deployment has it: with its own account, for every namespace, with the Lease and the cluster's
identity.
"""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from tests.e2e.stage import KEY, Operator, Stage, wait_for
from tests.simulator.bare import Served, Wire

from playground.controlplane import ControlPlane
from playground.crds import apply_crds, checkout_crds

pytestmark = pytest.mark.cluster

ACCOUNT = "tinker-operator"
USER = f"system:serviceaccount:{ACCOUNT}:{ACCOUNT}"
DEPLOY = Path(__file__).parents[2] / "deploy"
POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata", "users": [USER]}],
}
TEMPLATE = {"spec": {"template": {"spec": {"containers": [{"name": "loop", "image": "none", "command": ["true"]}]}}}}
ONLY_AFTER_A_CONFLICT: Final = {
    ("tinker-operator.dev", "trainingruns", "get"),
    ("tinker-operator.dev", "checkpointpolicies", "get"),
}
"""An object is read by itself only when a write of its status met another version of it."""
EVERYBODYS: Final = "authorization.k8s.io"
"""Everybody may ask what they may do."""

Right = tuple[str, str, str]


class Deployed(Operator):
    """The operator with the options that the Deployment gives it."""

    def command(self) -> list[str]:
        return [*super().command(), "--lease-namespace", ACCOUNT]

    def options(self) -> list[str]:
        return ["--kubeconfig", str(self.kubeconfig), "--all-namespaces"]


@pytest.fixture
def audited(control_plane: ControlPlane, tmp_path: Path) -> Iterator[tuple[Stage, Path]]:
    """A stage on a control plane of its own that writes down what the operator asks of it, and where."""
    (tmp_path / "policy.yaml").write_text(yaml.safe_dump(POLICY))
    log = tmp_path / "audit.log"
    flags = [f"--audit-policy-file={tmp_path / 'policy.yaml'}", f"--audit-log-path={log}"]
    with ExitStack() as ending:
        plane = ControlPlane(tmp_path / "plane", control_plane._binaries, api_server_flags=flags)
        ending.enter_context(plane)
        apply_crds(plane.kubectl, checkout_crds())
        plane.kubectl("apply", "-k", DEPLOY)
        plane.kubectl("create", "namespace", "team")
        served = Served(tmp_path / "simulator")
        ending.callback(served.close)
        served.start()
        account = plane.service_account_kubeconfig(ACCOUNT, ACCOUNT, tmp_path / "kubeconfig")
        operator = Deployed(account, "team", served.url, tmp_path / "operator.log")
        ending.callback(operator.close)
        operator.start()
        wire = Wire(served.url, KEY)
        ending.callback(wire.http.close)
        yield Stage(plane.kubectl, "team", served, wire, operator), log


def events(log: Path) -> list[dict[str, Any]]:
    """Returns what the operator asked for, but for what everybody may."""
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.endswith("}")]
    asked = [one for one in lines if one["user"]["username"] == USER and "objectRef" in one]
    return [one for one in asked if one["objectRef"].get("apiGroup") != EVERYBODYS]


def right(event: dict[str, Any]) -> Right:
    of = event["objectRef"]
    return of.get("apiGroup", ""), "/".join(filter(None, (of["resource"], of.get("subresource")))), event["verb"]


def granted() -> set[Right]:
    documents = [one for file in (DEPLOY / "rights").glob("*.yaml") for one in yaml.safe_load_all(file.read_text())]
    return {
        (group, resource, verb)
        for one in documents
        for rule in one.get("rules", [])
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def test_every_right_is_used_and_none_is_missing(audited: tuple[Stage, Path]) -> None:
    """Two runs, one with a finalizer and a Secret, one whose trainer Job fails and whose next finds its name taken."""
    stage, log = audited
    secret = {"TINKER_API_KEY": KEY, "TINKER_BASE_URL": stage.served.url}
    stage.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "key"}, "stringData": secret})
    kept, _ = stage.trained_run()
    lost, _ = stage.trained_run()
    with_key = {"credentialsRef": {"name": "key"}, "deletionPolicy": "Delete"}
    relaunch = {"enabled": True, "mode": "Relaunch", "maxAttempts": 3, "backoffSeconds": 1}
    stage.apply(
        stage.training_run({"run": {"trainingRunId": kept}, **with_key}, "kept"),
        stage.training_run(
            {"run": {"trainingRunId": lost}, "recovery": relaunch, "trainer": {"template": TEMPLATE}}, "lost"
        ),
        stage.policy({"keepLast": 1}),
    )
    for name in ("kept", "lost"):
        stage.wait_ready(name)
    stage.wait_ready("keep", "checkpointpolicy")
    stage.corrupt(lost)
    foreign = _take_next_name(stage)
    _fail_first_job(stage)
    stage.wait_condition("Ready", "False", "TrainerConflict", "lost")
    stage.kubectl("delete", "job", foreign, "--namespace", stage.namespace)
    stage.kubectl("delete", "trainingrun", "kept", "--namespace", stage.namespace)
    _await_use(log, granted() - ONLY_AFTER_A_CONFLICT)
    used = {right(one) for one in events(log)}
    denied = {right(one) for one in events(log) if one["annotations"]["authorization.k8s.io/decision"] != "allow"}

    assert denied == set()
    assert used - granted() == set()
    assert granted() - used <= ONLY_AFTER_A_CONFLICT
    assert granted() > ONLY_AFTER_A_CONFLICT


def _await_use(log: Path, wanted: set[Right]) -> None:
    unused = wanted

    def all_used() -> bool:
        nonlocal unused
        unused = wanted - {right(one) for one in events(log)}
        return not unused

    try:
        wait_for(all_used, "every right to be used")
    except pytest.fail.Exception:
        raise AssertionError(f"granted and never used: {sorted(unused)}") from None


def _take_next_name(stage: Stage) -> str:
    """Makes a Job of somebody else's under the name that the trainer's next one is to have, and returns it."""
    where = ("--namespace", stage.namespace)
    (job,) = wait_for(lambda: stage.kubectl.json("get", "jobs", *where)["items"], "the Job of attempt 1")
    name = str(job["metadata"]["name"]).removesuffix("1") + "2"
    spec = {"suspend": True, "template": {"spec": {**TEMPLATE["spec"]["template"]["spec"], "restartPolicy": "Never"}}}
    stage.apply({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": spec})
    return name


def _fail_first_job(stage: Stage) -> None:
    """Says of the trainer's Pod what a kubelet would."""
    where = ("--namespace", stage.namespace)
    pods = wait_for(lambda: stage.kubectl.json("get", "pods", *where)["items"], "the Pod of the Job")
    ended = {"exitCode": 1, "reason": "Error", "startedAt": None, "finishedAt": "2026-01-01T00:00:00Z"}
    state = {"name": "loop", "image": "none", "imageID": "", "ready": False, "restartCount": 0}
    failed = {"phase": "Failed", "containerStatuses": [{**state, "state": {"terminated": ended}}]}
    stage.patch_status("pod", pods[0]["metadata"]["name"], {"status": failed})
