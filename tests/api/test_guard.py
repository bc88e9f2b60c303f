"""The right to patch a TrainingRun is a right to one finalizer: guard.yaml, asked of the real API server."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client, config
from tests.e2e.stage import wait_for

from playground.controlplane import ControlPlane
from playground.kubectl import Kubectl
from tinker_operator.core.farewell import FINALIZER

ACCOUNT = "tinker-operator"
RUNS = ("tinker-operator.dev", "v1alpha1")
NAME = "sft"
SAYS = "It may only add and remove its own"

Patch = dict[str, Any]


@pytest.fixture(scope="module")
def guarded(control_plane: ControlPlane, crds: tuple[str, ...], repository: Path) -> Kubectl:
    """What deploy/ ships, applied and in force."""
    assert crds
    control_plane.kubectl("apply", "--server-side", "--force-conflicts", "-k", repository / "deploy")
    return control_plane.kubectl


@pytest.fixture
def run(guarded: Kubectl, namespace: str) -> Iterator[Patch]:
    """A user's TrainingRun, with what a user may have put on it; its finalizers are taken away at the end."""
    metadata = {
        "name": NAME,
        "labels": {"team": "math"},
        "annotations": {"note": "x"},
        "finalizers": ["example.com/theirs"],
    }
    head = {"apiVersion": "/".join(RUNS), "kind": "TrainingRun", "metadata": metadata}
    spec = {"run": {"trainingRunId": "r"}}
    stored = guarded(
        "create", f"--namespace={namespace}", "-f", "-", "-o", "json", stdin=json.dumps(head | {"spec": spec})
    )
    yield json.loads(stored.stdout)
    free = '{"metadata": {"finalizers": null}}'
    guarded("patch", "trainingrun", NAME, f"--namespace={namespace}", "--type=merge", "--patch", free)


@pytest.fixture
def as_operator(control_plane: ControlPlane, guarded: Kubectl, tmp_path: Path) -> Iterator[Any]:
    """The official client with the operator's own token."""
    guarded("get", "serviceaccount", ACCOUNT, f"--namespace={ACCOUNT}")
    kubeconfig = control_plane.service_account_kubeconfig(ACCOUNT, ACCOUNT, tmp_path / "kubeconfig")
    with config.new_client_from_config(str(kubeconfig)) as api:  # type: ignore[no-untyped-call]  # half of the client has no types
        api.set_default_header("Content-Type", "application/merge-patch+json")
        yield client.CustomObjectsApi(api)


def patched(api: Any, namespace: str, patch: Patch) -> Patch:
    stored: Patch = api.patch_namespaced_custom_object(*RUNS, namespace, "trainingruns", NAME, patch)
    return stored


def refusal(api: Any, namespace: str, patch: Patch) -> str:
    """Returns what the API server said against a patch, once the policy is in force: a new one takes a moment."""

    def look() -> str:
        try:
            patched(api, namespace, patch)
        except client.ApiException as error:
            return f"{error.status} {error.body}"
        return ""

    return wait_for(look, "a refusal", 15)


REFUSED: dict[str, Patch] = {
    "a field of spec": {"spec": {"suspend": True}},
    "the run that spec names": {"spec": {"run": {"trainingRunId": "another"}}},
    "spec beside the finalizer": {
        "spec": {"suspend": True},
        "metadata": {"finalizers": ["example.com/theirs", FINALIZER]},
    },
    "a label that is there": {"metadata": {"labels": {"team": "physics"}}},
    "a new label": {"metadata": {"labels": {"new": "x"}}},
    "all labels away": {"metadata": {"labels": None}},
    "an annotation": {"metadata": {"annotations": {"tinker-operator.dev/reconcile-at": "now"}}},
    "all annotations away": {"metadata": {"annotations": None}},
    "an owner": {"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "u"}]}},
    "the prefix of its name": {"metadata": {"generateName": "x-"}},
    "another's finalizer away": {"metadata": {"finalizers": [FINALIZER]}},
    "all finalizers away": {"metadata": {"finalizers": None}},
    "another's finalizer there": {"metadata": {"finalizers": ["example.com/theirs", "example.com/more"]}},
}


@pytest.mark.cluster
@pytest.mark.parametrize("what", REFUSED)
def test_the_operator_cannot_change(what: str, run: Patch, as_operator: Any, namespace: str, guarded: Kubectl) -> None:
    """Its own token, its own right to patch; refused with the reason, and nothing is stored."""
    said = refusal(as_operator, namespace, REFUSED[what])

    assert said.startswith("403")
    assert SAYS in said
    after = guarded.json("get", "trainingrun", NAME, f"--namespace={namespace}")
    assert after["metadata"]["resourceVersion"] == run["metadata"]["resourceVersion"]


@pytest.mark.cluster
def test_the_operator_sets_and_removes_its_own_finalizer(run: Patch, as_operator: Any, namespace: str) -> None:
    """Also when it stands before another's, and spec and generation stay as they were."""
    refusal(as_operator, namespace, REFUSED["a field of spec"])
    theirs = run["metadata"]["finalizers"]
    added = patched(as_operator, namespace, {"metadata": {"finalizers": [FINALIZER, *theirs]}})
    removed = patched(as_operator, namespace, {"metadata": {"finalizers": theirs}})

    assert added["metadata"]["finalizers"] == [FINALIZER, *theirs]
    assert removed["metadata"]["finalizers"] == theirs
    assert removed["spec"] == run["spec"]
    assert removed["metadata"]["generation"] == run["metadata"]["generation"]


@pytest.mark.cluster
def test_the_operator_reports_as_before(run: Patch, as_operator: Any, namespace: str) -> None:
    """A patch of status is none of the guard's matters, and changes nothing else."""
    patch = {"status": {"trainingRunId": "r"}, "spec": {"suspend": True}, "metadata": {"labels": {"team": "physics"}}}
    stored = as_operator.patch_namespaced_custom_object_status(*RUNS, namespace, "trainingruns", NAME, patch)

    assert stored["status"]["trainingRunId"] == "r"
    assert stored["spec"] == run["spec"]
    assert stored["metadata"]["labels"] == run["metadata"]["labels"]


@pytest.mark.cluster
def test_users_change_what_they_like(run: Patch, guarded: Kubectl, namespace: str) -> None:
    """The guard is for the operator alone."""
    assert run
    patch = json.dumps({"spec": {"suspend": True}, "metadata": {"labels": {"team": "physics"}}})
    arguments = ("trainingrun", NAME, f"--namespace={namespace}", "--type=merge", "--patch", patch)
    assert guarded.json("patch", *arguments)["spec"]["suspend"] is True


@pytest.mark.cluster
def test_the_server_finds_nothing_wrong_with_the_rules(guarded: Kubectl) -> None:
    """Its own check of the expressions against the schemas of the kinds has no warning."""

    def checked() -> Patch:
        found: Patch = guarded.json("get", "validatingadmissionpolicy", "tinker-operator-guard")
        status: Patch = found.get("status", {})
        return status if status.get("observedGeneration") == found["metadata"]["generation"] else {}

    status = wait_for(checked, "the policy to be checked")
    assert status.get("typeChecking", {}).get("expressionWarnings", []) == []


@pytest.mark.pure
def test_it_names_the_account_that_deploy_makes(repository: Path) -> None:
    """A guard for another account would guard nothing."""
    policy, _ = yaml.safe_load_all((repository / "deploy" / "rights" / "guard.yaml").read_text(encoding="utf-8"))
    (condition,) = policy["spec"]["matchConditions"]
    (pattern,) = re.findall(r"matches\('(.+)'\)", condition["expression"])
    accounts = [f"system:serviceaccount:{ACCOUNT}:{ACCOUNT}", f"system:serviceaccount:team-math:{ACCOUNT}"]
    others = [f"{accounts[0]}-x", f"x-{accounts[0]}", f"system:serviceaccount:{ACCOUNT}:x-{ACCOUNT}", ACCOUNT]
    assert [name for name in (*accounts, *others) if re.search(pattern, name)] == accounts
    assert all(f"'{FINALIZER}'" in one["expression"] for one in policy["spec"]["validations"][-1:])
