"""A node that ends leaves nothing on the machine: no process, no mount, no link, no control group."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from tests.node.pods import pod, pod_spec
from tests.node_fixtures import NodeGear

from playground.children import wait_until
from playground.controlplane import ControlPlane
from playground.errors import ComponentFailed
from playground.kubectl import Kubectl
from playground.node import cgroups
from playground.node.node import Node
from playground.node.preparation import mark_of

pytestmark = pytest.mark.node

PROGRAM = Path(sys.executable).with_name("tinker-playground")
STOP_SECONDS = 10
HOSTILE = os.environ | {"HTTPS_PROXY": "http://127.0.0.1:1"}  # set for other purposes; nothing here goes through it
SLEEP = "import time; time.sleep(600)"


def processes(folder: Path) -> list[str]:
    """The command lines that name the folder."""
    lines = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
    return [line for line in lines if str(folder) in line]


def links() -> set[str]:
    answer = subprocess.run(["ip", "-json", "link"], capture_output=True, check=True)
    return {link["ifname"] for link in json.loads(answer.stdout) if link["ifname"].startswith("tinker-")}


def groups() -> set[str]:
    # os.walk passes over what goes away meanwhile, like the groups of another node.
    every = (name for _, names, _ in os.walk(cgroups.CGROUPS) for name in names)
    return {name for name in every if name.startswith(cgroups.PREFIX)}


def traces(folder: Path) -> tuple[bool, bool]:
    """Whether a link and a control group of that folder's node are there. Other nodes come and go meanwhile."""
    mark = mark_of(folder)
    return f"tinker-{mark}" in links(), f"{cgroups.PREFIX}{mark}" in groups()


def run_pod(kubectl: Kubectl) -> None:
    kubectl.apply(pod("default", pod_spec(SLEEP)))
    kubectl("wait", "--for=condition=Ready", "pod/one", "--timeout=60s")


def inside(folder: Path) -> list[psutil.Process]:
    """Everything that runs in the cell: init, containerd, kubelet, shims, Pods."""
    init = psutil.Process(int((folder / "node" / "init.pid").read_text()))
    return [init, *init.children(recursive=True)]


def gone(running: list[psutil.Process]) -> bool:
    return not any(process.is_running() for process in running)


def test_stop_leaves_nothing(node_gear: NodeGear, tmp_path: Path) -> None:
    """With a Pod running, `stop` ends everything within ten seconds; mounts were never seen outside."""
    with ControlPlane(tmp_path / "d", node_gear.binaries) as plane, Node(plane, node_gear.programs) as node:
        node.load(node_gear.python)
        run_pod(plane.kubectl)
        running = inside(plane.folder)
        assert len(running) > 5
        assert traces(plane.folder) == (True, True)
        assert str(plane.folder) not in Path("/proc/mounts").read_text()

        node.stop()

        assert gone(running)
        assert traces(plane.folder) == (False, False)
        assert not processes(plane.folder / "node")
        node.stop()  # twice does nothing


def test_a_killed_owner_takes_its_node_along(node_gear: NodeGear, tmp_path: Path) -> None:
    """`up --node` prints its one line when Pods can run; after kill -9 everything ends by itself."""
    folder = tmp_path / "d"
    command: list[str | Path] = [PROGRAM, "up", "--dir", folder, "--node"]
    program = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=HOSTILE)
    try:
        assert program.stdout is not None
        assert program.stdout.readline() == f"{folder / 'kubeconfig'}\n"
        loaded = subprocess.run(
            [PROGRAM, "load", "--dir", folder, "python"], capture_output=True, text=True, check=True
        )
        assert loaded.stdout == f"{node_gear.python.name}\n"
        kubectl = Kubectl(folder / "bin" / "kubectl", folder / "kubeconfig")
        run_pod(kubectl)
        assert kubectl("exec", "one", "--", "python", "-c", "print(1)").stdout == "1\n"
        running = inside(folder)
        assert traces(folder) == (True, True)

        program.kill()

        assert wait_until(lambda: gone(running), STOP_SECONDS)
        assert wait_until(lambda: traces(folder) == (False, False), STOP_SECONDS)
    finally:
        program.kill()
        program.communicate()


@pytest.mark.usefixtures("node_gear")
def test_it_ends_cleanly_when_asked(tmp_path: Path) -> None:
    """SIGTERM ends `up --node` with exit 0 within ten seconds, Pods and all."""
    folder = tmp_path / "d"
    command: list[str | Path] = [PROGRAM, "up", "--dir", folder, "--node"]
    program = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert program.stdout is not None
        assert program.stdout.readline() == f"{folder / 'kubeconfig'}\n"
        running = inside(folder)

        program.terminate()
        _, stderr = program.communicate(timeout=STOP_SECONDS)

        assert program.returncode == 0
        assert "Pods run on node playground; they reach this machine at 10." in stderr
        assert gone(running)
    finally:
        program.kill()
        program.communicate()


def test_what_nobody_could_tidy_goes_at_the_next_start(node_gear: NodeGear, tmp_path: Path) -> None:
    """Owner and keeper killed at once leave control groups; the next node in that folder is clean, and runs Pods."""
    with ControlPlane(tmp_path / "d", node_gear.binaries) as plane:
        first = Node(plane, node_gear.programs)
        first.start()
        first.load(node_gear.python)
        run_pod(plane.kubectl)
        running = inside(plane.folder)
        left = first.network.link

        os.killpg(first._children[0].pid, signal.SIGKILL)

        assert wait_until(lambda: gone(running), STOP_SECONDS)
        with pytest.raises(ComponentFailed, match="node ended with status 137"):
            first.check()
        first.stop()
        plane.kubectl("delete", "pod", "one", "--force", "--grace-period=0")
        with Node(plane, node_gear.programs) as second:
            second.load(node_gear.python)
            run_pod(plane.kubectl)
            assert second.network.link == left
        assert traces(plane.folder) == (False, False)


def test_two_nodes_share_nothing(node: Node, node_gear: NodeGear, tmp_path: Path) -> None:
    """A second node beside a running one has another network, and its end does not touch the first."""
    with ControlPlane(tmp_path / "d", node_gear.binaries) as plane, Node(plane, node_gear.programs) as second:
        assert not second.network.subnet.overlaps(node.network.subnet)
    node.check()


def test_a_node_without_its_containerd_has_failed(node_gear: NodeGear, tmp_path: Path) -> None:
    """When containerd dies the node is over, and says so with what containerd said last."""
    with ControlPlane(tmp_path / "d", node_gear.binaries) as plane, Node(plane, node_gear.programs) as node:
        next(process for process in inside(plane.folder) if process.name() == "containerd").kill()

        def failed() -> bool:
            try:
                node.check()
            except ComponentFailed as error:
                return "containerd ended: -9" in error.message
            return False

        assert wait_until(failed, STOP_SECONDS)
