"""What deploy/ ships runs as it is shipped, in Pods: two replicas under the restricted profile, one of them at work.

The image is made from the project's wheel, and the overlay is the shipped one with no other change than its name. The
operator's own key and service come from the Secret that the Deployment asks for, so that no option is changed either.
The control plane is the module's own: this operator serves every namespace.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from tests.deploy.rendering import ACCOUNT, CLUSTER_WIDE, overlay
from tests.node.relaunching import eventually
from tests.node_fixtures import NodeGear
from tests.simulator.bare import KEYS, Served, Wire

from playground.controlplane import ControlPlane
from playground.kubectl import Kubectl
from playground.node.images import OPERATOR_IMAGE, operator_image
from playground.node.node import Node
from playground.settings import Settings

pytestmark = [pytest.mark.node, pytest.mark.timeout(900)]  # the first image takes minutes on a busy machine

Json = dict[str, Any]
WITHIN = f"--namespace={ACCOUNT}"
LEASE_SECONDS = 15.0
"""How long a standby leaves the Lease of a leader alone that says nothing any more."""


@dataclass(frozen=True, slots=True)
class Deployed:
    """The operator as it is deployed, and the service that it looks at.

    Attributes:
        kubectl: As administrator.
        wire: The loop's view of the simulator.
    """

    kubectl: Kubectl
    wire: Wire

    def pods(self) -> dict[str, Json]:
        """Returns the Pods that are not on their way out, by name."""
        items = self.kubectl.json("get", "pods", WITHIN, "-l", f"app.kubernetes.io/name={ACCOUNT}")["items"]
        return {one["metadata"]["name"]: one for one in items if "deletionTimestamp" not in one["metadata"]}

    def ready(self) -> list[str]:
        """Returns the names of those that are Ready."""
        return [name for name, pod in self.pods().items() if condition(pod, "Ready") == "True"]

    def leader(self) -> str:
        """Returns the name of the Pod that holds the Lease, empty when none does."""
        lease = self.kubectl.json("get", "lease", ACCOUNT, WITHIN)
        return str(lease["spec"].get("holderIdentity") or "").partition("_")[0]

    def probed(self, page: str) -> dict[str, str]:
        """Returns what each Pod answers, by its name."""
        pods = self.pods()
        answers = {
            name: httpx.get(f"http://{pod['status']['podIP']}:8080/{page}", trust_env=False, timeout=10)
            for name, pod in pods.items()
        }
        return {name: answer.text.strip() for name, answer in answers.items()}

    def adopt(self, name: str) -> None:
        """Applies a TrainingRun that follows a run of the service, and waits until it is Ready."""
        spec = {"run": {"trainingRunId": self.wire.run()}, "pollIntervalSeconds": 1}
        head = {"apiVersion": "tinker-operator.dev/v1alpha1", "kind": "TrainingRun", "metadata": {"name": name}}
        self.kubectl.apply(json.dumps(head | {"spec": spec}))
        eventually(lambda: condition(self.kubectl.json("get", "trainingrun", name), "Ready") == "True", f"{name} Ready")

    def failed_over(self, end: Callable[[str], object]) -> tuple[str, float]:
        """Ends the leader in some way, and returns who leads now and after how many seconds it did."""
        former = self.leader()
        began = time.monotonic()
        end(former)
        successor = eventually(lambda: {self.leader()} - {former, ""}, "another Pod to lead")
        return successor.pop(), time.monotonic() - began


def condition(of: Json, kind: str) -> str:
    found = of.get("status", {}).get("conditions", [])
    return next((str(one["status"]) for one in found if one["type"] == kind), "")


def kill(pod: str) -> None:
    """Kills the operator of a Pod as the kernel does when memory runs out."""
    (process,) = (one for one in psutil.process_iter() if _runs(one) and one.environ().get("HOSTNAME") == pod)
    process.kill()


def _runs(process: psutil.Process) -> bool:
    try:
        return any(part.endswith("/bin/tinker-operator") for part in process.cmdline())
    except psutil.Error:
        return False


@pytest.fixture(scope="module")
def deployed(node_gear: NodeGear, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    """What the README's commands come to, on a cluster that has never seen the project."""
    folder = tmp_path_factory.mktemp("deployed")
    image = operator_image(Settings.from_environ(os.environ).cache)
    with ExitStack() as ending:
        plane = ending.enter_context(ControlPlane(folder / "plane", node_gear.binaries))
        node = ending.enter_context(Node(plane, node_gear.programs))
        node.load(image)
        served = Served(folder / "simulator", host=node.host_address)
        ending.callback(served.close)
        served.start()
        wire = Wire(served.url, KEYS[0])
        ending.callback(wire.http.close)
        _apply(plane.kubectl, served.url, folder)
        yield Deployed(plane.kubectl, wire)


def _apply(kubectl: Kubectl, url: str, folder: Path) -> None:
    name, _, tag = OPERATOR_IMAGE.partition(":")
    mine = overlay(folder / "mine", CLUSTER_WIDE, images=[{"name": ACCOUNT, "newName": name, "newTag": tag}])
    kubectl("apply", "-k", mine)
    secret = (f"--from-literal=TINKER_API_KEY={KEYS[0]}", f"--from-literal=TINKER_BASE_URL={url}")
    kubectl("create", "secret", "generic", ACCOUNT, WITHIN, *secret)
    kubectl("rollout", "restart", f"deployment/{ACCOUNT}", WITHIN)
    kubectl("rollout", "status", f"deployment/{ACCOUNT}", WITHIN, "--timeout=240s", seconds=250)


def test_two_replicas_become_ready_by_their_probes_and_one_of_them_leads(deployed: Deployed) -> None:
    """In a namespace that enforces the restricted profile; nobody is restarted."""
    namespace = deployed.kubectl.json("get", "namespace", ACCOUNT)
    eventually(lambda: len(deployed.pods()) == len(deployed.ready()) == 2, "two Pods, both Ready")
    # The one that led before the roll-out may still be on its way out.
    (leader,) = eventually(lambda: {deployed.leader()} & {*deployed.pods()}, "one of the two to lead")

    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert deployed.probed("healthz") == dict.fromkeys(deployed.pods(), "the loop turns")
    eventually(lambda: deployed.probed("readyz").get(leader) == "leads", "the leader to say so")
    eventually(lambda: sorted(deployed.probed("readyz").values()) == ["leads", "stands by"], "the other to stand by")
    assert [status["restartCount"] for pod in deployed.pods().values() for status in statuses(pod)] == [0, 0]


def statuses(pod: Json) -> list[Json]:
    found: list[Json] = pod["status"]["containerStatuses"]
    return found


def test_it_serves_a_training_run_of_another_namespace(deployed: Deployed) -> None:
    """With the rights that are shipped, and the key of the Secret beside it."""
    deployed.adopt("first")


def test_after_the_leader_is_deleted_the_other_takes_over_at_once(deployed: Deployed) -> None:
    """It gives the Lease up as it ends, so nobody waits for that to run out."""
    eventually(lambda: len(deployed.ready()) == 2, "both Ready")
    stood_by = {*deployed.pods()} - {deployed.leader()}

    successor, seconds = deployed.failed_over(
        lambda pod: deployed.kubectl("delete", "pod", pod, WITHIN, "--wait=false")
    )

    print(f"\nfail-over after a deletion: {seconds:.1f} s")  # noqa: T201 - a measurement
    assert seconds < LEASE_SECONDS
    assert successor in stood_by
    deployed.adopt("second")


def test_after_the_leader_is_killed_the_other_takes_over_when_its_lease_has_run_out(deployed: Deployed) -> None:
    """Which nobody can know sooner; the container that was killed comes back and stands by."""
    eventually(lambda: len(deployed.ready()) == 2, "both Ready")
    former = deployed.leader()

    successor, seconds = deployed.failed_over(kill)

    print(f"\nfail-over after a kill: {seconds:.1f} s")  # noqa: T201 - a measurement
    assert successor in {*deployed.pods()} - {former}
    assert seconds < 4 * LEASE_SECONDS
    deployed.adopt("third")
    eventually(lambda: deployed.probed("readyz").get(former) == "stands by", "the killed one to stand by")


def test_its_logs_are_lines_of_json_without_a_key(deployed: Deployed) -> None:
    """Whatever happened to the Pods above."""
    said = "".join(deployed.kubectl("logs", pod, WITHIN).stdout for pod in deployed.pods())

    assert all(json.loads(line)["event"] for line in said.splitlines())
    assert KEYS[0] not in said
    assert "Traceback" not in said
