"""Trouble of the API server in the middle of recoveries: nothing is lost, nothing is done twice, status is true.

The control plane is this file's own, since it is broken on purpose. One operator lives through all of it. It reaches
the API server through a proxy, so that single requests can be troubled too; the test itself does not.
"""

import asyncio
import json
import signal
import ssl
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

import psutil
import pytest
from kubernetes import client, config
from tests.e2e.conftest import ACCOUNT, REPOSITORY
from tests.e2e.proxy import Choose, Exchange, Fault, Proxy, Request, Underworld, proxied, underworld
from tests.e2e.stage import GROUP, KEY, Operator, Stage, wait_for
from tests.e2e.trouble import certificate
from tests.simulator.bare import Served, Wire

from playground.controlplane import ControlPlane
from playground.crds import apply_crds, checkout_crds
from playground.kubeconfig import token_user, write_kubeconfig

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400)]
NAMESPACE = "troubled"
SLOW_SECONDS = 5.0
"""How long a load waits, so that trouble comes while it is under way."""
SETTLE_SECONDS = 120.0
FAULTS = {"watches": 25, "versions": 12, "requests": 8}
"""How many requests are troubled at least. Recoveries that are done leave nothing to ask, and a source of events that
was told that versions expired begins again after ever longer pauses, up to 15 seconds."""
JSON = {"content-type": "application/json"}
RECOVERIES: dict[str, dict[str, Any]] = {
    "recreate": {"mode": "Recreate"},
    "proven": {"mode": "Recreate", "validation": "Load"},
    "hand-over": {"mode": "HandOver", "validation": "Load"},
}


@dataclass
class World:
    """A stage whose API server can be troubled.

    Attributes:
        stage: The test's own view, which goes past the proxy.
        plane: The control plane.
        proxy: The operator's way to it.
        below: The thread that the proxy lives in.
        lost: Runs at the service by the name of their TrainingRun.
    """

    stage: Stage
    plane: ControlPlane
    proxy: Proxy
    below: Underworld
    lost: dict[str, str] = field(default_factory=dict)

    def begin(self, label: str) -> None:
        """Applies a TrainingRun for each way of recovery, one that stays well, and one that goes; waits for Ready."""
        stage = self.stage
        self.lost = {}
        for name in (*RECOVERIES, "well", "goes"):
            self.lost[f"{label}-{name}"], _ = stage.trained_run(1)
        stage.apply(*(self.manifest(name) for name in self.lost))
        wait_for(self._all_ready, "all to be Ready", SETTLE_SECONDS)

    def _all_ready(self) -> bool:
        now = self.statuses(list(self.lost))
        return all(is_ready(now[name], 0) for name in self.lost)

    def manifest(self, name: str) -> dict[str, Any]:
        """Returns the TrainingRun of that name."""
        way = next((spec for ending, spec in RECOVERIES.items() if name.endswith(ending)), {})
        recovery = {"enabled": True, "backoffSeconds": 1, **way}
        return self.stage.training_run({"run": {"trainingRunId": self.lost[name]}, "recovery": recovery}, name)

    @property
    def recovered(self) -> list[str]:
        """Names of those that are lost."""
        return [name for name in self.lost if name.endswith(tuple(RECOVERIES))]

    def lose(self) -> None:
        """Has runs corrupted, and waits until every recovery is under way and the loads are slow."""
        self.stage.wire.fault("latency", delay=SLOW_SECONDS, route="POST /api/v1/load_weights")
        for name in self.recovered:
            self.stage.corrupt(self.lost[name])
        wait_for(self._all_begun, "every recovery to be under way")

    def _all_begun(self) -> bool:
        now = [status.get("recovery", {}) for status in self.statuses(self.recovered).values()]
        return all(one.get("attempt") == 1 for one in now) and any("inFlight" in one for one in now)

    def statuses(self, names: list[str]) -> dict[str, dict[str, Any]]:
        """Returns statuses by name."""
        items = self.stage.kubectl.json("get", "trainingruns", "--namespace", NAMESPACE)["items"]
        return {one["metadata"]["name"]: one.get("status", {}) for one in items if one["metadata"]["name"] in names}

    def users_go_on(self, label: str) -> None:
        """One TrainingRun is deleted and another one made, while the operator may not be able to see it."""
        self.stage.kubectl("delete", "trainingrun", f"{label}-goes", "--namespace", NAMESPACE)
        del self.lost[f"{label}-goes"]
        self.lost[f"{label}-late"], _ = self.stage.trained_run(1)
        self.stage.apply(self.manifest(f"{label}-late"))

    def judge(self) -> None:
        """Each that was lost has exactly one successor, and its status is true; the others are as they were."""
        stage = self.stage
        for name in (one for one in self.lost if one.endswith("hand-over")):
            the_loop_resumes(stage, name)
        wait_for(lambda: not self._unwell(), "all to be Ready", SETTLE_SECONDS)
        runs = stage.remote_runs()
        for name, lost in self.lost.items():
            self._judge_one(name, lost, runs)
        wait_for(lambda: not self._orphans(), "no orphan session", SETTLE_SECONDS)
        assert stage.operator.process is not None
        assert stage.operator.process.poll() is None

    def _unwell(self) -> list[str]:
        now = self.statuses(list(self.lost))
        return [name for name in self.lost if not is_ready(now[name], 1 if name in self.recovered else 0)]

    def _judge_one(self, name: str, lost: str, runs: list[dict[str, Any]]) -> None:
        status = self.stage.status(name)
        current = status["trainingRunId"]
        owner = f"test/{NAMESPACE}/{name}"
        mine = [one for one in runs if (one["user_metadata"] or {}).get(f"{GROUP}/owner") == owner]
        made = [one["training_run_id"] for one in mine]
        if name not in self.recovered:
            assert (made, current, status["recovery"].get("history", [])) == ([], lost, [])
            return
        history = status["recovery"]["history"]
        told = [(one["attempt"], one["result"], one["fromTrainingRunId"], one["toTrainingRunId"]) for one in history]
        assert told == [(1, "Recovered", lost, current)]
        assert made == [current]
        assert status["lineage"] == [lost, current]
        assert self.stage.hand_over(name)["attempt"] == 1

    def _orphans(self) -> set[str]:
        asked = self.stage.wire.post("sessions/search", {"limit": 200}).json()["sessions"]
        own = [one for one in asked if any(key.startswith(GROUP) for key in one["user_metadata"] or {})]
        active = {one["session_id"] for one in own if (one["status"] or {}).get("type") == "active"}
        items = self.stage.kubectl.json("get", "trainingruns", "--namespace", NAMESPACE)["items"]
        return active - {one["status"].get("session", {}).get("sessionId") for one in items}


def is_ready(status: dict[str, Any], recoveries: int) -> bool:
    """Tells whether an object is Ready after so many recoveries."""
    ready = [one["status"] for one in status.get("conditions", []) if one["type"] == "Ready"]
    return (ready, status.get("recoveries")) == (["True"], recoveries)


def the_loop_resumes(stage: Stage, name: str) -> None:
    """Acts as the training loop of mode HandOver: makes a run as the hand-over of attempt 1 says."""

    def look() -> dict[str, Any]:
        told = stage.hand_over(name)
        return told if told["attempt"] == 1 else {}

    told = wait_for(look, f"the hand-over of {name}", SETTLE_SECONDS)
    metadata = {**told["userMetadata"], f"{GROUP}/resumed-at": "2026-11-22T00:00:00Z"}
    assert stage.wire.ended(stage.wire.load(told["checkpoint"], user_metadata=metadata)).status_code == 200


@pytest.fixture(scope="module")
def plane(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A control plane that may be broken, with what deploy/ makes."""
    with ControlPlane(tmp_path_factory.mktemp("breakable"), control_plane._binaries) as own:
        apply_crds(own.kubectl, checkout_crds())
        own.kubectl("apply", "-k", REPOSITORY / "deploy")
        own.kubectl("create", "namespace", NAMESPACE)
        yield own


@pytest.fixture(scope="module")
def world(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The operator behind its proxy, and a simulator, for all tests of this file."""
    folder = tmp_path_factory.mktemp("world")
    with ExitStack() as ending:
        below = ending.enter_context(underworld())
        shown = certificate(folder, "proxy", "127.0.0.1")
        proxy = Proxy(plane.url, trust=ssl.create_default_context(cadata=plane.ca_pem), certificate=shown)
        ending.enter_context(proxied(below, proxy))
        token = plane.kubectl("create", "token", ACCOUNT, f"--namespace={ACCOUNT}", "--duration=86400s").stdout.strip()
        path = write_kubeconfig(
            folder / "kubeconfig", proxy.url, (folder / "proxy.pem").read_text(), token_user(token), NAMESPACE
        )
        served = Served(folder / "simulator")
        ending.callback(served.close)
        served.start()
        operator = Operator(path, NAMESPACE, served.url, folder / "operator.log")
        ending.callback(operator.close)
        operator.start()
        wire = Wire(served.url, KEY)
        ending.callback(wire.http.close)
        yield World(Stage(plane.kubectl, NAMESPACE, served, wire, operator), plane, proxy, below)


@contextmanager
def troubled(world: World, choose: Choose) -> Iterator[None]:
    """The operator's requests meet trouble until this is left; connections that are open are broken first."""
    world.proxy.choose = choose
    world.below.do(world.proxy.cut())
    try:
        yield
    finally:
        world.proxy.choose = None
        world.below.do(world.proxy.cut())


def told(world: World, before: Counter[str]) -> str:
    """Returns what was injected since."""
    return ", ".join(f"{count} x {name}" for name, count in sorted((world.proxy.counts - before).items()))


def test_an_api_server_that_is_killed_and_comes_back(world: World) -> None:
    """SIGKILL in the middle of three recoveries, and a start on the same etcd."""
    world.begin("killed")
    world.lose()
    world.plane._children.pop("kube-apiserver").kill()
    world.stage.sound()
    world.plane.start_api_server()
    world.users_go_on("killed")
    world.judge()


def test_an_etcd_that_stands_still_for_a_while(world: World) -> None:
    """SIGSTOP until the API server has failed to answer twice; writes that were under way may or may not be done."""
    world.begin("slow")
    world.lose()
    keeper = psutil.Process(world.plane._children["etcd"].pid)
    etcd = next(child for child in keeper.children(recursive=True) if "etcd" in child.name())
    etcd.send_signal(signal.SIGSTOP)
    try:
        world.stage.sound()
        for _ in range(2):
            answer = world.stage.kubectl("get", "trainingruns", "-A", "--request-timeout=3s", check=False)
            assert answer.returncode != 0
    finally:
        etcd.send_signal(signal.SIGCONT)
    world.users_go_on("slow")
    world.judge()


async def _cut_after_a_while(exchange: Exchange) -> None:
    async with asyncio.timeout(exchange.rng.uniform(0.0, 0.6)):
        await exchange.pass_on()


def expired_status() -> dict[str, Any]:
    """Returns what the API server says when it has forgotten a version."""
    message = "The resourceVersion for the provided watch is too old."
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "message": message,
        "reason": "Expired",
        "code": 410,
    }


async def _expired(exchange: Exchange) -> None:
    """As a status, or as an event in a watch that began well."""
    if exchange.rng.random() < 0.5:
        await exchange.answer(410, JSON, json.dumps(expired_status()).encode())
    else:
        event = {"type": "ERROR", "object": expired_status()}
        await exchange.answer(200, JSON, json.dumps(event).encode() + b"\n")


async def _refused(exchange: Exchange) -> None:
    status = exchange.rng.choice([429, 500, 502, 503, 504])
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "not now", "code": status}
    text = json.dumps(body).encode() if exchange.rng.random() < 0.7 else b"<html>Bad gateway</html>"
    await exchange.answer(status, {**JSON, "retry-after": "1"}, text)


async def _unheard(exchange: Exchange) -> None:
    """The API server does what was asked, and its answer is lost."""
    await exchange.answered()
    exchange.hang_up(reset=True)


async def _halved(exchange: Exchange) -> None:
    answer = await exchange.answered()
    await exchange.answer(answer.status, JSON, answer.body[: len(answer.body) // 2])


def is_watch(request: Request) -> bool:
    """Tells a watch from all else."""
    return "watch=true" in request.target


def watches_break(request: Request, _rng: Random) -> Fault | None:
    """No watch lives longer than a moment."""
    return Fault("watch cut", _cut_after_a_while) if is_watch(request) else None


def versions_expire(request: Request, rng: Random) -> Fault | None:
    """Every other watch begins at a version that is forgotten; the others do not live long."""
    if not is_watch(request):
        return None
    return Fault("410 Gone", _expired) if rng.random() < 0.5 else Fault("watch cut", _cut_after_a_while)


def requests_fail(request: Request, rng: Random) -> Fault | None:
    """Three requests in ten are refused, or their answers are lost or cut in half."""
    if is_watch(request) or rng.random() < 0.7:
        return None
    kinds = [Fault("429 and 5xx", _refused), Fault("answer lost", _unheard), Fault("half an answer", _halved)]
    return rng.choice(kinds)


TROUBLES: dict[str, Choose] = {"watches": watches_break, "versions": versions_expire, "requests": requests_fail}


@pytest.mark.parametrize("label", TROUBLES)
def test_requests_that_fail(world: World, label: str) -> None:
    """Recoveries begin and go on in the trouble, and are done once it is over at the latest."""
    before = Counter(world.proxy.counts)
    world.begin(label)
    with troubled(world, TROUBLES[label]):
        world.lose()
        world.users_go_on(label)
        world.stage.sound()
        wait_for(
            lambda: (world.proxy.counts - before).total() >= FAULTS[label], f"{FAULTS[label]} faults", SETTLE_SECONDS
        )
    world.judge()
    print(f"\n{label}: {told(world, before)}")  # noqa: T201 - the count is what the test is for


@contextmanager
def scribbling(world: World) -> Iterator[Counter[str]]:
    """Somebody keeps writing labels, annotations and status of every TrainingRun, as fast as the API server lets."""
    written, over = Counter[str](), threading.Event()

    def scribble() -> None:
        with config.new_client_from_config(str(world.plane.admin_kubeconfig)) as api:  # type: ignore[no-untyped-call]  # half of the client has no types
            objects: Any = client.CustomObjectsApi(api)
            where = (GROUP, "v1alpha1", NAMESPACE, "trainingruns")
            while not over.wait(0.01):
                number = written.total()
                name = list(world.lost)[number // 3 % len(world.lost)]
                marks = {"labels": {"n": str(number)}, "annotations": {"example.test/n": str(number)}}
                status = {"lastRequestTime": f"2026-01-01T00:00:{number % 60:02d}Z"}
                try:
                    if number % 3:
                        objects.patch_namespaced_custom_object(*where, name, {"metadata": marks})
                    else:
                        objects.patch_namespaced_custom_object_status(*where, name, {"status": status})
                except client.ApiException as error:
                    assert error.status == 404  # noqa: PT017 - a user has just deleted it
                written["status" if number % 3 == 0 else "metadata"] += 1

    writer = threading.Thread(target=scribble, daemon=True)
    writer.start()
    try:
        yield written
    finally:
        over.set()
        writer.join(timeout=20)


def test_somebody_who_writes_all_the_time(world: World) -> None:
    """Every status write of the operator may meet a conflict; what was done at the service is not done again."""
    world.begin("conflicts")
    conflicts = world.proxy.statuses[409]
    with scribbling(world) as written:
        world.lose()
        world.stage.sound()
        world.users_go_on("conflicts")
        world.judge()
    conflicts = world.proxy.statuses[409] - conflicts
    print(f"\nconflicts: {conflicts} x 409 of {dict(written)} writes")  # noqa: T201 - the count is what the test is for
    assert conflicts > 0


def test_a_leader_that_cannot_renew_ends_and_its_successor_goes_on(world: World) -> None:
    """The API server is out of reach for longer than the lease; the process exits with 1 and is started again."""
    operator = world.stage.operator
    assert operator.end() == 0
    operator.arguments = ("--lease-namespace", ACCOUNT)
    operator.start()
    world.begin("leader")
    world.lose()
    world.proxy.fault = Fault("out of reach", at_connect=True)
    world.below.do(world.proxy.cut())
    assert operator.process is not None
    assert operator.process.wait(timeout=40) == 1
    world.stage.sound()
    world.proxy.fault = None
    operator.start()
    world.users_go_on("leader")
    world.judge()
    assert "lease_lost" in operator.log.read_text()
