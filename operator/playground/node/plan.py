"""What one cell is to run, as a file: `playground.node.node` writes it, the two programs of the cell read it.

The cell has a `/run`, a `/var/lib` and a `/var/log` of its own, all in the folder of the node, so every path in the
files for containerd and kubelet is short and the same on every machine.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from ipaddress import IPv4Network
from pathlib import Path

from playground.node.network import Network

CONTAINERD_SOCKET = "/run/containerd/containerd.sock"
SERVICE_PORT = 443


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the node keeps what, seen from the machine.

    Attributes:
        folder: Of the node, in the control plane's.
    """

    folder: Path

    @property
    def run(self) -> Path:
        """`/run` of the cell."""
        return self.folder / "run"

    @property
    def etc(self) -> Path:
        """Settings and certificates; `/run/etc` in the cell."""
        return self.run / "etc"

    @property
    def lib(self) -> Path:
        """`/var/lib` of the cell: images, containers, volumes."""
        return self.run / "lib"

    @property
    def log(self) -> Path:
        """`/var/log` of the cell: the logs of Pods."""
        return self.run / "log"

    @property
    def bin(self) -> Path:
        """`/run/bin` of the cell: kubelet."""
        return self.run / "bin"

    @property
    def plan(self) -> Path:
        """The plan itself."""
        return self.folder / "plan.json"

    @property
    def init(self) -> Path:
        """There once the cell is connected: the process id of its first process."""
        return self.folder / "init.pid"


@dataclass(frozen=True, slots=True)
class Plan:
    """One cell.

    Attributes:
        folder: Of the node.
        logs: Folder for the logs of containerd and kubelet.
        name: Of the node.
        link: Name of the machine's end of the link.
        subnet: Of machine, node and Pods.
        api_port: Of the API server, on loopback of the machine.
        service_address: Where Pods and kubelet reach the API server.
        cgroup: Name of the control groups of all containers.
        kubelet: Path of the program, no link.
        in_memory: Whether images and containers are kept in memory instead of on the disk.
        snapshotter: Of containerd: `overlayfs`, or `native` where overlays cannot be mounted.
        tools: Absolute paths of the machine's programs, by name.
    """

    folder: str
    logs: str
    name: str
    link: str
    subnet: str
    api_port: int
    service_address: str
    cgroup: str
    kubelet: str
    in_memory: bool
    tools: dict[str, str]
    snapshotter: str = "native"

    @property
    def layout(self) -> Layout:
        """Where the node keeps what."""
        return Layout(Path(self.folder))

    @property
    def network(self) -> Network:
        """The network of the node."""
        return Network(self.link, IPv4Network(self.subnet))

    def write(self) -> Path:
        """Write it where its layout says, and answer where."""
        self.layout.plan.write_text(json.dumps(asdict(self), indent=2))
        return self.layout.plan

    @classmethod
    def read(cls, path: Path) -> Plan:
        """Read what `write` has written."""
        return cls(**json.loads(path.read_text()))
