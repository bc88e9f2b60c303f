"""Connections and looks over real HTTP: one tenant's mistake, a rotated key, a passing trouble, a shorter interval."""

import asyncio
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.simulator.bare import KEYS, Served, Wire

from tinker_operator.api.reasons import Reason
from tinker_operator.controllers.accounts import Account, Keyring, normal_url
from tinker_operator.controllers.objects import TRAINING_RUNS
from tinker_operator.controllers.poller import Poller
from tinker_operator.controllers.services import Service, Services
from tinker_operator.controllers.sessions import SessionKeeper
from tinker_operator.core.world import Fault
from tinker_operator.engine.kube_errors import KubeError, KubeUnavailable
from tinker_operator.engine.store import Store
from tinker_operator.engine.workqueue import WorkQueue

pytestmark = pytest.mark.http

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TEAM = Account("team", "tinker")
_OWNERS = iter(KEYS)


class Secrets:
    """Secrets of all namespaces, by namespace; trouble when a test wants it."""

    def __init__(self) -> None:
        self.entries: dict[str, dict[str, str]] = {}
        self.trouble: KubeError | None = None

    async def get_secret(self, namespace: str, name: str) -> dict[str, str] | None:
        assert name == "tinker"
        if self.trouble is not None:
            raise self.trouble
        return self.entries.get(namespace)


@pytest.fixture
def wire(served: Served) -> Iterator[Wire]:
    """A new owner."""
    loop = Wire(served.url, next(_OWNERS))
    yield loop
    loop.http.delete("/_simulator/faults")
    loop.http.close()


@pytest.fixture
def secrets() -> Secrets:
    """No Secrets yet."""
    return Secrets()


@pytest.fixture
async def services(served: Served, secrets: Secrets) -> Any:
    """Services that may call the simulator only."""
    url = normal_url(served.url)
    made = Services(Keyring(secrets, None, url, frozenset({url})), clock=lambda: NOW, monotonic=time.monotonic)
    yield made
    await made.close()


async def eventually(look: Callable[[], object], what: str, seconds: float = 15.0) -> None:
    """Waits until something is so."""
    try:
        async with asyncio.timeout(seconds):
            while not look():  # noqa: ASYNC110 - another process has no event to wait for
                await asyncio.sleep(0.02)
    except TimeoutError:
        pytest.fail(f"not within {seconds:g} s: {what}")


CA_WITH_A_NAME = "# Főtanúsítvány\n-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n"
MISTAKES: dict[str, dict[str, str]] = {
    "a URL that is none": {"TINKER_API_KEY": "tml-x", "TINKER_BASE_URL": "http://[x"},
    "a host that normalizes to a slash": {"TINKER_API_KEY": "tml-x", "TINKER_BASE_URL": "http://a℀b"},
    "a CA with a comment and no certificate": {"TINKER_API_KEY": "tml-x", "ca.crt": CA_WITH_A_NAME},
}


@pytest.mark.parametrize("name", MISTAKES)
async def test_a_mistake_in_a_secret_is_that_account_s_fault(services: Services, secrets: Secrets, name: str) -> None:
    """Whatever a tenant writes there, it is a Fault of one account and no exception."""
    secrets.entries["team"] = MISTAKES[name]
    await services.refresh(TEAM, (), max_age_seconds=0)
    found = services.of(TEAM)

    assert isinstance(found, Fault)
    assert found.reason in {Reason.BASE_URL_NOT_ALLOWED, Reason.SECRET_INVALID}


async def test_a_passing_trouble_of_the_api_server_takes_no_connection_away(
    services: Services, secrets: Secrets, wire: Wire
) -> None:
    """The key of the last look is used on; what was known stays known."""
    run = wire.run()
    secrets.entries["team"] = {"TINKER_API_KEY": wire.key}
    await services.refresh(TEAM, (), max_age_seconds=0)
    before = services.of(TEAM)
    secrets.trouble = KubeUnavailable("It is away.", "Wait.")
    await services.refresh(TEAM, (), max_age_seconds=0)

    assert isinstance(before, Service)
    assert services.of(TEAM) is before
    assert services.inventory_of(TEAM).runs[run].agreeing == 2


async def test_trouble_before_the_first_look_tells_since_when(services: Services, secrets: Secrets, wire: Wire) -> None:
    """So that a healthy run keeps the patience that it has at any other time."""
    secrets.entries["team"] = {"TINKER_API_KEY": wire.key}
    secrets.trouble = KubeUnavailable("It is away.", "Wait.")
    await services.refresh(TEAM, (), max_age_seconds=0)
    assert services.inventory_of(TEAM).failing_since == NOW

    secrets.trouble = None
    await services.refresh(TEAM, (), max_age_seconds=0)
    assert services.inventory_of(TEAM).failing_since is None


async def test_a_rotated_key_is_never_seen_without_an_inventory(
    services: Services, secrets: Secrets, wire: Wire
) -> None:
    """While the new key looks for the first time, what the old one knew stands."""
    run, rotated = wire.run(), next(_OWNERS)
    secrets.entries["team"] = {"TINKER_API_KEY": wire.key}
    await services.refresh(TEAM, (), max_age_seconds=0)
    secrets.entries["team"] = {"TINKER_API_KEY": rotated}
    wire.fault("latency", delay=0.3, route="GET /api/v1/training_runs")
    former, refreshing = services.of(TEAM), asyncio.create_task(services.refresh(TEAM, (), max_age_seconds=0))
    seen = set()
    while not refreshing.done():  # that of the new key stands before the connection of the old one is closed
        inventory = services.inventory_of(TEAM)
        seen.add(run in inventory.runs if services.of(TEAM) is former else inventory.observed_at is not None)
        await asyncio.sleep(0.01)

    assert seen == {True}
    assert run not in services.inventory_of(TEAM).runs


async def test_accounts_with_one_key_share_one_look(services: Services, secrets: Secrets, wire: Wire) -> None:
    """The second finds the first one's look young enough."""
    other = Account("other", "tinker")
    secrets.entries = {name: {"TINKER_API_KEY": wire.key} for name in ("team", "other")}
    await services.refresh(TEAM, (), max_age_seconds=0)
    await services.refresh(other, (), max_age_seconds=60)

    assert services.of(TEAM) is services.of(other)
    await services.forget(TEAM)
    await services.refresh(other, (), max_age_seconds=0)
    assert services.inventory_of(other).fault is None


def training_run(run: str, *, namespace: str = "team", interval: int = 1, version: int = 1, **status: Any) -> Any:
    """Returns a TrainingRun that follows a run."""
    return {
        "metadata": {
            "name": "sft",
            "namespace": namespace,
            "uid": f"{namespace}-sft",
            "generation": version,
            "resourceVersion": str(version),
        },
        "spec": {
            "credentialsRef": {"name": "tinker"},
            "run": {"trainingRunId": run},
            "pollIntervalSeconds": interval,
        },
        "status": {"origin": run, "trainingRunId": run, **status},
    }


def listings(wire: Wire) -> int:
    """Returns how often the service was asked for its runs."""
    counts: dict[str, int] = wire.calls()["counts"]
    return sum(count for route, count in counts.items() if route == "GET /api/v1/training_runs")


@pytest.fixture
async def store(services: Services) -> Any:
    """A store with a poller at work on it."""
    made = Store()
    queue = WorkQueue(time.monotonic, rng=lambda: 0.0)
    poller = Poller(services, made, queue, cluster_id="test", rng=lambda: 0.0)
    polling = asyncio.create_task(poller.run())
    made.listen(lambda change: poller.soon(Account(change.key.namespace, "tinker")))
    yield made
    polling.cancel()


async def test_one_tenant_s_defect_does_not_end_the_looks_of_another(
    services: Services, secrets: Secrets, wire: Wire, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exception that nobody thought of becomes that account's fault; the others go on."""
    run = wire.run()
    secrets.entries = {"team": {"TINKER_API_KEY": wire.key}, "broken": {"TINKER_API_KEY": wire.key}}
    ask = secrets.get_secret

    async def get_secret(namespace: str, name: str) -> dict[str, str] | None:
        if namespace == "broken":
            raise ZeroDivisionError
        return await ask(namespace, name)

    monkeypatch.setattr(secrets, "get_secret", get_secret)
    store.apply(TRAINING_RUNS.kind, training_run(run, namespace="broken"))
    store.apply(TRAINING_RUNS.kind, training_run(run))
    broken = Account("broken", "tinker")
    await eventually(lambda: isinstance(services.of(broken), Fault), "the fault of the broken account")
    before = listings(wire)
    await eventually(lambda: listings(wire) >= before + 2, "two more looks of the other")

    found = services.of(broken)
    assert isinstance(found, Fault)
    assert found.reason is Reason.INTERNAL_FAULT


async def test_a_shorter_interval_is_heeded_at_once(
    services: Services, secrets: Secrets, wire: Wire, store: Store
) -> None:
    """Not when the hour is over."""
    run = wire.run()
    secrets.entries["team"] = {"TINKER_API_KEY": wire.key}
    store.apply(TRAINING_RUNS.kind, training_run(run, interval=3600))
    await eventually(lambda: run in services.inventory_of(TEAM).runs, "the first look")
    before = listings(wire)
    store.apply(TRAINING_RUNS.kind, training_run(run, interval=1, version=2))
    await eventually(lambda: listings(wire) >= before + 4, "looks at the new interval")


async def test_the_session_of_a_deleted_training_run_is_finished(
    services: Services, secrets: Secrets, wire: Wire, store: Store
) -> None:
    """Though it was the last object of its account."""
    run, session = wire.run(), wire.session()
    secrets.entries["team"] = {"TINKER_API_KEY": wire.key}
    held = training_run(run, session={"sessionId": session, "trainingRunId": run})
    store.apply(TRAINING_RUNS.kind, held)
    await eventually(lambda: run in services.inventory_of(TEAM).runs, "the first look")
    keeping = asyncio.create_task(SessionKeeper(store, services, beat_seconds=0.1).run())
    beats = "POST /api/v1/session_heartbeat"
    await eventually(lambda: wire.calls()["counts"].get(beats, 0) >= 1, "a heartbeat")
    store.discard(TRAINING_RUNS.kind, held)
    finish = "POST /api/v1/sessions/{id}/finish"
    await eventually(lambda: any("finish" in route for route in wire.calls()["counts"]), finish)
    keeping.cancel()

    assert wire.post("session_heartbeat", {"session_id": session}).status_code == 410
