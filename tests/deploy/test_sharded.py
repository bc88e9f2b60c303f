"""The overlay with shards: what the other has, shared out; taken by the real API server and its StatefulSets."""

import json
from collections.abc import Iterator

import pytest
from tests.deploy.rendering import ACCOUNT, CLUSTER_WIDE, SHARDED, Manifest, kustomized
from tests.e2e.stage import wait_for

from playground.controlplane import ControlPlane
from playground.kubectl import Kubectl
from tinker_operator.cli.main import command
from tinker_operator.core.shards import Shard

pytestmark = pytest.mark.cluster
WORKLOAD, BUDGET = ("StatefulSet", ACCOUNT, ACCOUNT), ("PodDisruptionBudget", ACCOUNT, ACCOUNT)
DRY = ("--server-side", "--dry-run=server", "--validate=strict", "--force-conflicts")


@pytest.fixture(scope="module")
def empty(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubectl]:
    """A control plane in which nobody else's tests live."""
    with ControlPlane(tmp_path_factory.mktemp("empty"), control_plane._binaries) as own:
        yield own.kubectl


def test_it_is_taken_field_by_field_and_makes_its_pods(empty: Kubectl) -> None:
    """All at once, under the restricted profile; a second apply would change nothing; each pod knows its shard."""
    empty("create", "namespace", ACCOUNT)
    wanted = kustomized(empty, SHARDED)
    answer = empty("apply", "-k", SHARDED, *DRY)
    empty("apply", "-k", SHARDED)
    different = empty("diff", "-k", SHARDED, check=False)

    def pods() -> list[Manifest]:
        found: list[Manifest] = empty.json("get", "pods", f"--namespace={ACCOUNT}")["items"]
        return found if len(found) == 6 else []

    made = wait_for(pods, "six pods")
    shards = [shard_of_pod(one) for one in made]

    assert answer.stderr == ""
    assert answer.stdout.count("(server dry run)") == len(wanted)
    assert (different.returncode, different.stdout) == (0, "")
    assert sorted(map(str, shards)) == ["0/3", "0/3", "1/3", "1/3", "2/3", "2/3"]


def shard_of_pod(pod: Manifest) -> Shard:
    """Reads the shard as the pod's operator will."""
    (container,) = pod["spec"]["containers"]
    env = {one["name"]: one for one in container["env"]}
    (argument,) = [one for one in container["args"] if one.startswith("--shard=")]
    assert env["POD_NAME"]["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.name"
    text = argument.partition("=")[2].replace("$(SHARDS)", env["SHARDS"]["value"])
    return Shard.read(text, pod["metadata"]["name"])


def test_but_for_the_shards_it_is_what_the_other_overlay_is(kubectl: Kubectl) -> None:
    """Field by field: the same rights, the same hardening, the same probes."""
    whole, sharded = kustomized(kubectl, CLUSTER_WIDE), kustomized(kubectl, SHARDED)
    deployment, budget = whole.pop(("Deployment", ACCOUNT, ACCOUNT)), whole.pop(BUDGET)
    workload, own_budget = sharded.pop(WORKLOAD), sharded.pop(BUDGET)
    container = workload["spec"]["template"]["spec"]["containers"][0]
    assert container["args"].pop() == "--shard=auto/$(SHARDS)"
    assert {container["env"].pop()["name"] for _ in range(2)} == {"POD_NAME", "SHARDS"}

    assert sharded == whole
    assert workload["spec"]["template"] == deployment["spec"]["template"]
    assert workload["spec"]["selector"] == deployment["spec"]["selector"] == own_budget["spec"]["selector"]
    assert budget["spec"].pop("minAvailable") == 1
    assert own_budget["spec"] == {**budget["spec"], "maxUnavailable": 1}
    assert {"--shard"} <= {option for each in command.commands["run"].params for option in each.opts}


def test_its_namespace_refuses_none_of_its_pods(kubectl: Kubectl, namespace: str) -> None:
    """Under the restricted Pod Security standard."""
    kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    kubectl("create", "serviceaccount", ACCOUNT, f"--namespace={namespace}")
    spec = kustomized(kubectl, SHARDED)[WORKLOAD]["spec"]["template"]["spec"]

    def refusal(of: Manifest) -> str:
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": namespace}, "spec": of}
        create = ("create", "--dry-run=server", "--validate=strict", "-f", "-")
        return kubectl(*create, stdin=json.dumps(pod), check=False).stderr

    wait_for(lambda: "violates PodSecurity" in refusal({**spec, "hostNetwork": True}), "the profile to be in force")
    assert refusal(spec) == ""
