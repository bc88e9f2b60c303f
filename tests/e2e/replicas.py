"""Several operators at one API server, which are killed, frozen and replaced, and what each wrote and when.

Each has a way of its own to the API server and to the service, on which every request that is not a read is noted.
"""

import asyncio
import signal
import ssl
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.e2e.conftest import ACCOUNT
from tests.e2e.proxy import Exchange, Fault, Proxy, Request, proxied, underworld
from tests.e2e.stage import Operator, Stage, wait_for
from tests.e2e.trouble import certificate

from playground.controlplane import ControlPlane
from playground.kubeconfig import token_user, write_kubeconfig

LEASE = "tinker-operator"
HARMLESS = ("/leases", "/selfsubjectaccessreviews", "/session_heartbeat")
"""What a process may write that does not lead. A heartbeat that was frozen halfway keeps alive what its successor, too,
keeps alive; there are so many of them that one is met in the middle."""
READS = {"GET", "HEAD"}


@dataclass(frozen=True, slots=True)
class Written:
    """A request that is no read.

    Attributes:
        at: When it came, in monotonic seconds.
        method: HTTP method.
        target: Path and query.
    """

    at: float
    method: str
    target: str


@dataclass
class Replica(Operator):
    """An operator that is one of several.

    Attributes:
        watches_late: Seconds by which what it watches comes late.
        written: What it wrote, in order, over all its lives; what is harmless left out.
        broke_the_law: What it wrote after it had lost its claim, without knowing.
    """

    watches_late: float = 0.0
    written: list[Written] = field(default_factory=list)
    broke_the_law: list[Written] = field(default_factory=list)

    def command(self) -> list[str]:
        return [sys.executable, "-m", "tests.e2e.hasty_operator", "run"]

    @property
    def pid(self) -> int:
        """Of its present life; -1 when there is none."""
        alive = self.process is not None and self.process.poll() is None
        return self.process.pid if alive and self.process is not None else -1

    def note(self, request: Request, _rng: Random) -> Fault | None:
        """Notes a request that passes."""
        if request.method not in READS and not any(part in request.target for part in HARMLESS):
            self.written.append(Written(time.monotonic(), request.method, request.target))
        return Fault("late", self._late) if self.watches_late and is_watch(request) else None

    async def _late(self, exchange: Exchange) -> None:
        """Passes on what comes, each part so many seconds after it came."""
        write, now = exchange.write, asyncio.get_running_loop().time
        waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def kept(content: bytes) -> None:
            waiting.put_nowait((now() + self.watches_late, content))

        async def delivered() -> None:
            while True:
                due, content = await waiting.get()
                await asyncio.sleep(due - now())
                await write(content)

        vars(exchange)["write"] = kept
        delivering = asyncio.create_task(delivered())
        try:
            await exchange.pass_on()
        finally:
            delivering.cancel()

    def kill(self) -> None:
        """Ends it where it stands."""
        self.end(signal.SIGKILL)

    def close(self) -> None:
        """Ends it, also where it is frozen, because a test failed meanwhile."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
        super().close()

    def freeze(self) -> None:
        """Stops it where it stands, to be continued there."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> int:
        """Continues it, waits until it ends by itself, and returns its exit status. What it wrote is kept as proof."""
        assert self.process is not None
        woken_at = time.monotonic()
        self.process.send_signal(signal.SIGCONT)
        status = self.process.wait(timeout=20)
        self.broke_the_law += [one for one in self.written if one.at > woken_at]
        return status


def is_watch(request: Request) -> bool:
    """Tells a watch of ours from all else."""
    return "watch=true" in request.target


def holder(stage: Stage, lease: str = LEASE) -> str:
    """Returns who holds a Lease; empty for nobody."""
    found = stage.kubectl.json("get", "leases", "--namespace", stage.namespace)["items"]
    holders = [one["spec"].get("holderIdentity") or "" for one in found if one["metadata"]["name"] == lease]
    return holders[0] if holders else ""


def leader(stage: Stage, replicas: list[Replica]) -> Replica | None:
    """Returns the replica that the Lease names and that lives."""
    pid = holder(stage).rsplit("_", 2)[-2:-1]
    return next((one for one in replicas if pid == [str(one.pid)]), None)


def another_leads(stage: Stage, former: str) -> str:
    """Waits until somebody else holds the Lease, and returns who."""
    return wait_for(lambda: {holder(stage)} - {former, ""}, "another leader").pop()


@contextmanager
def replicas_of(
    stage: Stage, plane: ControlPlane, folder: Path, arguments: Sequence[tuple[str, ...]]
) -> Iterator[list[Replica]]:
    """Makes replicas that may be elected in the stage's own namespace; none of them is started.

    Args:
        stage: Where; its own operator does not run.
        plane: Its control plane.
        folder: For what they need.
        arguments: Of each replica.
    """
    where = f"--namespace={stage.namespace}"
    stage.kubectl("create", "role", "lease", "--verb=get,create,update", "--resource=leases", where)
    stage.kubectl("create", "rolebinding", "lease", "--role=lease", f"--serviceaccount={ACCOUNT}:{ACCOUNT}", where)
    token = plane.kubectl("create", "token", ACCOUNT, f"--namespace={ACCOUNT}", "--duration=86400s").stdout.strip()
    trust = ssl.create_default_context(cadata=plane.ca_pem)
    with ExitStack() as ending:
        below = ending.enter_context(underworld())
        shown, made = certificate(folder, "proxy", "127.0.0.1"), []
        for number, own in enumerate(arguments):
            log = folder / f"replica-{number}.log"
            one = Replica(Path(), stage.namespace, "", log, arguments=(*own, f"--lease-namespace={stage.namespace}"))
            cluster = ending.enter_context(proxied(below, Proxy(plane.url, trust, shown, choose=one.note)))
            service = ending.enter_context(proxied(below, Proxy(stage.served.url, choose=one.note)))
            one.url, one.kubeconfig = service.url, folder / f"kubeconfig-{number}"
            authority = (folder / "proxy.pem").read_text()
            write_kubeconfig(one.kubeconfig, cluster.url, authority, token_user(token), stage.namespace)
            ending.callback(one.close)
            made.append(one)
        yield made
