"""Keeps one cell: makes its namespaces and its link, relays its calls to the API server, and tidies up after it.

    python -m playground.node.cell PLAN

`playground.node.node` starts it as a `playground.children.Child`, so it outlives a kill -9 of its owner just long
enough to end the cell and to remove its control groups, the one thing that the kernel does not remove by itself. Files
stay, for the next start in that folder to clear.

    owner ── keeper ──> cell ── death signal ──> unshare ── death signal ──> inside ──> containerd, kubelet, Pods
"""

from __future__ import annotations

import asyncio
import ctypes
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from playground.node import cgroups
from playground.node.alone import alone
from playground.node.inside import LINK, READY
from playground.node.plan import Plan
from playground.node.relay import Relay
from playground.node.requirements import NAMESPACES

_PR_SET_CHILD_SUBREAPER = 36
_END_SECONDS = 3.0
_FAILED = 1


def main(arguments: Sequence[str]) -> int:
    """Keep the cell until SIGTERM (exit 0) or until it ends by itself (exit 1).

    Args:
        arguments: Path of the plan.
    """
    plan = Plan.read(Path(arguments[0]))
    # The first process of the cell outlives unshare by a moment. The machine's own init may collect orphans every few
    # seconds only, or never in a container, and until then it is not gone; so it becomes a child of this program.
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1)
    with alone(plan.link):  # an earlier cell of this folder may still be ending, and has the same names
        sweep(plan)  # of one that was killed together with its keeper
        return asyncio.run(_keep(plan, Cell(plan)))  # made in this thread: its death signal is the end of the thread


async def _keep(plan: Plan, cell: Cell) -> int:
    ending = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, ending.set)
    try:
        return await _until_end(cell, plan, ending)
    finally:
        cell.end()


async def _until_end(cell: Cell, plan: Plan, ending: asyncio.Event) -> int:
    asked = asyncio.create_task(ending.wait())
    ended = asyncio.create_task(asyncio.to_thread(cell.process.wait))
    work = asyncio.create_task(_serve(cell, plan))
    await asyncio.wait([asked, ended, work], return_when=asyncio.FIRST_COMPLETED)
    if work.done():
        work.result()
    work.cancel()
    return 0 if asked.done() else _FAILED


async def _serve(cell: Cell, plan: Plan) -> None:
    listener = await asyncio.to_thread(cell.connect)
    plan.layout.init.write_text(str(cell.init))
    await Relay(listener, plan.api_port).serve()


class Cell:
    """The namespaces, from outside.

    Args:
        plan: What runs in them; they are made at once.

    Attributes:
        process: The program that has made them, and ends with them.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        tools, descriptor = plan.tools, str(theirs.fileno())
        inside = [sys.executable, "-m", "playground.node.inside", str(plan.layout.plan), descriptor]
        dying = [tools["setpriv"], "--pdeathsig", "KILL", tools["unshare"], *NAMESPACES]
        command = [*dying, "--fork", "--kill-child", "--mount-proc", "--propagation", "private", "--", *inside]
        with theirs:
            self.process = subprocess.Popen(command, pass_fds=(theirs.fileno(),), stdin=subprocess.DEVNULL)  # noqa: S603

    @property
    def init(self) -> int:
        """Process id of the first process, seen from the machine."""
        return psutil.Process(self.process.pid).children()[0].pid

    def connect(self) -> socket.socket:
        """Connect the cell with the machine, and answer the socket on which it takes calls for the API server.

        Raises:
            RuntimeError: The cell has ended before.
        """
        if self._channel.recv(1) != READY:
            raise RuntimeError("the cell did not come up")
        ip, network = self._plan.tools["ip"], self._plan.network
        peer = ["peer", "name", LINK, "netns", str(self.process.pid)]
        _run(ip, "link", "add", network.link, "type", "veth", *peer)
        _run(ip, "address", "add", network.with_prefix(network.host_address), "dev", network.link)
        _run(ip, "link", "set", network.link, "up")
        self._channel.send(READY)
        _, descriptors, _, _ = socket.recv_fds(self._channel, 1, 1)
        if not descriptors:
            raise RuntimeError("the cell could not be furnished")
        return socket.socket(fileno=descriptors[0])

    def end(self) -> None:
        """End every process of the cell, and remove what is left of it but files."""
        first: list[psutil.Process] = []
        with suppress(psutil.NoSuchProcess):
            first = psutil.Process(self.process.pid).children()
        self.process.kill()
        self.process.wait()  # from here on its child is ours to wait for
        psutil.wait_procs(first, _END_SECONDS)  # it ends when it has taken in every other process of the cell
        sweep(self._plan)
        self._plan.layout.init.unlink(missing_ok=True)


def sweep(plan: Plan) -> None:
    """Remove what an ended cell may leave to the machine: its link and its control groups."""
    # The kernel removes the link as well, but in its own time.
    command = [plan.tools["ip"], "link", "delete", plan.link]
    subprocess.run(command, check=False, capture_output=True)  # noqa: S603 -- the machine's own iproute2
    cgroups.remove(plan.cgroup, _END_SECONDS)


def _run(*command: str) -> None:
    subprocess.run(command, check=True)  # noqa: S603 -- the machine's own programs, found beforehand


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
