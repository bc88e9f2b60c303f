"""Silence is not failure: whatever goes wrong on the way to the service, no recovery starts, and all is well after.

Every kind of trouble is met at once, each by an account of its own behind a proxy of its own, until each was seen by so
many polls. `test_silence_for_hours` is the same in one process, for thousands of polls.
"""

import base64
import json
import ssl
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.proxy import Fault, Proxy, Underworld, proxied, underworld
from tests.e2e.stage import Stage, wait_for
from tests.e2e.trouble import certificate, skewed, socket_faults, warped
from tests.simulator.bare import KEYS, Wire

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]
POLLS = 50
"""How often each kind of trouble is met at least."""
BETWEEN_POLLS = 0.8
"""Seconds of pause that tell one poll from the next: within one, the attempts follow each other sooner."""
PATIENT = {"silence", "slow drip", "429 with Retry-After"}
"""Trouble that takes a whole deadline to notice, or asks for long pauses: more accounts meet it, side by side."""
SIDE_BY_SIDE = 8
TROUBLE_SECONDS = 400.0
CLEAR_SECONDS = 150.0


@dataclass
class Tenant:
    """One account behind one kind of trouble: a healthy run, and for some one that is lost and one that is suspended.

    Attributes:
        label: Name of its Secret, and the beginning of its TrainingRuns' names.
        fault: The trouble that it meets.
        proxy: Its way to the service.
        wire: Its loop's own way.
        authority: What its proxy's certificates are checked by.
        runs: Ids of its runs, by role.
    """

    label: str
    fault: Fault
    proxy: Proxy
    wire: Wire
    authority: str | None = None
    runs: dict[str, str] = field(default_factory=dict)

    @property
    def polls(self) -> int:
        """How many polls met trouble so far."""
        times = sorted(self.proxy.times.get(self.wire.key, []) + self.proxy.times.get("", []))
        return sum(after - before > BETWEEN_POLLS for before, after in zip([0.0, *times], times, strict=False))

    def manifests(self, stage: Stage) -> Iterator[dict[str, Any]]:
        """Yields its Secret and its TrainingRuns."""
        entries = {"TINKER_API_KEY": self.wire.key, "TINKER_BASE_URL": self.proxy.url}
        entries |= {"ca.crt": self.authority} if self.authority else {}
        encoded = {name: base64.b64encode(value.encode()).decode() for name, value in entries.items()}
        yield {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": self.label}, "data": encoded}
        for role, run in self.runs.items():
            spec: dict[str, Any] = {"run": {"trainingRunId": run}, "credentialsRef": {"name": self.label}}
            # A run that cannot be seen must not be taken for one that is gone, either.
            recovery = {"enabled": True, "backoffSeconds": 1, "onMissing": "Recover"}
            suspend = role == "suspended"
            yield stage.training_run({**spec, "suspend": suspend, "recovery": recovery}, f"{self.label}.{role}")

    def begin(self, *roles: str) -> None:
        """Makes its runs at the service."""
        for role in roles:
            self.runs[role] = self.wire.run()
            self.wire.saved(self.runs[role], "step-1")

    def lose(self) -> None:
        """Flags its runs as corrupted, but for the healthy one."""
        for role in sorted(self.runs.keys() - {"healthy"}):
            self.wire.order("corrupt", {"run": self.runs[role]})

    def live(self) -> set[str]:
        """Returns its runs that are not corrupted."""
        listed = self.wire.get("training_runs", limit=100).json()["training_runs"]
        return {one["training_run_id"] for one in listed if not one["corrupted"]}


def troubles(folder: Path) -> Iterator[tuple[Fault, ssl.SSLContext | None, str | None]]:
    """Yields every kind of trouble, the certificate that is shown otherwise, and what both are checked by."""
    yield from ((fault, None, None) for fault in socket_faults().values())
    yield Fault("clock skew", partial(warped, partial(skewed, timedelta(hours=7)))), None, None
    for name, host, days in (
        ("expired certificate", "127.0.0.1", (-9, -1)),
        ("certificate of another host", "elsewhere.test", (-1, 1)),
    ):
        good = certificate(folder, f"good {name}", "127.0.0.1")
        bad = certificate(folder, f"bad {name}", host, days=days)
        authority = "".join((folder / f"{which} {name}.pem").read_text() for which in ("good", "bad"))
        yield Fault(name, certificate=bad), good, authority


@pytest.fixture
def below() -> Iterator[Underworld]:
    """The thread that proxies live in."""
    with underworld() as world:
        yield world


@pytest.fixture
def tenants(stage: Stage, below: Underworld, tmp_path: Path) -> Iterator[list[Tenant]]:
    """A tenant or more for each kind of trouble, none of it on yet, and the operator allowed to call their proxies."""
    made: list[Tenant] = []
    keys = iter(KEYS[1:])
    with ExitStack() as ending:
        for fault, shown, authority in troubles(tmp_path):
            proxy = ending.enter_context(proxied(below, Proxy(stage.served.url, certificate=shown, seed=len(made))))
            label = fault.name.lower().replace(" ", "-")
            for number in range(SIDE_BY_SIDE if fault.name in PATIENT else 1):
                wire = Wire(stage.served.url, next(keys))
                ending.callback(wire.http.close)
                made.append(Tenant(f"{label}-{number}", fault, proxy, wire, authority))
                made[-1].begin("healthy", *(() if number else ("lost", "suspended")))
        assert stage.operator.end() == 0
        urls = sorted({tenant.proxy.url for tenant in made})
        stage.operator.arguments = tuple(word for url in urls for word in ("--allow-base-url", url))
        stage.operator.start()
        yield made
        for tenant in made:
            tenant.proxy.fault = None
        below.do(cut(made))


async def cut(tenants: list[Tenant]) -> None:
    """Breaks the connections that are open, so that what is wrong with new ones is met."""
    for proxy in {id(tenant.proxy): tenant.proxy for tenant in tenants}.values():
        await proxy.cut()


Judge = Callable[[Tenant, str, dict[str, Any]], bool]
"""Says whether a TrainingRun of a tenant, in a role, has the status that it should."""


def wait_all(stage: Stage, tenants: list[Tenant], judge: Judge, what: str, seconds: float) -> None:
    """Waits until every TrainingRun is as it should be; fails with those that are not."""
    left: dict[str, Any] = {}

    def look() -> bool:
        items = stage.kubectl.json("get", "trainingruns", "--namespace", stage.namespace)["items"]
        now = {one["metadata"]["name"]: one.get("status", {}) for one in items}
        left.clear()
        for tenant in tenants:
            names = {role: f"{tenant.label}.{role}" for role in tenant.runs}
            left.update({name: now[name] for role, name in names.items() if not judge(tenant, role, now[name])})
        return not left

    try:
        wait_for(look, what, seconds)
    except pytest.fail.Exception:
        pytest.fail(f"not within {seconds:g} s: {what}: {json.dumps(left)[:6000]}")


def condition(status: dict[str, Any], kind: str) -> str:
    """Returns the status of a condition."""
    return next((one["status"] for one in status.get("conditions", []) if one["type"] == kind), "")


def untouched(status: dict[str, Any]) -> bool:
    """Tells that no recovery was ever begun."""
    told = status.get("recovery", {})
    return (status.get("recoveries", 0), told.get("attempt", 0), told.get("history", []), told.get("inFlight")) == (
        0, 0, [], None,
    )  # fmt: skip


def at_first(_tenant: Tenant, role: str, status: dict[str, Any]) -> bool:
    """Ready, or observed though suspended."""
    return untouched(status) and condition(status, "Synced" if role == "suspended" else "Ready") == "True"


def in_trouble(tenant: Tenant, role: str, status: dict[str, Any]) -> bool:
    """Told of, and nothing done; where the service is only hours off, the run that is lost is restored."""
    if tenant.fault.name == "clock skew":
        return at_last(tenant, role, status)
    return untouched(status) and condition(status, "Synced") == "False" and condition(status, "Ready") == "False"


def at_last(tenant: Tenant, role: str, status: dict[str, Any]) -> bool:
    """The healthy run as it was, the lost one restored once, the suspended one left alone."""
    if role == "lost":
        recovered = (status.get("recoveries"), len(status["recovery"].get("history", []))) == (1, 1)
        return recovered and condition(status, "Ready") == "True" and status["trainingRunId"] != tenant.runs["lost"]
    return at_first(tenant, role, status) and status["trainingRunId"] == tenant.runs[role]


def made(stage: Stage) -> tuple[int, ...]:
    """Returns how many sessions and runs were asked for so far."""
    return tuple(stage.calls(route) for route in ("create_session", "create_model", "load_weights"))


def table(tenants: list[Tenant]) -> str:
    """Returns what was injected, by kind of trouble."""
    rows = {tenant.fault.name: tenant.proxy.counts[tenant.fault.name] for tenant in tenants}
    polls = Counter[str]()
    for tenant in tenants:
        polls[tenant.fault.name] += tenant.polls
    lines = [f"  {name:<30}{count:>6} faults in {polls[name]:>5} polls" for name, count in rows.items()]
    return "\n".join(["", *lines, f"  {'all':<30}{sum(rows.values()):>6} faults in {sum(polls.values()):>5} polls"])


def test_trouble_is_never_taken_for_failure(stage: Stage, below: Underworld, tenants: list[Tenant]) -> None:
    """No recovery, session or run while it lasts, of healthy, lost and suspended runs; then each as it should be."""
    stage.apply(*(manifest for tenant in tenants for manifest in tenant.manifests(stage)))
    wait_all(stage, tenants, at_first, "all to be observed", CLEAR_SECONDS)
    before = made(stage)
    for tenant in tenants:
        tenant.proxy.fault = tenant.fault
    below.do(cut(tenants))
    for tenant in tenants:
        tenant.lose()
    wait_for(lambda: seen_by(tenants) >= POLLS, f"{POLLS} polls of each kind of trouble", TROUBLE_SECONDS)
    wait_all(stage, tenants, in_trouble, "trouble to be told, and nothing to be done", CLEAR_SECONDS)
    while_troubled = made(stage)
    asked = {tenant.fault.name: set(tenant.proxy.asked) for tenant in tenants}
    for tenant in tenants:
        tenant.proxy.fault = None
    below.do(cut(tenants))
    wait_all(stage, tenants, at_last, "all to be well without help", CLEAR_SECONDS)
    print(table(tenants))  # noqa: T201 - the count is what the test is for

    skewed_alone = (1, 0, 1)
    assert tuple(after - first for first, after in zip(before, while_troubled, strict=True)) == skewed_alone
    assert {name for name, methods in asked.items() if methods - {"GET"}} == {"clock skew"}
    mixed = [tenant for tenant in tenants if "lost" in tenant.runs]
    assert made(stage) == (before[0] + len(mixed), before[1], before[2] + len(mixed))
    for tenant in mixed:
        assert len(tenant.live()) == 2
        assert tenant.runs["healthy"] in tenant.live()


def seen_by(tenants: list[Tenant]) -> int:
    """Returns how many polls met the kind of trouble that was met least."""
    polls = Counter[str]()
    for tenant in tenants:
        polls[tenant.fault.name] += tenant.polls
    return min(polls.values())
