"""The first process of a cell: it furnishes the cell, starts containerd and kubelet, and takes in their orphans.

    python -m playground.node.inside PLAN CHANNEL

`playground.node.cell` starts it in mount, process, network, host name and IPC namespaces of its own. When it ends, the
kernel ends every process of the cell, and with the last one go the mounts and network interfaces. All that it needs is
imported before it hides folders of the machine.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from playground.node import cgroups
from playground.node.network import BRIDGE
from playground.node.plan import CONTAINERD_SOCKET, SERVICE_PORT, Plan

READY = b"r"
LINK = "eth0"
_SOCKET_SECONDS = 60.0
_POLL_SECONDS = 0.05
_TAIL_BYTES = 4_000
# The kubelet sets these for the whole machine unless it finds them set; in the cell it finds them so.
_KERNEL_SETTINGS = {
    "vm/overcommit_memory": 1,
    "vm/panic_on_oom": 0,
    "kernel/panic": 10,
    "kernel/panic_on_oops": 1,
    "kernel/keys/root_maxkeys": 1_000_000,
    "kernel/keys/root_maxbytes": 25_000_000,
}


def main(arguments: Sequence[str]) -> int:
    """Furnish the cell and stay until containerd or kubelet ends, which is a failure.

    Args:
        arguments: Path of the plan, descriptor of the channel to `playground.node.cell`.
    """
    plan, channel = Plan.read(Path(arguments[0])), socket.socket(fileno=int(arguments[1]))
    services = Services(Path(plan.logs))
    channel.send(READY)
    if channel.recv(1) != READY:  # the link is there
        return 1
    furnish(plan)
    with socket.create_server((plan.service_address, SERVICE_PORT)) as listener:
        socket.send_fds(channel, [READY], [listener.fileno()])
    channel.close()
    return services.run(plan)


def furnish(plan: Plan) -> None:
    """Give the cell its own folders, host name and network."""
    layout, mount = plan.layout, plan.tools["mount"]
    _masks(mount, layout.run / "kernel")
    _run(mount, "--bind", plan.kubelet, str(layout.bin / "kubelet"))
    _run(mount, "--rbind", str(layout.run), "/run")
    _run(mount, "--bind", "/run/lib", "/var/lib")
    _run(mount, "--bind", "/run/log", "/var/log")
    if plan.in_memory:
        _run(mount, "-t", "tmpfs", "tmpfs", "/var/lib/containerd")
    _run(mount, "--make-rshared", "/")  # within the cell: Pods may ask for mounts that propagate
    socket.sethostname(plan.name)
    _connect(plan)
    cgroups.make(plan.cgroup)


def _masks(mount: str, folder: Path) -> None:
    for name, value in _KERNEL_SETTINGS.items():
        mask = folder / name.replace("/", "-")
        mask.write_text(f"{value}\n")
        _run(mount, "--bind", str(mask), f"/proc/sys/{name}")


def _connect(plan: Plan) -> None:
    ip, network = plan.tools["ip"], plan.network
    _run(ip, "link", "set", "lo", "up")
    _run(ip, "link", "add", BRIDGE, "type", "bridge")
    _run(ip, "link", "set", LINK, "master", BRIDGE, "up")
    _run(ip, "link", "set", BRIDGE, "up")
    _run(ip, "address", "add", network.with_prefix(network.node_address), "dev", BRIDGE)
    _run(ip, "address", "add", f"{plan.service_address}/32", "dev", BRIDGE)
    _run(ip, "route", "add", "default", "via", network.host_address)


def _run(*command: str) -> None:
    subprocess.run(command, check=True)  # noqa: S603 -- the machine's own programs, found beforehand


class Services:
    """containerd and kubelet, children of the first process.

    Args:
        logs: Folder for their logs; it may be out of sight once the cell is furnished, so they are opened before.
    """

    def __init__(self, logs: Path) -> None:
        self._logs = {name: (logs / f"{name}.log").open("a+b") for name in ("containerd", "kubelet")}
        self._names: dict[int, str] = {}

    def run(self, plan: Plan) -> int:
        """Start both, and return when the first has ended; say which, and how its log ends."""
        self._start("containerd", [plan.tools["containerd"], "--config", "/run/etc/containerd.toml"])
        self._await_containerd()
        self._start("kubelet", kubelet_command(plan))
        while True:
            self._reap(*os.wait())

    def _start(self, name: str, command: Sequence[str]) -> None:
        # No proxy of the machine is to be reached from the cell, nor meant for what is in it.
        environ = {key: value for key, value in os.environ.items() if not key.upper().endswith("_PROXY")}
        environ["TMPDIR"] = "/run/tmp"
        log = self._logs[name]
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environ)  # noqa: S603 -- as above
        self._names[child.pid] = name

    def _await_containerd(self) -> None:
        deadline = time.monotonic() + _SOCKET_SECONDS
        while not Path(CONTAINERD_SOCKET).exists():
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid:
                self._reap(pid, status)
            if time.monotonic() >= deadline:
                sys.exit(f"containerd opened no socket in {_SOCKET_SECONDS:g} s.")
            time.sleep(_POLL_SECONDS)

    def _reap(self, pid: int, status: int) -> None:
        """Pass over an orphan; end the cell when it was one of the two."""
        name = self._names.get(pid)
        if name is not None:
            log = self._logs[name]
            log.seek(max(0, log.seek(0, os.SEEK_END) - _TAIL_BYTES))
            sys.exit(f"{log.read().decode(errors='replace')}\n{name} ended: {os.waitstatus_to_exitcode(status)}.")


def kubelet_command(plan: Plan) -> list[str]:
    """The command line of the kubelet; all else is in its settings."""
    return [
        "/run/bin/kubelet",
        "--config=/run/etc/kubelet.yaml",
        "--kubeconfig=/run/etc/kubelet.kubeconfig",
        f"--hostname-override={plan.name}",
        f"--node-ip={plan.network.node_address}",
        "--cert-dir=/run/etc",
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
