"""The world of the relaunch tests: a stage whose Pods are real, a witness of their loops, and what is asked of both."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
from tests.e2e.stage import KEY, Operator, Stage, wait_for
from tests.node.pod_lives import watching_pods
from tests.node.witness import Loop, Witness, witness
from tests.simulator.bare import Served, Wire

from playground.controlplane import ControlPlane
from playground.crds import apply_crds, checkout_crds
from playground.node.images import TRAINER_IMAGE

SECONDS = 150.0
GRACE_SECONDS = 5
PROGRAM = Path(__file__).with_name("witnessed_loop.py")
DEPLOY = Path(__file__).parents[2] / "deploy"
NAMESPACE = "relaunch"
LORA = {"baseModel": "Qwen/Qwen3-8B", "lora": {"rank": 4, "seed": 0}}
T = TypeVar("T")
Json = dict[str, Any]


def eventually(look: Callable[[], T], what: str) -> T:
    """Waits as long as Pods may take on a busy machine."""
    return wait_for(look, what, SECONDS)


@dataclass
class World:
    """One node, one operator, one simulator, and the loops of every test.

    Attributes:
        stage: The simulator, the operator, and the API server with the node.
        witness: Sees the loops.
        watched: File to which every state of every Pod is written.
        met: How many loops of each training the tests have met.
    """

    stage: Stage
    witness: Witness
    watched: Path
    met: dict[str, int] = field(default_factory=dict)

    def pod_spec(self, training: str, **container: Any) -> Json:
        """The Pod of a loop."""
        variables = {"WITNESS": self.witness.address, "TRAINING": training}
        mounts = [{"name": "loop", "mountPath": "/loop"}, {"name": "scratch", "mountPath": "/scratch"}]
        loop = {
            "name": "loop",
            "image": TRAINER_IMAGE,
            "imagePullPolicy": "Never",
            "command": ["python", "/loop/loop.py"],
            "env": [{"name": name, "value": value} for name, value in variables.items()],
            "resources": {"limits": {"memory": "800Mi"}},
            "volumeMounts": mounts,
        }
        return {
            "terminationGracePeriodSeconds": GRACE_SECONDS,
            "automountServiceAccountToken": False,
            "containers": [{**loop, **container}],
            "volumes": [
                {"name": "loop", "configMap": {"name": "loop"}},
                {"name": "scratch", "emptyDir": {"sizeLimit": "1Mi"}},
            ],
        }

    def manifest(self, training: str, run: Json, pod: Json | None = None, **job: Any) -> Json:
        """A TrainingRun in mode Relaunch whose Job's Pod and other fields are as asked."""
        recovery = {"enabled": True, "mode": "Relaunch", "maxAttempts": 20, "backoffSeconds": 1, "jitter": "None"}
        template = {"spec": {**job, "template": {"spec": {**self.pod_spec(training), **(pod or {})}}}}
        spec = {"credentialsRef": {"name": "tinker"}, "run": run, "trainer": {"template": template}}
        return self.stage.training_run({**spec, "recovery": recovery}, training, labels={"training": training})

    def next_loop(self, training: str) -> Loop:
        """Waits for a loop that no test has met yet, has it make its run, and returns it."""
        loop = self.newcomer(training)
        loop.do("resume")
        return loop

    def newcomer(self, training: str) -> Loop:
        """Waits for a loop that no test has met yet; it has not made its run."""
        loop = self.witness.next(training, self.met.get(training, 0))
        self.met[training] = self.met.get(training, 0) + 1
        return loop

    def record(self, loop: Loop) -> Json:
        """Waits until the TrainingRun follows the loop and is Ready; returns how it got there, {} without a recovery.

        There is one loop then, one Job, one Pod that is not ended, and one run of this attempt that is not lost.
        """
        name = loop.training
        try:
            eventually(lambda: self.stage.status(name)["trainingRunId"] == loop.run, f"{name} to follow {loop}")
            eventually(lambda: self.stage.condition("Ready", name).get("status") == "True", f"{name} to be Ready")
        except pytest.fail.Exception as error:
            raise AssertionError(f"{error}\n{json.dumps(self.stage.status(name), indent=1)}") from None
        assert self.witness.alive(name) == [loop]
        assert [one["metadata"]["annotations"]["tinker-operator.dev/attempt"] for one in self.jobs(name)] == [
            loop.attempt
        ]
        assert self.pods(name) == [loop.pod]
        assert self.made(loop) == [loop.run]
        history: list[Json] = self.stage.status(name)["recovery"].get("history", [])
        return next((one for one in reversed(history) if one.get("toTrainingRunId") == loop.run), {})

    def made(self, loop: Loop) -> list[str]:
        """Returns the runs at the service that loops of this attempt made, but for lost ones."""
        mine = {"tinker-operator.dev/owner": f"test/{self.stage.namespace}/{loop.training}"}
        mine["tinker-operator.dev/attempt"] = str(loop.attempt)
        runs = [one for one in self.stage.remote_runs() if mine.items() <= (one["user_metadata"] or {}).items()]
        resumed = [one for one in runs if "tinker-operator.dev/resumed-at" in one["user_metadata"]]
        return [one["training_run_id"] for one in resumed if not one["corrupted"]]

    def jobs(self, training: str) -> list[Json]:
        """Returns the Jobs of a training."""
        return [one for one in self._owned("jobs") if one["metadata"]["ownerReferences"][0]["name"] == training]

    def pods(self, training: str) -> list[str]:
        """Returns the names of its Pods that have not ended."""
        jobs = {one["metadata"]["uid"] for one in self.jobs(training)}
        mine = [one for one in self._owned("pods") if one["metadata"]["ownerReferences"][0]["uid"] in jobs]
        return [one["metadata"]["name"] for one in mine if one["status"]["phase"] in {"Pending", "Running"}]

    def _owned(self, kind: str) -> list[Json]:
        items: list[Json] = self.stage.kubectl.json("get", kind, "--namespace", self.stage.namespace)["items"]
        return [one for one in items if one["metadata"].get("ownerReferences")]

    def change_template(self, training: str, patch: Json) -> None:
        """Changes the Job's template, as a user does."""
        text = json.dumps({"spec": {"trainer": {"template": {"spec": patch}}}})
        self.stage.kubectl(
            "patch", "trainingrun", training, "--type=merge", "-p", text, "--namespace", self.stage.namespace
        )

    def uninterrupted(self, steps: int) -> Loop:
        """Trains so many steps on this machine, without an operator."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("TINKER", "KUBE"))}
        mine = {"WITNESS": self.witness.address, "TRAINING": "uninterrupted"}
        service = {"TINKER_BASE_URL": self.stage.served.url, "TINKER_API_KEY": KEY}
        child = subprocess.Popen([sys.executable, PROGRAM], env=kept | mine | service)
        try:
            loop = self.next_loop("uninterrupted")
            loop.do(f"train {steps}")
            loop.order("end")
            assert child.wait(timeout=SECONDS) == 0
        finally:
            child.kill()
            child.wait()
        return loop


def own_pod(world: World) -> Json:
    """A Pod of the user's own, as docs/trainer.md has it for loops that the operator does not make."""
    spec = world.pod_spec("own")
    (loop,) = spec["containers"]
    loop["env"].append({"name": "TINKER_OPERATOR_HANDOVER", "value": "/etc/tinker-operator"})
    loop["envFrom"] = [{"secretRef": {"name": "tinker"}}]
    loop["volumeMounts"].append({"name": "handover", "mountPath": "/etc/tinker-operator"})
    spec["volumes"].append({"name": "handover", "configMap": {"name": "own-handover"}})
    metadata = {"name": "own"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {**spec, "restartPolicy": "Never"}}


@contextmanager
def staged(plane: ControlPlane, host: str, folder: Path, namespace: str = NAMESPACE) -> Iterator[World]:
    """The world: simulator and witness where Pods reach them, and the operator with the rights that deploy/ grants.

    Args:
        plane: The control plane with the node; the node has the trainer image.
        host: Address of this machine that Pods reach.
        folder: For what the processes write.
        namespace: Of the world's own.
    """
    kubectl = plane.kubectl
    apply_crds(kubectl, checkout_crds())
    kubectl("apply", "-k", DEPLOY)
    kubectl("create", "namespace", namespace)
    account = plane.service_account_kubeconfig("tinker-operator", "tinker-operator", folder / "kubeconfig")
    with ExitStack() as ending:
        served = Served(folder / "simulator", host=host)
        ending.callback(served.close)
        served.start()
        operator = Operator(account, namespace, served.url, folder / "operator.log", key=None)
        ending.callback(operator.close)
        operator.start()
        wire = Wire(served.url, KEY)
        ending.callback(wire.http.close)
        stage = Stage(kubectl, namespace, served, wire, operator)
        _prepare(stage)
        ending.callback(kubectl, "delete", "namespace", namespace, "--wait=false")
        ending.enter_context(watching_pods(kubectl, namespace, folder / "pods.json"))
        yield World(stage, ending.enter_context(witness(host)), folder / "pods.json")


def _prepare(stage: Stage) -> None:
    """Gives the namespace the key, and the program of the loop."""
    secret = {"TINKER_API_KEY": KEY, "TINKER_BASE_URL": stage.served.url}
    stage.apply(
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "tinker"}, "stringData": secret},
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "loop"},
            "data": {"loop.py": PROGRAM.read_text()},
        },
    )
