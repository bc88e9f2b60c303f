"""What the operator may do in a cluster, asked of the real authorizer, and no more than that."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client, config

from playground.controlplane import ControlPlane
from playground.kubectl import Kubectl

OPERATOR = "system:serviceaccount:tinker-operator:tinker-operator"
OWN = "tinker-operator"
OTHER = "default"

Document = dict[str, Any]

RUNS = "trainingruns.tinker-operator.dev"
POLICIES = "checkpointpolicies.tinker-operator.dev"
EVENTS = "events.events.k8s.io"
LEASES = "leases.coordination.k8s.io"
JOBS = "jobs.batch"


@pytest.fixture(scope="module")
def deployed(control_plane: ControlPlane, crds: tuple[str, ...], repository: Path) -> Kubectl:
    """What deploy/ ships, applied as a user does."""
    assert crds
    control_plane.kubectl("apply", "--server-side", "--force-conflicts", "-k", repository / "deploy")
    return control_plane.kubectl


@pytest.fixture
def as_operator(control_plane: ControlPlane) -> Iterator[Any]:
    """The official client with the operator's rights; its objects are open JSON."""
    with config.new_client_from_config(str(control_plane.admin_kubeconfig)) as api:  # type: ignore[no-untyped-call]  # half of the client has no types
        api.set_default_header("Impersonate-User", OPERATOR)
        yield client.CustomObjectsApi(api)


def documents(repository: Path, name: str = "*.yaml") -> list[Document]:
    files = sorted((repository / "deploy" / "rights").glob(name))
    return [document for file in files for document in yaml.safe_load_all(file.read_text(encoding="utf-8"))]


def rules(repository: Path, name: str = "*.yaml") -> Iterator[Document]:
    for document in documents(repository, name):
        yield from document.get("rules", [])


def granted(repository: Path, name: str) -> set[tuple[str, str]]:
    """Which verbs on which resources a file of deploy/ grants."""
    return {
        (resource, verb) for rule in rules(repository, name) for resource in rule["resources"] for verb in rule["verbs"]
    }


@pytest.mark.cluster
@pytest.mark.parametrize(
    ("verb", "resource", "namespace"),
    [
        pytest.param("list", RUNS, None, id="lists the runs of every namespace"),
        pytest.param("watch", RUNS, None, id="watches the runs of every namespace"),
        pytest.param("get", RUNS, OTHER, id="reads a run"),
        pytest.param("list", POLICIES, None, id="lists the policies of every namespace"),
        pytest.param("watch", POLICIES, None, id="watches the policies of every namespace"),
        pytest.param("patch", f"{RUNS}/status", OTHER, id="writes the status of a run"),
        pytest.param("patch", f"{POLICIES}/status", OTHER, id="writes the status of a policy"),
        pytest.param("patch", RUNS, OTHER, id="sets its finalizer on a run, which guard.yaml bounds"),
        pytest.param("get", "secrets/tinker", OTHER, id="reads a Secret that it knows by name"),
        pytest.param("get", "configmaps", OTHER, id="reads a hand-over"),
        pytest.param("create", "configmaps", OTHER, id="makes a hand-over"),
        pytest.param("patch", "configmaps", OTHER, id="renews a hand-over"),
        pytest.param("create", EVENTS, OTHER, id="tells of a transition"),
        pytest.param("get", "namespaces/kube-system", None, id="reads the cluster's identity"),
        pytest.param("get", LEASES, OWN, id="reads its Lease"),
        pytest.param("create", LEASES, OWN, id="makes its Lease"),
        pytest.param("update", LEASES, OWN, id="renews its Lease"),
        pytest.param("list", JOBS, None, id="lists the trainer Jobs of every namespace"),
        pytest.param("watch", JOBS, None, id="watches the trainer Jobs of every namespace"),
        pytest.param("get", JOBS, OTHER, id="reads a Job that has the name of a trainer Job"),
        pytest.param("create", JOBS, OTHER, id="makes a trainer Job"),
        pytest.param("delete", JOBS, OTHER, id="deletes a trainer Job"),
        pytest.param("list", "pods", OTHER, id="lists the Pods of a Job that failed"),
    ],
)
def test_the_operator_may(verb: str, resource: str, namespace: str | None, deployed: Kubectl) -> None:
    """Each of these is a call that it makes."""
    assert can_i(deployed, verb, resource, namespace) == "yes"


@pytest.mark.cluster
@pytest.mark.parametrize(
    ("verb", "resource", "namespace"),
    [
        pytest.param("update", RUNS, OTHER, id="replace a run"),
        pytest.param("create", RUNS, OTHER, id="make a run of its own"),
        pytest.param("delete", RUNS, OTHER, id="delete a run"),
        pytest.param("get", f"{RUNS}/status", OTHER, id="read a status by itself"),
        pytest.param("update", f"{RUNS}/status", OTHER, id="replace a status instead of merging into it"),
        pytest.param("patch", POLICIES, OTHER, id="write the spec of a policy"),
        pytest.param("delete", POLICIES, OTHER, id="delete a policy"),
        pytest.param("list", "secrets", OTHER, id="list the Secrets of a namespace"),
        pytest.param("watch", "secrets", None, id="watch Secrets"),
        pytest.param("list", "secrets", OWN, id="list the Secrets beside its own"),
        pytest.param("patch", "secrets", OTHER, id="write a Secret"),
        pytest.param("create", "secrets", OTHER, id="make a Secret"),
        pytest.param("list", "configmaps", OTHER, id="list ConfigMaps"),
        pytest.param("watch", "configmaps", None, id="watch ConfigMaps"),
        pytest.param("update", "configmaps", OTHER, id="replace a ConfigMap"),
        pytest.param("delete", "configmaps", OTHER, id="delete a ConfigMap"),
        pytest.param("list", EVENTS, OTHER, id="read events"),
        pytest.param("patch", EVENTS, OTHER, id="rewrite an event"),
        pytest.param("create", "events", OTHER, id="write events of the old kind"),
        pytest.param("get", "namespaces/default", None, id="read another namespace"),
        pytest.param("list", "namespaces", None, id="list namespaces"),
        pytest.param("get", LEASES, OTHER, id="read a Lease of another namespace"),
        pytest.param("update", LEASES, "kube-system", id="take a Lease of the control plane"),
        pytest.param("delete", LEASES, OWN, id="delete a Lease"),
        pytest.param("list", LEASES, OWN, id="list Leases"),
        pytest.param("create", "pods", OTHER, id="start a Pod"),
        pytest.param("delete", "pods", OTHER, id="delete a Pod"),
        pytest.param("watch", "pods", None, id="watch Pods"),
        pytest.param("get", "pods/log", OTHER, id="read what a Pod said"),
        pytest.param("create", "pods/exec", OTHER, id="run a command in a Pod"),
        pytest.param("patch", JOBS, OTHER, id="change a Job"),
        pytest.param("update", JOBS, OTHER, id="replace a Job"),
        pytest.param("deletecollection", JOBS, OTHER, id="delete Jobs wholesale"),
        pytest.param("create", "serviceaccounts/token", OWN, id="make itself a token"),
        pytest.param("list", "customresourcedefinitions.apiextensions.k8s.io", None, id="read the CRDs"),
        pytest.param("bind", "clusterroles.rbac.authorization.k8s.io", None, id="give away rights"),
        pytest.param("impersonate", "users", None, id="act as somebody else"),
    ],
)
def test_the_operator_may_not(verb: str, resource: str, namespace: str | None, deployed: Kubectl) -> None:
    """Each of these would be more than it needs."""
    assert can_i(deployed, verb, resource, namespace) == "no"


def can_i(kubectl: Kubectl, verb: str, resource: str, namespace: str | None) -> str:
    """Asks the authorizer as the operator; a subresource goes into kubectl's own flag."""
    name, _, below = resource.partition("/")
    asked = [f"--subresource={below}", name] if below in {"status", "token", "log", "exec"} else [resource]
    where = [f"--namespace={namespace}"] if namespace else ["--all-namespaces"]
    answer = kubectl("auth", "can-i", f"--as={OPERATOR}", verb, *asked, *where, check=False)
    assert "have a resource type" not in answer.stderr  # of a misspelt resource the answer is no as well
    return answer.stdout.strip()


@pytest.mark.cluster
def test_the_operator_hands_over_and_reports_with_these_rights(
    deployed: Kubectl, as_operator: Any, namespace: str
) -> None:
    """Server-side apply makes what is missing, which takes two rights at once; status goes by its own subresource."""
    hand_over = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "r-handover", "namespace": namespace}}
    asked = ("apply", "--server-side", f"--as={OPERATOR}", "-f", "-")
    deployed(*asked, stdin=json.dumps(hand_over | {"data": {"handover.json": "{}"}}))
    deployed(*asked, stdin=json.dumps(hand_over | {"data": {"handover.json": '{"version": 1}'}}))
    read = deployed.json("get", "configmap", "r-handover", f"--namespace={namespace}", f"--as={OPERATOR}")
    assert read["data"] == {"handover.json": '{"version": 1}'}
    run = {"apiVersion": "tinker-operator.dev/v1alpha1", "kind": "TrainingRun", "metadata": {"name": "r"}}
    spec = {"run": {"trainingRunId": "r"}}
    deployed("create", f"--namespace={namespace}", "-f", "-", stdin=json.dumps(run | {"spec": spec}))
    patch = {"spec": {"suspend": True}, "status": {"trainingRunId": "r"}}
    subject = ("tinker-operator.dev", "v1alpha1", namespace, "trainingruns", "r", patch)
    # kubectl reads a status before it patches it, for which the operator has no leave, and no need.
    with pytest.raises(client.ApiException, match="The operator may not change spec"):
        as_operator.patch_namespaced_custom_object(*subject)
    stored = as_operator.patch_namespaced_custom_object_status(*subject)
    assert (stored["spec"]["suspend"], stored["status"]["trainingRunId"]) == (False, "r")


@pytest.mark.cluster
def test_deploy_can_be_applied_as_plain_files_too(deployed: Kubectl, repository: Path) -> None:
    """`kubectl apply -f deploy/rights` and `-k deploy` come to the same, so neither changes what the other made."""
    again = deployed("apply", "--server-side", "-f", repository / "deploy" / "rights", "-o", "name").stdout.split()
    assert len(again) == len(documents(repository))
    assert deployed("diff", "--server-side", "-k", repository / "deploy").stdout == ""


@pytest.mark.cluster
def test_the_namespace_of_the_operator_refuses_an_unrestricted_pod(deployed: Kubectl) -> None:
    """The restricted profile is enforced, not only announced."""
    privileged = ("run", "p", "--image=x", "--privileged", f"--namespace={OWN}", "--dry-run=server")
    refused = deployed(*privileged, check=False)
    assert refused.returncode != 0
    assert 'violates PodSecurity "restricted' in refused.stderr


@pytest.mark.pure
def test_no_rule_has_a_wildcard(repository: Path) -> None:
    """Every verb, resource and group is spelled out."""
    assert [rule for rule in rules(repository) if "*" in str(rule)] == []


@pytest.mark.pure
def test_no_rule_reaches_what_could_raise_rights(repository: Path) -> None:
    """No deletion at all, no roles, no tokens, no workloads: but for what mode Relaunch needs."""
    always = granted(repository, "rbac.yaml")
    assert {verb for _, verb in always} <= {"get", "list", "watch", "create", "update", "patch"}
    assert {verb for resource, verb in always if resource == "secrets"} == {"get"}
    assert {resource for resource, _ in always} == {
        "trainingruns",
        "trainingruns/status",
        "checkpointpolicies",
        "checkpointpolicies/status",
        "configmaps",
        "secrets",
        "events",
        "namespaces",
        "leases",
    }
    assert {verb for resource, verb in always if resource == "trainingruns"} == {"get", "list", "watch", "patch"}
    assert {verb for resource, verb in always if resource == "checkpointpolicies"} == {"get", "list", "watch"}


@pytest.mark.pure
def test_the_right_to_run_jobs_can_be_left_out(repository: Path) -> None:
    """It is in a file, a role and a binding of its own, and nothing else is."""
    jobs = {("jobs", verb) for verb in ("get", "list", "watch", "create", "delete")}
    assert granted(repository, "rbac-trainer.yaml") == jobs | {("pods", "list")}
    kinds = {(one["kind"], one["metadata"]["name"]) for one in documents(repository, "rbac-trainer.yaml")}
    assert kinds == {(kind, "tinker-operator-trainer") for kind in ("ClusterRole", "ClusterRoleBinding")}


@pytest.mark.pure
def test_every_binding_is_for_the_operator_alone(repository: Path) -> None:
    """No group, no user, no other service account."""
    subjects = [subject for document in documents(repository) for subject in document.get("subjects", [])]
    assert subjects
    assert all((s["kind"], s["name"], s["namespace"]) == ("ServiceAccount", OWN, OWN) for s in subjects)
