"""A real node for a control plane of ours: kubelet, kube-scheduler and containerd, so that Pods run.

    API server ── TLS, both ways ──> kubelet ──> containerd ──> Pods ──> host_address: what listens on this machine

containerd and kubelet run in a cell (`playground.node.cell`): namespaces of their own for processes, mounts, network
and host name. They share nothing with a containerd or kubelet that the machine may run, and nothing of them is left
when the cell ends. `tinker-playground up --node` and the test fixtures start it.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from playground.children import Child, see_running, stop_all
from playground.controlplane import ControlPlane
from playground.errors import ComponentFailed, KubectlFailed
from playground.kubeconfig import certificate_user, write_kubeconfig
from playground.node.alone import alone
from playground.node.archive import Image
from playground.node.images import pause_image
from playground.node.loading import load_image
from playground.node.network import Network, choose_subnet, used_subnets
from playground.node.plan import Plan
from playground.node.preparation import identify, lay_out, make_plan, mark_of
from playground.node.requirements import Machine, require_node
from playground.progress import Reporter, Silence, Step

_READY_SECONDS = 120.0
_STOP_SECONDS = 5.0
_REMOVE_SECONDS = 1.5
_POLL_SECONDS = 0.2


class Node:
    """One node of one running control plane. A context manager: entered is started, left is stopped.

    Args:
        control_plane: Running; the node lives in its folder, and is to be stopped before it.
        programs: Folder with kubelet and kube-scheduler, from `playground.node.programs`.
        name: Of the node.
        machine: What is known about this machine; by default it is looked at.
        monotonic: A clock for deadlines, in seconds.
        reporter: Told while `start` waits; by default nobody is.

    Attributes:
        name: As given.
        network: Its addresses, known once it is started.
    """

    def __init__(
        self,
        control_plane: ControlPlane,
        programs: Path,
        *,
        name: str = "playground",
        machine: Machine | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        reporter: Reporter | None = None,
    ) -> None:
        self.name = name
        self._control_plane, self._programs, self._machine = control_plane, programs.absolute(), machine
        self._monotonic = monotonic
        self._reporter: Reporter = reporter or Silence()
        self._children: list[Child] = []
        self._plan: Plan
        self.network: Network

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def host_address(self) -> str:
        """Address of this machine that Pods reach; a service that listens on it is theirs to call."""
        return self.network.host_address

    def start(self, seconds: float = _READY_SECONDS) -> None:
        """Start everything and return when the node is Ready and takes Pods.

        Args:
            seconds: How long that may take.

        Raises:
            BadSetting: This machine cannot be a node; everything that is missing is named.
            ComponentFailed: A component ended, or the node was not Ready in time.
        """
        machine = require_node(self._machine)
        try:
            with self._reporter.step("Starting the node") as step:
                self._start(machine, self._monotonic() + seconds, step)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End everything, the Pods with it, within ten seconds; logs stay to be looked at. Twice does nothing."""
        stop_all(self._children, _STOP_SECONDS)
        if self._children:  # else nothing was started, or it was removed before
            with suppress(subprocess.TimeoutExpired):  # what is left then goes at the next start in this folder
                subprocess.run(["rm", "-rf", self._plan.layout.lib], check=False, timeout=_REMOVE_SECONDS)  # noqa: S603, S607 -- our own folder
        self._children.clear()

    def check(self) -> None:
        """See that the node still runs.

        Raises:
            ComponentFailed: A component has died; the message ends with the tail of its log.
        """
        see_running(self._children)

    def load(self, image: Image) -> str:
        """Give the node an image, for Pods whose imagePullPolicy is Never or IfNotPresent; answer its name.

        Args:
            image: From `playground.node.images`. What the node has of it already is not read again.

        Raises:
            ComponentFailed: containerd does not take it.
        """
        return load_image(self._plan, image)

    def _start(self, machine: Machine, deadline: float, step: Step) -> None:
        with alone("network"):  # until the link is there for others to see
            self._prepare(machine)
            cell: list[str | Path] = [sys.executable, "-m", "playground.node.cell", self._plan.layout.plan]
            self._spawn("node", cell)
            self._await(self._plan.layout.init.exists, deadline, step)
        self._spawn("kube-scheduler", self._scheduler_command())
        self._await((self._plan.layout.run / "containerd" / "containerd.sock").exists, deadline, step)
        self.load(pause_image(self._plan.layout.folder))
        self._await(self._ready, deadline, step)

    def _prepare(self, machine: Machine) -> None:
        mark = mark_of(self._control_plane.folder)
        self.network = Network(f"tinker-{mark}", choose_subnet(used_subnets(machine.program("ip"))))
        self._plan = make_plan(self._control_plane, self.name, self._programs / "kubelet", machine, self.network)
        self._plan = lay_out(self._plan, machine)
        identify(self._plan, self._control_plane)

    def _scheduler_command(self) -> list[str | Path]:
        control_plane = self._control_plane
        identity = control_plane.authority.issue_client("scheduler", "system:kube-scheduler")
        path = control_plane.folder / "pki" / "scheduler.kubeconfig"
        write_kubeconfig(path, control_plane.url, control_plane.ca_pem, certificate_user(identity))
        flags = [f"--kubeconfig={path}", "--leader-elect=false", "--secure-port=0"]
        return [self._programs / "kube-scheduler", *flags]

    def _spawn(self, name: str, command: list[str | Path]) -> None:
        self._children.append(Child(name, command, self._control_plane.folder / "logs" / f"{name}.log"))

    def _ready(self) -> bool:
        try:
            node: dict[str, Any] = self._control_plane.kubectl.json("get", "node", self.name)
        except KubectlFailed:  # it has not made itself known yet
            return False
        ready = any(each["type"] == "Ready" and each["status"] == "True" for each in node["status"]["conditions"])
        return ready and not node["spec"].get("taints")

    def _await(self, condition: Callable[[], bool], deadline: float, step: Step) -> None:
        while not condition():
            self.check()
            if self._monotonic() >= deadline:
                logs = self._control_plane.folder / "logs"
                message = f"The node is not Ready in time; {logs} has the logs of node, containerd and kubelet."
                raise ComponentFailed(message, "Give it more time, or a machine with less to do.")
            step.advance(0)
            time.sleep(_POLL_SECONDS)
