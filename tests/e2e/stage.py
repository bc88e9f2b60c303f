"""The stage of an end-to-end test: a simulator, the operator under its own rights, and kubectl, each a process."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
from tests.deploy.argocd import as_kstatus, health
from tests.simulator.bare import KEYS, Served, Wire

from playground.kubectl import Kubectl

KEY = KEYS[0]
GROUP = "tinker-operator.dev"
DEADLINE_SECONDS = 45.0
T = TypeVar("T")
REST_POLLS = 8
"""So many polls, a second each, are longer than the five seconds between two passes of a policy."""


def wait_for(look: Callable[[], T], what: str, seconds: float = DEADLINE_SECONDS) -> T:
    """Returns the first answer that is true; fails with what never came and what was seen instead."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not (found := look()):
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds:g} s: {what}; the last look gave {found!r}")
        pause.wait(0.1)
    return found


@dataclass
class Operator:
    """The operator as a process of its own, watching one namespace with the rights that deploy/ grants."""

    kubeconfig: Path
    namespace: str
    url: str
    log: Path
    key: str | None = KEY
    arguments: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [*self.command(), *self.options()]
        environ = {name: value for name, value in os.environ.items() if not name.startswith("TINKER")}
        environ |= {"TINKER_BASE_URL": self.url} | ({"TINKER_API_KEY": self.key} if self.key else {})
        before = self._starts()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([*command, *self.arguments], env=environ, stdout=log, stderr=log)
        wait_for(lambda: self._starts() > before, "the operator to start")

    def command(self) -> list[str]:
        """Returns what is started, before its options."""
        return [sys.executable, "-m", "tinker_operator.cli", "run"]

    def options(self) -> list[str]:
        """Returns how it is told what to watch, and as whom."""
        return ["--kubeconfig", str(self.kubeconfig), "--namespace", self.namespace, "--cluster-id", "test"]

    def _starts(self) -> int:
        return self.log.read_text().count("operator_started") if self.log.exists() else 0

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Sends a signal and returns the exit status, which must come within ten seconds."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(timeout=10)

    def close(self) -> None:
        """Ends it, and fails if its log shows a key or a traceback."""
        if self.process is not None and self.process.poll() is None:
            assert self.end() == 0
        told = self.log.read_text() if self.log.exists() else ""
        assert not [key for key in (*KEYS, "tml-wrong-key") if f'"{key}"' in told or f" {key} " in told]
        assert "Traceback" not in told, told[-4000:]


@dataclass
class Stage:
    """One test's world.

    Attributes:
        kubectl: The real kubectl, as administrator.
        namespace: The test's own namespace.
        served: The simulator's process.
        wire: The loop's view of the simulator: trains and saves on the bare wire.
        operator: The operator's process.
    """

    kubectl: Kubectl
    namespace: str
    served: Served
    wire: Wire
    operator: Operator
    names: list[str] = field(default_factory=list)

    def apply(self, *manifests: Mapping[str, Any]) -> None:
        """Applies manifests as a user does."""
        items = {"apiVersion": "v1", "kind": "List", "items": list(manifests)}
        self.kubectl("apply", "--namespace", self.namespace, "-f", "-", stdin=json.dumps(items))

    def training_run(self, spec: Mapping[str, Any], name: str = "sft", **metadata: Any) -> dict[str, Any]:
        """Returns a TrainingRun that is polled every second and recovered, changed as asked."""
        merged = {"pollIntervalSeconds": 1, "recovery": {"enabled": True, "backoffSeconds": 1}, **spec}
        return {
            "apiVersion": f"{GROUP}/v1alpha1",
            "kind": "TrainingRun",
            "metadata": {"name": name, **metadata},
            "spec": merged,
        }

    def policy(self, retention: Mapping[str, Any], name: str = "keep", labels: Any = None) -> dict[str, Any]:
        """Returns a CheckpointPolicy over TrainingRuns with these labels, all by default."""
        return {
            "apiVersion": f"{GROUP}/v1alpha1",
            "kind": "CheckpointPolicy",
            "metadata": {"name": name},
            "spec": {"selector": {"matchLabels": labels or {}}, "retention": retention},
        }

    def get(self, kind: str, name: str) -> dict[str, Any]:
        """Returns an object as kubectl shows it."""
        found: dict[str, Any] = self.kubectl.json(
            "get", kind, name, "--show-managed-fields", "--namespace", self.namespace
        )
        if found["kind"] in {"TrainingRun", "CheckpointPolicy"}:
            assert health(found["kind"], found)[0] == as_kstatus(found), "Argo CD shows something else than kstatus"
        return found

    def patch_status(self, kind: str, name: str, patch: Mapping[str, Any]) -> None:
        """Writes a status as the component does that owns it."""
        given = ("--subresource=status", "--type=merge", "-p", json.dumps(patch))
        self.kubectl("patch", kind, name, *given, "--namespace", self.namespace)

    def status(self, name: str = "sft", kind: str = "trainingrun") -> dict[str, Any]:
        """Returns an object's status."""
        status: dict[str, Any] = self.get(kind, name).get("status", {})
        return status

    def condition(self, kind: str, name: str = "sft", of: str = "trainingrun") -> dict[str, Any]:
        """Returns a condition, {} while it is not there."""
        conditions = self.status(name, of).get("conditions", [])
        return next((one for one in conditions if one["type"] == kind), {})

    def wait_condition(
        self, kind: str, status: str, reason: str | None = None, name: str = "sft", of: str = "trainingrun"
    ) -> dict[str, Any]:
        """Waits until a condition has this status, and this reason, and returns it."""

        def look() -> dict[str, Any]:
            found = self.condition(kind, name, of)
            return found if found.get("status") == status and reason in {None, found.get("reason")} else {}

        try:
            return wait_for(look, f"{of} {name}: {kind}={status} {reason or ''}")
        except pytest.fail.Exception as error:
            raise AssertionError(f"{error}\n{json.dumps(self.status(name, of), indent=1)}") from None

    def wait_ready(self, name: str = "sft", of: str = "trainingrun") -> None:
        """Waits until the object is Ready for its present generation."""
        self.wait_condition("Ready", "True", name=name, of=of)

    def trained_run(self, checkpoints: int = 3) -> tuple[str, list[str]]:
        """Returns a run that trained and saved, with the paths of its checkpoints, oldest first."""
        run = self.wire.run()
        return run, [self.save(run, step) for step in range(1, checkpoints + 1)]

    def save(self, run: str, step: int) -> str:
        """Takes a step and saves, as a training loop does; returns the path."""
        loss = self.wire.train(run)[0]
        return self.wire.saved(run, f"step-{step}", user_metadata={"step": str(step), "loss": f"{loss:.3f}"})

    def corrupt(self, run: str) -> None:
        """Flags a run as corrupted."""
        self.wire.order("corrupt", {"run": run})

    def break_checkpoint(self, path: str, how: str = "truncate") -> None:
        """Breaks a checkpoint behind its listing."""
        self.wire.order("break-checkpoint", {"path": path, "how": how})

    def sound(self) -> None:
        """Ends every fault."""
        assert self.wire.http.delete("/_simulator/faults").status_code == 200

    def remote_runs(self) -> list[dict[str, Any]]:
        """Returns every run of the owner, as the service lists it."""
        runs: list[dict[str, Any]] = self.wire.get("training_runs", limit=500).json()["training_runs"]
        return runs

    def remote_checkpoints(self, run: str) -> list[str]:
        """Returns the paths of a run's training checkpoints."""
        listed = self.wire.get(f"training_runs/{run}/checkpoints").json()["checkpoints"]
        return sorted(one["tinker_path"] for one in listed if one["checkpoint_type"] == "training")

    def calls(self, route: str) -> int:
        """Returns how often the service was called on routes that contain this text."""
        return sum(count for name, count in self.wire.calls()["counts"].items() if route in name)

    def wait_polls(self, count: int = 3) -> None:
        """Waits until the operator has looked at the service so many times more."""
        before = self.calls("GET /api/v1/training_runs")
        wait_for(lambda: self.calls("GET /api/v1/training_runs") >= before + count, f"{count} polls")

    def versions(self, *objects: tuple[str, str]) -> list[str]:
        """Returns the resource versions of the objects, each by kind and name."""
        return [self.get(*each)["metadata"]["resourceVersion"] for each in objects]

    def check_rest(self, *objects: tuple[str, str], polls: int = 4) -> list[str]:
        """Lets the operator tell what is still to be told; then nothing may be written. Returns the versions."""

        def settled() -> bool:
            before = self.versions(*objects)
            self.wait_polls(REST_POLLS)
            return self.versions(*objects) == before

        wait_for(settled, f"an operator that writes nothing for {REST_POLLS} polls", 4 * DEADLINE_SECONDS)
        before = self.versions(*objects)
        self.wait_polls(polls)
        assert self.versions(*objects) == before, "nothing is written at rest"
        return before

    def hand_over(self, name: str = "sft") -> dict[str, Any]:
        """Returns the hand-over document."""
        config_map = self.get("configmap", f"{name}-handover")
        document: dict[str, Any] = json.loads(config_map["data"]["handover.json"])
        return document

    def events(self, name: str = "sft") -> list[str]:
        """Returns the reasons of an object's events, oldest first."""
        items = self.kubectl.json("get", "events.events.k8s.io", "--namespace", self.namespace)["items"]
        mine = [one for one in items if one["regarding"]["name"] == name]
        return [one["reason"] for one in sorted(mine, key=lambda one: one["eventTime"])]
