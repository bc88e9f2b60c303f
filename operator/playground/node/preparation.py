"""Writes everything that one cell reads: folders, settings, certificates, the plan.

`playground.node.node` calls it before it starts the cell.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import psutil

from playground.controlplane import ControlPlane
from playground.kubeconfig import certificate_user, write_kubeconfig
from playground.node.cgroups import PREFIX
from playground.node.files import containerd_settings, kubelet_settings, pod_network
from playground.node.network import Network
from playground.node.plan import SERVICE_PORT, Plan
from playground.node.requirements import Machine
from playground.settings import SERVICE_ADDRESS

_MEMORY_BYTES = 4_000_000_000  # images unpack several times faster there, and are gone at once
_TOOLS = ("containerd", "ctr", "ip", "mount", "nsenter", "setpriv", "unshare")
_MARK_LENGTH = 8  # the name of a network link has 15 characters at most


def mark_of(folder: Path) -> str:
    """What names of the machine carry that belong to the node of one folder, so that its next start finds them."""
    return hashlib.sha256(bytes(folder)).hexdigest()[:_MARK_LENGTH]


def make_plan(control_plane: ControlPlane, name: str, kubelet: Path, machine: Machine, network: Network) -> Plan:
    """Plan the cell of a node.

    Args:
        control_plane: Running; the node lives in its folder.
        name: Of the node.
        kubelet: The program; links are followed.
        machine: What is known about this machine.
        network: Of the node.
    """
    folder = control_plane.folder
    return Plan(
        folder=str(folder / "node"),
        logs=str(folder / "logs"),
        name=name,
        link=network.link,
        subnet=str(network.subnet),
        api_port=control_plane.ports.api_server,
        service_address=SERVICE_ADDRESS,
        cgroup=f"{PREFIX}{mark_of(folder)}",
        kubelet=str(kubelet.resolve()),
        in_memory=psutil.virtual_memory().available >= _MEMORY_BYTES,
        tools={tool: machine.program(tool) for tool in _TOOLS},
    )


def lay_out(plan: Plan, machine: Machine) -> Plan:
    """Make the folders and settings of a cell anew, and answer the plan as it was written there."""
    layout = plan.layout
    shutil.rmtree(layout.folder, ignore_errors=True)
    folders = (layout.etc / "cni", layout.lib / "containerd", layout.log, layout.bin, layout.run / "kernel")
    for folder in (*folders, layout.run / "tmp"):
        folder.mkdir(parents=True)
    (layout.bin / "kubelet").touch()  # the real one is mounted over it
    final = replace(plan, snapshotter="overlayfs" if _overlays(plan) else "native")
    settings = containerd_settings(machine.plugins or Path(), machine.program("runc"), final.snapshotter)
    (layout.etc / "containerd.toml").write_text(settings)
    (layout.etc / "cni" / "10-pods.conflist").write_text(pod_network(plan.network))
    (layout.etc / "kubelet.yaml").write_text(kubelet_settings(plan.network, plan.cgroup))
    final.write()
    return final


def identify(plan: Plan, control_plane: ControlPlane) -> None:
    """Give the kubelet what it proves and checks identities with.

    Args:
        plan: Of the cell, laid out.
        control_plane: Whose authority signs.
    """
    etc, authority = plan.layout.etc, control_plane.authority
    url = f"https://{SERVICE_ADDRESS}:{SERVICE_PORT}"
    client = authority.issue_client("kubelet", f"system:node:{plan.name}", ("system:nodes",))
    write_kubeconfig(etc / "kubelet.kubeconfig", url, control_plane.ca_pem, certificate_user(client))
    server = authority.issue_server("kubelet-server", addresses=(plan.network.node_address,))
    shutil.copy(server.certificate, etc)
    shutil.copy(server.key, etc)
    (etc / "ca.crt").write_text(control_plane.ca_pem)


def _overlays(plan: Plan) -> bool:
    """Try whether overlays can be mounted in the folder of the node; the mount ends with its namespace."""
    folders = [plan.layout.folder / "overlay" / name for name in ("lower", "upper", "work", "merged")]
    for folder in folders:
        folder.mkdir(parents=True)
    lower, upper, work, merged = map(str, folders)
    options = f"lowerdir={lower},upperdir={upper},workdir={work}"
    alone = [plan.tools["unshare"], "--mount", "--propagation=private"]
    mount = [plan.tools["mount"], "-t", "overlay", "overlay", "-o", options, merged]
    tried = subprocess.run([*alone, *mount], capture_output=True, check=False, timeout=30)  # noqa: S603 -- of this machine
    shutil.rmtree(plan.layout.folder / "overlay")
    return tried.returncode == 0
