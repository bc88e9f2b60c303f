"""The supervisor and the resync: what feeds the store goes on, whatever happens to it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from tinker_operator.engine.keys import KubeObject, Resource
from tinker_operator.engine.kube_errors import (
    KubeError,
    KubeForbidden,
    KubeUnavailable,
    ListingExpired,
    ResourceMissing,
)
from tinker_operator.engine.objects import Page
from tinker_operator.engine.resync import SINGLE_READS, Resync
from tinker_operator.engine.source import EventSink
from tinker_operator.engine.store import Change, Store
from tinker_operator.engine.supervisor import Supervisor

pytestmark = pytest.mark.pure

Clock = Callable[[], float]
WIDGETS = Resource("g.dev", "v1", "widgets", "Widget")
GADGETS = Resource("g.dev", "v1", "gadgets", "Gadget")


def thing(name: str, revision: int, namespace: str = "default") -> KubeObject:
    metadata = {"namespace": namespace, "name": name, "uid": f"{namespace}/{name}", "resourceVersion": str(revision)}
    return {"metadata": metadata}


class FlakySource:
    """Delivers one object at each start, then fails after so many seconds, or lives."""

    def __init__(self, clock: Clock, *lives: float) -> None:
        self._clock, self._lives = clock, list(lives)
        self.started_at: list[float] = []

    async def run(self, sink: EventSink) -> None:
        self.started_at.append(round(self._clock(), 3))
        sink.apply("Widget", thing(f"w{len(self.started_at)}", len(self.started_at)))
        await asyncio.sleep(self._lives.pop(0) if self._lives else 10**6)
        raise RuntimeError("the watch broke")


def supervisor(source: FlakySource, store: Store, clock: Clock) -> Supervisor:
    return Supervisor(source, store, started=lambda: None, monotonic=clock, rng=lambda: 0.0)


def test_a_source_that_fails_is_started_again_ever_later_and_the_store_is_kept(run_jumping: Any) -> None:
    async def main(clock: Clock) -> None:
        source, store = FlakySource(clock, 0, 0, 0), Store()
        running = asyncio.create_task(supervisor(source, store, clock).run())
        await asyncio.sleep(100)
        running.cancel()

        assert source.started_at == [0, 1, 3, 7]
        assert sorted(key.name for key in store.by_kind("Widget")) == ["w1", "w2", "w3", "w4"]

    with capture_logs() as logs:
        run_jumping(main)
    assert [line["retry_seconds"] for line in logs] == [1, 2, 4]


def test_a_source_that_lived_long_starts_a_new_series(run_jumping: Any) -> None:
    async def main(clock: Clock) -> None:
        source = FlakySource(clock, 0, 0, 100, 0)
        running = asyncio.create_task(supervisor(source, Store(), clock).run())
        await asyncio.sleep(1000)
        running.cancel()

        assert source.started_at == [0, 1, 3, 104, 106]

    run_jumping(main)


class FakeCluster:
    """Listings by resource and namespace: pages of two, or an error."""

    def __init__(self) -> None:
        self.revision = 1
        self.objects: dict[tuple[Resource, str], list[KubeObject]] = {}
        self.faults: dict[Resource, KubeError] = {}
        self.listings: list[tuple[str, str | None]] = []
        self.whole = 0
        self.read: list[str] = []

    async def get_object(self, resource: Resource, namespace: str | None, name: str) -> KubeObject | None:
        self.read.append(name)
        found = (obj for obj in self.objects.get((resource, namespace or ""), ()) if obj["metadata"]["name"] == name)
        return next(found, None)

    async def list_pages(
        self, resource: Resource, namespace: str | None = None, *, metadata_only: bool = False
    ) -> AsyncIterator[Page]:
        self.listings.append((resource.kind, namespace))
        self.whole += not metadata_only
        found = [
            obj
            for (kind, where), objects in self.objects.items()
            if kind == resource and namespace in (None, where)
            for obj in objects
        ]
        for start in range(0, max(len(found), 1), 2):
            page = found[start : start + 2]
            yield Page(
                tuple({"metadata": obj["metadata"]} for obj in page) if metadata_only else tuple(page), self.revision
            )
            if resource in self.faults:
                raise self.faults[resource]


def relisted(run_jumping: Any, before: list[KubeObject], after: list[KubeObject]) -> tuple[FakeCluster, Store]:
    """Has a cluster listed, changed without a word, and listed once more."""
    cluster, store = FakeCluster(), Store()

    async def main(clock: Clock) -> None:
        cluster.objects[WIDGETS, "default"] = before
        rounds = resync(cluster, store, clock)
        running = asyncio.create_task(rounds.run())
        await rounds.synced.wait()
        cluster.revision = 1000
        cluster.objects[WIDGETS, "default"] = after
        await asyncio.sleep(301)
        running.cancel()

    run_jumping(main)
    return cluster, store


def resync(cluster: FakeCluster, store: Store, clock: Clock, *namespaces: str) -> Resync:
    return Resync(
        cluster,  # type: ignore[arg-type]  # a listing is all that it needs
        store,
        (WIDGETS, GADGETS),
        namespaces=namespaces,
        interval_seconds=300,
        monotonic=clock,
        rng=lambda: 0.0,
    )


def names(store: Store, kind: str = "Widget") -> list[str]:
    return sorted(f"{key.namespace}/{key.name}" for key in store.by_kind(kind))


def test_a_deletion_that_the_watch_missed_is_found_within_one_interval(run_jumping: Any) -> None:
    async def main(clock: Clock) -> None:
        cluster, store, told = FakeCluster(), Store(), list[Change]()
        cluster.objects[WIDGETS, "default"] = [thing(name, 1) for name in "abcde"]
        rounds = resync(cluster, store, clock)
        running = asyncio.create_task(rounds.run())
        await rounds.synced.wait()
        store.listen(told.append)
        cluster.revision = 2
        del cluster.objects[WIDGETS, "default"][2]
        await asyncio.sleep(301)
        running.cancel()

        assert names(store) == ["default/a", "default/b", "default/d", "default/e"]
        assert [(change.key.name, change.after, change.relisted) for change in told] == [("c", None, True)]

    run_jumping(main)


def test_while_nothing_is_news_objects_are_never_listed_whole_again(run_jumping: Any) -> None:
    things = [thing(name, 1) for name in "abcde"]
    cluster, store = relisted(run_jumping, things, things)

    assert (len(cluster.listings), cluster.whole, cluster.read) == (4, 2, [])
    assert len(names(store)) == 5


def test_what_is_news_is_read_one_by_one_and_whole(run_jumping: Any) -> None:
    """A change, a creation, a deletion, and a name that is another object now: each as if the watch had told it."""
    before = [thing(name, 1) for name in "abcd"]
    other = {"metadata": {**thing("d", 9)["metadata"], "uid": "another"}}
    after = [{**obj, "spec": {"of": "late"}} for obj in (thing("a", 7), other, thing("e", 8))] + [before[1]]
    cluster, store = relisted(run_jumping, before, after)

    assert (sorted(cluster.read), cluster.whole) == (["a", "d", "e"], 2)
    assert {key.name: obj for key, obj in store.by_kind("Widget").items()} == {
        obj["metadata"]["name"]: obj for obj in after
    }


def test_so_much_news_is_listed_whole(run_jumping: Any) -> None:
    """After a long silence of the watch, hundreds of single calls would cost more than what they are to save."""
    before = [thing(f"w{number}", 1) for number in range(SINGLE_READS + 1)]
    after = [thing(f"w{number}", 2) for number in range(SINGLE_READS + 1)]
    cluster, store = relisted(run_jumping, before, after)

    assert (cluster.whole, cluster.read) == (3, [])
    assert all(obj["metadata"]["resourceVersion"] == "2" for obj in store.by_kind("Widget").values())


def test_what_was_deleted_between_its_listing_and_its_reading_is_not_stored(run_jumping: Any) -> None:
    """The watch tells of it, or the next listing."""

    class Fleeting(FakeCluster):
        async def get_object(self, resource: Resource, namespace: str | None, name: str) -> KubeObject | None:
            assert await super().get_object(resource, namespace, name)
            return None

    async def main(clock: Clock) -> None:
        cluster, store = Fleeting(), Store()
        rounds = resync(cluster, store, clock)
        running = asyncio.create_task(rounds.run())
        await rounds.synced.wait()
        cluster.revision = 3
        cluster.objects[WIDGETS, "default"] = [thing("a", 2)]
        await asyncio.sleep(301)
        running.cancel()

        assert (cluster.read, names(store)) == (["a"], [])

    run_jumping(main)


def test_the_store_is_synced_only_when_every_kind_and_namespace_was_listed_once(run_jumping: Any) -> None:
    async def main(clock: Clock) -> None:
        cluster = FakeCluster()
        cluster.faults[GADGETS] = KubeForbidden("No.", "Grant it.")
        rounds = resync(cluster, Store(), clock, "n", "m")
        running = asyncio.create_task(rounds.run())
        await asyncio.sleep(20)
        assert (rounds.synced.is_set(), rounds.completed_at) == (False, None)

        del cluster.faults[GADGETS]
        await rounds.synced.wait()
        running.cancel()
        assert rounds.completed_at == clock()
        assert set(cluster.listings) == {(kind, where) for kind in ("Widget", "Gadget") for where in "nm"}

    with capture_logs() as logs:
        run_jumping(main)
    complaints = [line["message"] for line in logs if line["event"] == "listing_failed"]
    assert complaints == ["No. Grant it."] * 2, "one for each namespace, once"


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(ListingExpired("Too late.", "Again."), id="a listing that expired half way"),
        pytest.param(KubeUnavailable("No answer.", "Wait."), id="a connection that broke half way"),
    ],
)
def test_a_listing_that_broke_off_deletes_nothing(run_jumping: Any, fault: KubeError) -> None:
    async def main(clock: Clock) -> None:
        cluster, store = FakeCluster(), Store()
        cluster.objects[WIDGETS, "default"] = [thing(name, 1) for name in "abcde"]
        rounds = resync(cluster, store, clock)
        running = asyncio.create_task(rounds.run())
        await rounds.synced.wait()
        cluster.revision = 2
        cluster.faults[WIDGETS] = fault
        rounds.soon(1)
        await asyncio.sleep(2)
        running.cancel()

        assert len(names(store)) == 5

    run_jumping(main)


def test_a_kind_that_is_installed_late_is_listed_then(run_jumping: Any) -> None:
    async def main(clock: Clock) -> None:
        cluster = FakeCluster()
        cluster.faults[GADGETS] = ResourceMissing("Unknown.", "Install it.")
        rounds = resync(cluster, Store(), clock)
        running = asyncio.create_task(rounds.run())
        await asyncio.sleep(600)
        assert not rounds.synced.is_set()

        del cluster.faults[GADGETS]
        await rounds.synced.wait()
        running.cancel()
        assert clock() <= 660

    run_jumping(main)


def test_a_round_can_be_asked_for_before_its_time(run_jumping: Any) -> None:
    async def main(clock: Clock) -> None:
        cluster = FakeCluster()
        rounds = resync(cluster, Store(), clock)
        running = asyncio.create_task(rounds.run())
        await rounds.synced.wait()
        rounds.soon(10)
        await asyncio.sleep(11)
        running.cancel()

        assert len(cluster.listings) == 4

    run_jumping(main)
