"""kopf, the store, the queue, the workers and the lease together, against a real API server."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client

from tinker_operator.engine.elector import Elector, KubeLease
from tinker_operator.engine.engine import Engine, EngineSettings
from tinker_operator.engine.keys import KubeObject, ObjectKey, Resource
from tinker_operator.engine.kopf_source import KopfSource, SourceEndedError
from tinker_operator.engine.kube import KubeApi
from tinker_operator.engine.lease import LeaseTimings
from tinker_operator.engine.store import Change, Store
from tinker_operator.engine.wakes import wake_itself
from tinker_operator.engine.workqueue import WorkQueue

pytestmark = pytest.mark.cluster

WIDGETS = Resource("engine-tests.tinker-operator.dev", "v1", "widgets", "Widget")


def clock() -> datetime:
    """The real one: kopf tells by it whether credentials have expired."""
    return datetime.now(UTC)  # noqa: TID251 - a test is a composition root


class Operator:
    """The smallest operator: `status.seen` is the generation that was reconciled last."""

    def __init__(self, kube: KubeApi, kubeconfig: Path, namespace: str, resource: Resource, identity: str) -> None:
        self._kube, self._resource = kube, resource
        self.store, self.queue = Store(), WorkQueue(time.monotonic)
        self.stop = asyncio.Event()
        self.writes = 0
        lease = KubeLease(kube, namespace, "operator")
        elector = Elector(lease, identity, timings=LeaseTimings(), monotonic=time.monotonic, clock=clock)
        self.engine = Engine(
            (resource,),
            self.reconcile,
            api=kube,
            store=self.store,
            queue=self.queue,
            source=KopfSource(
                (resource,), kubeconfig=kubeconfig, namespaces=[namespace], clock=clock, discovery_seconds=2
            ),
            wakes=wake_itself(),
            elector=elector,
            namespaces=[namespace],
            monotonic=time.monotonic,
            settings=EngineSettings(resync_seconds=0.5),
        )

    async def reconcile(self, key: ObjectKey) -> float | None:
        obj = self.store.get(key)
        if obj is None or (obj.get("status") or {}).get("seen") == obj["metadata"]["generation"]:
            return None
        self.writes += 1
        metadata = obj["metadata"]
        status = {"seen": metadata["generation"]}
        answer = await self._kube.patch_status(self._resource, key, status, metadata["resourceVersion"])
        self.store.apply(key.kind, answer)
        return None


@asynccontextmanager
async def operating(
    kubeconfig: Path, namespace: str, resource: Resource = WIDGETS, identity: str = "a"
) -> AsyncIterator[Operator]:
    """An operator that runs, and that ends within ten seconds of being asked to."""
    async with await KubeApi.connect(kubeconfig) as kube:
        operator = Operator(kube, kubeconfig, namespace, resource, identity)
        running = asyncio.create_task(operator.engine.run(operator.stop))
        try:
            yield operator
        finally:
            operator.stop.set()
            async with asyncio.timeout(10):
                await running


def settled(user: Any, count: int) -> Callable[[], bool]:
    def condition() -> bool:
        objects = user.all()
        seen = [obj.get("status", {}).get("seen") == obj["metadata"]["generation"] for obj in objects]
        return len(seen) == count and all(seen)

    return condition


class Noted(Store):
    """A store that notes the sizes of what is delivered to it, news or not."""

    def __init__(self) -> None:
        super().__init__()
        self.delivered: list[tuple[str, int]] = []

    def apply(self, kind: str, obj: KubeObject, *, relisted: bool = False) -> Change | None:
        self.delivered.append((obj["metadata"]["name"], obj["spec"]["size"]))
        return super().apply(kind, obj, relisted=relisted)


@asynccontextmanager
async def watching(
    kubeconfig: Path, *namespaces: str, clock: Callable[[], datetime] = clock, store: Store | None = None
) -> AsyncIterator[Store]:
    """A store that kopf alone feeds."""
    store = Store() if store is None else store
    source = KopfSource((WIDGETS,), kubeconfig=kubeconfig, namespaces=namespaces, clock=clock)
    running = asyncio.create_task(source.run(store))
    try:
        yield store
    finally:
        running.cancel()
        await asyncio.wait([running], timeout=10)


def long_ago() -> datetime:
    """Credentials that are logged in with at this time have expired before they are used."""
    return datetime(2020, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("everywhere", "clock"),
    [
        pytest.param(False, clock, id="in one namespace"),
        pytest.param(True, clock, id="in all namespaces"),
        pytest.param(False, long_ago, id="with credentials that expire all the time"),
    ],
)
async def test_what_users_do_reaches_the_store(
    kubeconfig: Path, user: Any, until: Any, everywhere: bool, clock: Callable[[], datetime]
) -> None:
    def size(store: Store, name: str) -> int | None:
        obj = store.get(ObjectKey("Widget", user.namespace, name))
        return None if obj is None else obj["spec"]["size"]

    user.create("before", size=1)
    async with watching(kubeconfig, *([] if everywhere else [user.namespace]), clock=clock) as store:
        await until(lambda: size(store, "before") == 1)
        user.create("after", size=1)
        await until(lambda: size(store, "after") == 1)
        user.resize("before", 2)
        await until(lambda: size(store, "before") == 2)
        user.delete("after")
        await until(lambda: size(store, "after") is None)


async def test_what_the_store_knows_is_not_delivered(kubeconfig: Path, user: Any, until: Any) -> None:
    """What was listed before: of many objects that is most of what kopf sees at a start."""
    store = Noted()
    for name in ("known", "unknown"):
        made = user.create(name, size=1)
        if name == "known":
            Store.apply(store, "Widget", made)
    async with watching(kubeconfig, user.namespace, store=store):
        await until(lambda: store.delivered)
        user.create("later", size=1)
        await until(lambda: ("later", 1) in store.delivered)
        user.resize("known", 2)
        await until(lambda: ("known", 2) in store.delivered)

    assert store.delivered == [("unknown", 1), ("later", 1), ("known", 2)]


async def test_kopf_leaves_no_trace_on_an_object(kubeconfig: Path, user: Any, until: Any) -> None:
    """No annotation, no finalizer, no managed field, not even a new version: it was only looked at."""
    made = user.create("w", size=1)
    async with watching(kubeconfig, user.namespace) as store:
        await until(lambda: store.by_kind("Widget"))
        changed = user.resize("w", 2)
        key = ObjectKey("Widget", user.namespace, "w")
        await until(lambda: (store.get(key) or made)["spec"]["size"] == 2)

    now = user.get("w")
    assert now == changed
    assert {"annotations", "finalizers"}.isdisjoint(now["metadata"])
    assert not any("kopf" in entry["manager"] for entry in now["metadata"]["managedFields"])


async def test_a_source_whose_token_is_refused_ends_instead_of_hanging(kubeconfig_of: Any, user: Any) -> None:
    source = KopfSource((WIDGETS,), kubeconfig=kubeconfig_of("wrong-token"), namespaces=[user.namespace], clock=clock)

    with pytest.raises(SourceEndedError):
        async with asyncio.timeout(30):
            await source.run(Store())


async def test_fifty_objects_converge_with_one_write_each_and_then_nothing_is_written(
    kubeconfig: Path, user: Any, until: Any, official: client.ApiClient
) -> None:
    for number in range(25):
        user.create(f"early{number}", size=1)
    async with operating(kubeconfig, user.namespace) as operator:
        for number in range(25):
            user.create(f"late{number}", size=1)
        await until(settled(user, 50))
        before, rounds = user.all(), {operator.engine.listed_at}

        def five_listings() -> bool:
            rounds.add(operator.engine.listed_at)
            return len(rounds) == 5

        await until(five_listings)

        assert operator.writes == 50
        assert user.all() == before
        assert client.EventsV1Api(official).list_namespaced_event(user.namespace).items == []
        user.resize("early3", 2)
        await until(lambda: user.get("early3")["status"]["seen"] == 2)
        assert operator.writes == 51


async def test_an_interrupted_connection_is_mended_and_nothing_is_missed(
    wired_kubeconfig: Path, wire: Any, user: Any, until: Any
) -> None:
    for name in ("kept", "deleted"):
        user.create(name, size=1)
    async with operating(wired_kubeconfig, user.namespace) as operator:
        await until(settled(user, 2))
        await wire.cut()
        user.create("made", size=1)
        user.resize("kept", 2)
        user.delete("deleted")
        await wire.mend()
        await until(settled(user, 2))
        await until(lambda: {key.name for key in operator.store.by_kind("Widget")} == {"kept", "made"})
        user.create("later", size=1)
        await until(settled(user, 3))


async def test_a_kind_may_be_installed_late_and_even_be_replaced(
    kubeconfig: Path, user: Any, kinds: Any, official: client.ApiClient, until: Any
) -> None:
    namespace = user.namespace
    late = Resource(f"t{uuid.uuid4().hex[:8]}.tinker-operator.dev", "v1", "latecomers", "Latecomer")
    gadgets = type(user)(official, namespace, late)
    async with operating(kubeconfig, namespace, late) as operator:
        await until(lambda: client.CoreV1Api(official).read_namespace(namespace))
        assert not operator.engine.synced.is_set()
        for _ in range(2):
            kinds.install(late)
            await until(lambda: kinds.served(late))
            gadgets.create("g", size=1)
            await until(settled(gadgets, 1), seconds=60)
            gadgets.resize("g", 2)
            await until(settled(gadgets, 1))
            kinds.remove(late)
            await until(lambda: not kinds.served(late))
            await until(lambda: not operator.store.by_kind("Latecomer"))


async def test_a_second_replica_takes_over_when_the_first_is_stopped(kubeconfig: Path, user: Any, until: Any) -> None:
    user.create("w", size=1)
    async with operating(kubeconfig, user.namespace, identity="b0") as first:
        await until(settled(user, 1))
        async with operating(kubeconfig, user.namespace, identity="b1") as second:
            await second.engine.synced.wait()
            user.resize("w", 2)
            await until(settled(user, 1))
            assert (first.writes, second.writes) == (2, 0)
            first.stop.set()
            await until(second.engine.leading.is_set)
            user.resize("w", 3)
            await until(settled(user, 1))
            assert (first.writes, second.writes) == (2, 1)
