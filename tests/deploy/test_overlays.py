"""The overlays of deploy/: rendered by kubectl, taken by the real API server, and asked for what they promise."""

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.deploy.rendering import (
    ACCOUNT,
    CLUSTER_WIDE,
    DEPLOY,
    ONE_NAMESPACE,
    SHARDED,
    Manifest,
    Name,
    kustomized,
    overlay,
)
from tests.docs.shown_commands import commands
from tests.e2e.stage import wait_for

from playground.controlplane import ControlPlane
from playground.kubectl import Kubectl
from tinker_operator.cli.main import command

pytestmark = pytest.mark.cluster

OVERLAYS = [pytest.param(CLUSTER_WIDE, id="cluster-wide"), pytest.param(ONE_NAMESPACE, id="one-namespace")]


DRY = ("--server-side", "--dry-run=server", "--validate=strict", "--force-conflicts")


def the(kind: str, of: dict[Name, Manifest], namespace: str = ACCOUNT) -> Manifest:
    return of[kind, namespace, ACCOUNT]


def container(of: dict[Name, Manifest]) -> Manifest:
    (found,) = the("Deployment", of)["spec"]["template"]["spec"]["containers"]
    assert isinstance(found, dict)
    return found


@pytest.fixture(scope="module")
def empty(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubectl]:
    """A control plane in which nobody else's tests live."""
    with ControlPlane(tmp_path_factory.mktemp("empty"), control_plane._binaries) as own:
        yield own.kubectl


@pytest.mark.parametrize("folder", OVERLAYS)
def test_it_is_taken_field_by_field(folder: Path, empty: Kubectl) -> None:
    """By a server that refuses what it does not know, object by object, as one command."""
    empty("create", "namespace", ACCOUNT, check=False)
    wanted = kustomized(empty, folder)

    answer = empty("apply", "-k", folder, *DRY)

    assert answer.stderr == ""
    assert answer.stdout.count("(server dry run)") == len(wanted)


@pytest.mark.parametrize("folder", OVERLAYS)
def test_one_command_is_all_it_takes_and_a_second_one_would_change_nothing(folder: Path, empty: Kubectl) -> None:
    """On a cluster that has never seen it."""
    empty("apply", "-k", folder)
    different = empty("diff", "-k", folder, check=False)
    account = f"--as=system:serviceaccount:{ACCOUNT}:{ACCOUNT}"
    may = empty("auth", "can-i", account, "list", "trainingruns", f"--namespace={ACCOUNT}", check=False)
    elsewhere = empty("auth", "can-i", account, "list", "trainingruns", "--all-namespaces", check=False)
    empty("delete", "-k", folder, "--wait", seconds=120)

    assert (different.returncode, different.stdout) == (0, "")
    assert may.stdout.strip() == "yes"
    assert elsewhere.stdout.strip() == ("yes" if folder == CLUSTER_WIDE else "no")


@pytest.mark.parametrize("folder", [*OVERLAYS, pytest.param(SHARDED, id="sharded")])
def test_the_way_back_is_all_of_it_but_the_kinds(folder: Path, kubectl: Kubectl) -> None:
    """Older kinds would drop what a newer operator has written."""
    (shown,) = [one for one in commands("docs/upgrade.md") if "apply" in one and "overlays" in one and " -l " in one]
    selected = shlex.split(shown)[-2:]
    kinds = [name for name in kustomized(kubectl, folder) if name[0] == "CustomResourceDefinition"]

    answer = kubectl("apply", "-k", folder, *selected, "--dry-run=client", "--output=name")

    assert len(kinds) == 2
    assert len(answer.stdout.split()) == len(kustomized(kubectl, folder)) - len(kinds)
    assert "customresourcedefinition" not in answer.stdout


@pytest.mark.parametrize("folder", OVERLAYS)
def test_its_namespace_refuses_none_of_its_pods(folder: Path, kubectl: Kubectl, namespace: str) -> None:
    """Under the restricted Pod Security standard, at its newest version."""
    kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    kubectl("create", "serviceaccount", ACCOUNT, f"--namespace={namespace}")
    spec = the("Deployment", kustomized(kubectl, folder))["spec"]["template"]["spec"]

    def refusal(of: Manifest) -> str:
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": namespace}, "spec": of}
        create = ("create", "--dry-run=server", "--validate=strict", "-f", "-")
        return kubectl(*create, stdin=json.dumps(pod), check=False).stderr

    wait_for(lambda: "violates PodSecurity" in refusal({**spec, "hostNetwork": True}), "the profile to be in force")
    assert refusal(spec) == ""


@pytest.mark.parametrize("folder", OVERLAYS)
def test_its_parts_fit_together(folder: Path, kubectl: Kubectl) -> None:
    """Selectors select the Pods, probes ask pages that are served, options are those of the command."""
    found = kustomized(kubectl, folder)
    spec, runs = the("Deployment", found)["spec"], container(found)
    labels = spec["template"]["metadata"]["labels"]
    selectors = [
        spec["selector"]["matchLabels"],
        the("PodDisruptionBudget", found)["spec"]["selector"]["matchLabels"],
        the("NetworkPolicy", found)["spec"]["podSelector"]["matchLabels"],
    ]
    options = {option for each in command.commands["run"].params for option in each.opts}
    probes = {name: runs[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}

    assert selectors == [labels] * 3
    assert {name: (probe["path"], probe["port"]) for name, probe in probes.items()} == {
        "startup": ("/healthz", "http"),
        "liveness": ("/healthz", "http"),
        "readiness": ("/readyz", "http"),
    }
    assert [port["containerPort"] for port in runs["ports"] if port["name"] == "http"] == [8080]
    assert "--metrics-address=:8080" in runs["args"]
    assert the("NetworkPolicy", found)["spec"]["ingress"] == [{"ports": [{"port": 8080, "protocol": "TCP"}]}]
    assert {argument.partition("=")[0] for argument in runs["args"][1:]} <= options
    assert spec["replicas"] > the("PodDisruptionBudget", found)["spec"]["minAvailable"] >= 1


def test_one_namespace_has_rights_in_that_one_alone(kubectl: Kubectl) -> None:
    """But for the uid of namespace kube-system; the operator is told to watch no other."""
    wide, narrow = kustomized(kubectl, CLUSTER_WIDE), kustomized(kubectl, ONE_NAMESPACE)
    everywhere = {name for kind, _, name in wide if kind == "ClusterRoleBinding"}

    assert everywhere == {ACCOUNT, f"{ACCOUNT}-trainer", f"{ACCOUNT}-cluster-id"}
    assert {name for kind, _, name in narrow if kind == "ClusterRoleBinding"} == {f"{ACCOUNT}-cluster-id"}
    assert {name for kind, where, name in narrow if (kind, where) == ("RoleBinding", ACCOUNT)} == {
        ACCOUNT,
        f"{ACCOUNT}-trainer",
        f"{ACCOUNT}-lease",
    }
    assert "--namespace=$(POD_NAMESPACE)" in container(narrow)["args"]
    assert not [argument for argument in container(wide)["args"] if "namespace" in argument]


def test_the_rest_of_both_overlays_is_the_same(kubectl: Kubectl) -> None:
    wide, narrow = kustomized(kubectl, CLUSTER_WIDE), kustomized(kubectl, ONE_NAMESPACE)
    same = wide.keys() & narrow.keys() - {("Deployment", ACCOUNT, ACCOUNT)}

    assert {name: wide[name] for name in same} == {name: narrow[name] for name in same}
    assert {kind for kind, _, _ in wide.keys() ^ narrow.keys()} == {"ClusterRoleBinding", "RoleBinding"}


def test_an_overlay_of_a_user_moves_it_to_another_namespace(kubectl: Kubectl, namespace: str, tmp_path: Path) -> None:
    """With one line: account, bindings and workload go there together, and the server takes them."""
    folder = overlay(tmp_path / "mine", ONE_NAMESPACE, namespace=namespace)
    found = kustomized(kubectl, folder)
    subjects = [one for manifest in found.values() for one in manifest.get("subjects", [])]

    answer = kubectl(
        "apply", "-k", folder, "--server-side", "--dry-run=server", "--validate=strict", "--force-conflicts"
    )

    assert answer.stdout.count("(server dry run)") == len(found)
    assert {one["namespace"] for one in subjects} == {namespace}
    assert the("Deployment", found, namespace)["metadata"]["namespace"] == namespace


def test_the_image_is_named_in_one_way(kubectl: Kubectl, tmp_path: Path) -> None:
    """An overlay that renames it renames it; what exports run is told beside it."""
    images: Any = [{"name": "tinker-operator", "newName": "images.example/tinker", "newTag": "7"}]
    found = container(kustomized(kubectl, overlay(tmp_path / "mine", CLUSTER_WIDE, images=images)))

    assert found["image"] == "images.example/tinker:7"
    shipped = container(kustomized(kubectl, CLUSTER_WIDE))
    assert shipped["env"][0] == {"name": "TINKER_OPERATOR_IMAGE", "value": shipped["image"]}


def test_every_folder_of_deploy_is_used(kubectl: Kubectl) -> None:
    """The overlay has every object of every file that is not of Argo CD or Helm."""
    folders = {DEPLOY / "rights": "*.yaml", DEPLOY / "base": "[!k]*.yaml", DEPLOY.parent / "crds": "*.yaml"}
    files = [file for folder, names in folders.items() for file in folder.glob(names)]
    documents = [one for file in files for one in yaml.safe_load_all(file.read_text(encoding="utf-8"))]

    assert len(documents) == len(kustomized(kubectl, CLUSTER_WIDE))
