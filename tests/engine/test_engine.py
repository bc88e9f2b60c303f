"""The engine as a whole, against fakes and a clock that jumps: order at the start, order at the end."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from tinker_operator.engine.elector import Elector, LeadershipLost
from tinker_operator.engine.engine import Engine, EngineSettings
from tinker_operator.engine.keys import KubeObject, ObjectKey, Resource
from tinker_operator.engine.kube_errors import KubeUnavailable, WriteConflict
from tinker_operator.engine.lease import NOBODY, LeaseRecord, LeaseTimings
from tinker_operator.engine.objects import Page
from tinker_operator.engine.source import EventSink
from tinker_operator.engine.store import Store
from tinker_operator.engine.wakes import wake_itself
from tinker_operator.engine.workqueue import WorkQueue

pytestmark = pytest.mark.pure

Clock = Callable[[], float]
WALL = datetime(2026, 1, 1, tzinfo=UTC)
WIDGETS = Resource("g.dev", "v1", "widgets", "Widget")


class FakeCluster:
    """Objects with versions, one watcher at a time, and a lease; it can go away."""

    def __init__(self, clock: Clock, count: int = 3) -> None:
        self._clock = clock
        self.revision = 0
        self.objects: dict[str, KubeObject] = {}
        self.sinks: list[EventSink] = []
        self.lease: LeaseRecord | None = None
        self.away = False
        self.unlistable = False
        self.source_ended_at: float | None = None
        self.source_end_seconds = 0.0
        for number in range(count):
            self.write(f"w{number}")

    def write(self, name: str) -> KubeObject:
        self.revision += 1
        generation = self.objects[name]["metadata"]["generation"] + 1 if name in self.objects else 1
        metadata = {"namespace": "default", "name": name, "uid": name, "generation": generation}
        self.objects[name] = {"metadata": {**metadata, "resourceVersion": str(self.revision)}}
        for sink in self.sinks:
            sink.apply("Widget", self.objects[name])
        return self.objects[name]

    async def list_pages(
        self, resource: Resource, _: str | None = None, *, metadata_only: bool = False
    ) -> AsyncIterator[Page]:
        assert resource == WIDGETS
        if self.unlistable:
            raise KubeUnavailable("No answer.", "Wait.")
        objects = self.objects.values()
        yield Page(tuple({"metadata": obj["metadata"]} if metadata_only else obj for obj in objects), self.revision)

    async def get_object(self, _: Resource, namespace: str | None, name: str) -> KubeObject | None:
        assert namespace == "default"
        return self.objects.get(name)

    async def run(self, sink: EventSink) -> None:
        self.sinks.append(sink)
        try:
            await asyncio.Event().wait()
        finally:
            self.sinks.remove(sink)
            await asyncio.sleep(self.source_end_seconds)
            self.source_ended_at = self._clock()

    async def read(self) -> LeaseRecord | None:
        if self.away:
            raise KubeUnavailable("No answer.", "Wait.")
        return self.lease

    async def write_lease(self, record: LeaseRecord) -> LeaseRecord:
        if self.away:
            raise KubeUnavailable("No answer.", "Wait.")
        if record.resource_version != (self.lease.resource_version if self.lease else ""):
            raise WriteConflict("Another wrote.", "Read.")
        self.revision += 1
        self.lease = replace(record, resource_version=str(self.revision))
        return self.lease


class LeaseOf:
    def __init__(self, cluster: FakeCluster) -> None:
        self.read, self.write = cluster.read, cluster.write_lease


class Replica:
    """One operator process: an engine, and what its reconcile function did."""

    def __init__(
        self,
        name: str,
        cluster: FakeCluster,
        clock: Clock,
        *,
        work_seconds: float = 0.0,
        silent_for: Callable[[ObjectKey], float] = lambda _key: 0.0,
    ) -> None:
        self._clock, self._work_seconds = clock, work_seconds
        self.store, self.queue = Store(), WorkQueue(clock, lambda: 0.0)
        self.begun: list[tuple[str, float]] = []
        self.cancelled: list[str] = []
        self.polling = False
        self.stop = asyncio.Event()
        elector = Elector(LeaseOf(cluster), name, timings=LeaseTimings(), monotonic=clock, clock=lambda: WALL)
        self.engine = Engine(
            (WIDGETS,),
            self.reconcile,
            api=cluster,  # type: ignore[arg-type]  # listing and getting are all that it needs
            store=self.store,
            queue=self.queue,
            source=cluster,
            wakes=wake_itself(),
            elector=elector,
            monotonic=clock,
            silent_for=silent_for,
            while_leading=(self.poll,),
            settings=EngineSettings(workers=2),
            rng=lambda: 0.0,
        )
        self.running = asyncio.create_task(self.engine.run(self.stop))

    async def poll(self) -> None:
        self.polling = True
        try:
            await asyncio.Event().wait()
        finally:
            self.polling = False

    async def reconcile(self, key: ObjectKey) -> float | None:
        self.begun.append((key.name, round(self._clock(), 3)))
        try:
            await asyncio.sleep(self._work_seconds)
        except asyncio.CancelledError:
            self.cancelled.append(key.name)
            raise
        return None

    async def end(self) -> None:
        self.stop.set()
        await self.running


def test_all_objects_are_reconciled_once_at_the_start_and_then_only_when_they_change(run_jumping: Any) -> None:
    async def main(clock: Clock) -> None:
        cluster = FakeCluster(clock)
        replica = Replica("a", cluster, clock)
        await asyncio.sleep(3600)
        at_rest = [name for name, _ in replica.begun]
        cluster.write("w1")
        await asyncio.sleep(3600)
        await replica.end()

        assert sorted(at_rest) == ["w0", "w1", "w2"]
        assert [name for name, _ in replica.begun[3:]] == ["w1"]

    run_jumping(main)


def test_a_change_of_a_user_goes_before_what_was_there_at_the_start(run_jumping: Any) -> None:
    async def main(clock: Clock) -> None:
        cluster = FakeCluster(clock, count=100)
        replica = Replica("a", cluster, clock, work_seconds=1)
        await asyncio.sleep(3.5)
        cluster.write("new")
        await asyncio.sleep(100)
        await replica.end()

        (begun_at,) = [at for name, at in replica.begun if name == "new"]
        assert begun_at == 4

    run_jumping(main)


def test_of_whom_nothing_can_be_said_yet_waits_its_time_or_for_who_can_say_it(run_jumping: Any) -> None:
    async def main(clock: Clock) -> None:
        cluster, silent = FakeCluster(clock), {"w0": 7.0, "w1": 7.0}
        replica = Replica("a", cluster, clock, silent_for=lambda key: silent.get(key.name, 0.0))
        await asyncio.sleep(3)
        replica.queue.add(ObjectKey("Widget", "default", "w1"))
        await asyncio.sleep(1)
        cluster.write("w0")
        await asyncio.sleep(2)
        assert replica.begun == [("w2", 0.0), ("w1", 3.0)]

        silent.clear()
        cluster.write("w1")
        await asyncio.sleep(30)
        await replica.end()

        assert sorted(replica.begun[2:]) == [("w0", 7.0), ("w1", 6.0), ("w1", 7.0)]

    run_jumping(main)


def test_a_standby_writes_nothing_keeps_a_warm_store_and_takes_over(run_jumping: Any) -> None:
    async def main(clock: Clock) -> None:
        cluster = FakeCluster(clock)
        leader = Replica("a", cluster, clock)
        await asyncio.sleep(1)
        standby = Replica("b", cluster, clock)
        await asyncio.sleep(30)
        cluster.write("w9")
        await asyncio.sleep(30)
        assert (standby.begun, standby.polling, len(standby.store.by_kind("Widget"))) == ([], False, 4)

        await leader.end()
        await asyncio.sleep(3)
        assert sorted(name for name, _ in standby.begun) == ["w0", "w1", "w2", "w9"]
        assert (standby.polling, leader.polling) == (True, False)
        await standby.end()

    run_jumping(main)


def test_a_replica_that_cannot_see_the_objects_does_not_try_to_lead(run_jumping: Any) -> None:
    async def main(clock: Clock) -> None:
        cluster = FakeCluster(clock)
        cluster.unlistable = True
        replica = Replica("a", cluster, clock)
        await asyncio.sleep(600)
        blind = (cluster.lease, list(cluster.sinks), list(replica.begun))
        cluster.unlistable = False
        await asyncio.sleep(600)
        await replica.end()

        assert blind == (None, [], [])
        assert len(replica.begun) == 3

    run_jumping(main)


def test_on_losing_the_lease_work_is_cancelled_at_once_and_the_engine_ends_with_an_error(run_jumping: Any) -> None:
    async def main(clock: Clock) -> None:
        cluster = FakeCluster(clock, count=5)
        replica = Replica("a", cluster, clock, work_seconds=120)
        await asyncio.sleep(20.5)
        cluster.away = True
        lost_by = clock() + LeaseTimings().deadline_seconds
        with pytest.raises(LeadershipLost):
            await replica.running

        assert clock() <= lost_by
        assert sorted(replica.cancelled) == sorted(name for name, _ in replica.begun)
        assert (len(replica.cancelled), replica.polling) == (2, False)

    run_jumping(main)


def test_on_a_stop_work_may_finish_the_lease_is_released_and_all_ends_in_ten_seconds(run_jumping: Any) -> None:
    async def main(clock: Clock) -> None:
        cluster = FakeCluster(clock, count=1)
        replica = Replica("a", cluster, clock, work_seconds=3)
        cluster.source_end_seconds = 6
        await asyncio.sleep(1)
        asked_at = clock()
        await replica.end()

        assert replica.cancelled == []
        assert cluster.lease is not None
        assert cluster.lease.holder == NOBODY
        assert clock() - asked_at == pytest.approx(6)

    run_jumping(main)


@pytest.mark.parametrize("away", [False, True])
def test_a_stop_takes_less_than_ten_seconds_though_everything_hangs(run_jumping: Any, away: bool) -> None:
    async def main(clock: Clock) -> None:
        cluster = FakeCluster(clock, count=1)
        replica = Replica("a", cluster, clock, work_seconds=1000)
        cluster.source_end_seconds = 1000
        await asyncio.sleep(1)
        cluster.away = away
        asked_at = clock()
        await replica.end()

        assert clock() - asked_at < 10
        assert replica.cancelled == ["w0"]

    run_jumping(main)


def test_a_duty_that_fails_ends_the_engine_with_its_error(run_jumping: Any) -> None:
    async def main(clock: Clock) -> None:
        cluster = FakeCluster(clock)

        async def broken() -> None:
            await asyncio.sleep(5)
            raise ZeroDivisionError

        async def reconcile(_: ObjectKey) -> None:
            return None

        engine = Engine(
            (WIDGETS,),
            reconcile,
            api=cluster,  # type: ignore[arg-type]  # listing and getting are all that it needs
            store=Store(),
            queue=WorkQueue(clock),
            source=cluster,
            wakes=wake_itself(),
            elector=None,
            monotonic=clock,
            while_leading=(broken,),
        )
        with pytest.raises(ZeroDivisionError):
            await engine.run(asyncio.Event())

        assert cluster.source_ended_at == clock() == 5

    run_jumping(main)


def test_a_conflict_is_settled_by_reading_the_object_and_not_by_waiting_for_its_event(run_jumping: Any) -> None:
    """A watch may be minutes behind; the object that a conflict tells of is read at once."""

    async def main(clock: Clock) -> None:
        cluster = FakeCluster(clock, count=1)
        store, seen = Store(), list[str]()

        async def reconcile(key: ObjectKey) -> None:
            known = store.get(key)
            seen.append("gone" if known is None else known["metadata"]["resourceVersion"])
            if known is not None and cluster.objects.get(key.name) != known:
                raise WriteConflict("It changed.", "Read it again.")

        engine = Engine(
            (WIDGETS,),
            reconcile,
            api=cluster,  # type: ignore[arg-type]  # listing and getting are all that it needs
            store=store,
            queue=(queue := WorkQueue(clock, lambda: 0.0)),
            source=cluster,
            wakes=wake_itself(),
            elector=None,
            monotonic=clock,
        )
        stop = asyncio.Event()
        running = asyncio.create_task(engine.run(stop))
        await asyncio.sleep(100)
        cluster.sinks.clear()
        cluster.write("w0")
        queue.add(ObjectKey("Widget", "default", "w0"))
        await asyncio.sleep(1)
        del cluster.objects["w0"]
        queue.add(ObjectKey("Widget", "default", "w0"))
        await asyncio.sleep(1)
        cluster.sinks.append(store)
        stop.set()
        await running

        assert seen == ["1", "1", "2", "2", "gone"]

    run_jumping(main)
