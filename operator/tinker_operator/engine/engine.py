"""Ties the parts of the engine together; the composition root makes one and runs it.

The order matters. The store is filled from a listing, then kopf watches, then the lease is waited for, then workers
start: nothing is reconciled from half a view, and nothing is written by a replica that does not lead. A standby does
all but the last two, so that a takeover costs the lease's expiry and no more.
"""

import asyncio
import random
from collections.abc import Callable, Collection, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import structlog

from tinker_operator.engine.fence import Leadership
from tinker_operator.engine.health import Vitals
from tinker_operator.engine.keys import Monotonic, ObjectKey, Resource
from tinker_operator.engine.objects import ObjectApi
from tinker_operator.engine.resync import Resync
from tinker_operator.engine.source import EventSource
from tinker_operator.engine.store import Change, Store
from tinker_operator.engine.supervisor import Supervisor
from tinker_operator.engine.wakes import Wakes
from tinker_operator.engine.workers import Reconcile, WorkerPool
from tinker_operator.engine.workqueue import Priority, WorkQueue

GATHER_SECONDS = 0.25
"""How long a listing that was asked for waits for others who ask."""
Duty: TypeAlias = Callable[[], Coroutine[Any, Any, None]]
"""Something that runs for as long as this replica leads: a poller."""


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """How the engine runs.

    Attributes:
        workers: How many objects are reconciled at once; several times the queue's room for a group, so that what is
            slow for a few groups leaves workers for the others.
        reconcile_seconds: How long one reconciliation may take.
        resync_seconds: The pause between anti-entropy listings.
        settle_seconds: How long after a start of the watch the store is checked against a listing.
        drain_seconds: How long work that is under way may go on when the engine is asked to stop.
        cancel_seconds: How long work that was cancelled may take to end; until then the lease is not given up.
        end_seconds: How long everything together may take to end, but for the release of the lease.
    """

    workers: int = 256
    reconcile_seconds: float = 300.0
    resync_seconds: float = 300.0
    settle_seconds: float = 60.0
    drain_seconds: float = 4.0
    cancel_seconds: float = 1.0
    end_seconds: float = 7.0


class Engine:
    """Watches resources and has changed objects reconciled, on the one replica that leads.

    Args:
        resources: What to watch and to reconcile from.
        reconcile: Brings one object forward; only ever called while this replica leads, never twice at once for a key.
        api: The API server.
        store: Filled by the engine; controllers read it, and apply the responses to their writes to it.
        queue: Controllers may add keys to it.
        source: Delivers watch events.
        wakes: Which keys a change wakes.
        silent_for: For how many seconds nothing can be said of a key yet: it waits so long, or until it is added.
        elector: Decides who leads; None for the only replica.
        namespaces: What to watch; empty for all.
        while_leading: Run beside the workers.
        settings: How it runs.
        monotonic: Clock, in seconds; the one that the event loop's timers follow.
        rng: A number drawn evenly from 0 to 1, for spreading.
    """

    def __init__(
        self,
        resources: Sequence[Resource],
        reconcile: Reconcile,
        *,
        api: ObjectApi,
        store: Store,
        queue: WorkQueue,
        source: EventSource,
        wakes: Wakes,
        elector: Leadership | None,
        monotonic: Monotonic,
        namespaces: Collection[str] = (),
        silent_for: Callable[[ObjectKey], float] = lambda _key: 0.0,
        while_leading: Sequence[Duty] = (),
        settings: EngineSettings | None = None,
        rng: Callable[[], float] = random.random,
    ) -> None:
        self._resources = {resource.kind: resource for resource in resources}
        self._api, self._store, self._queue = api, store, queue
        self._wakes, self._silent_for = wakes, silent_for
        self._elector, self._while_leading = elector, tuple(while_leading)
        self._settings = settings or EngineSettings()
        self._log = structlog.get_logger(__name__)
        self._supervisor = Supervisor(source, store, started=self._watch_started, monotonic=monotonic, rng=rng)
        self._resync = Resync(
            api,
            store,
            resources,
            namespaces=namespaces,
            interval_seconds=self._settings.resync_seconds,
            monotonic=monotonic,
            rng=rng,
        )
        self._pool = WorkerPool(
            queue,
            reconcile,
            refresh=self._refresh,
            count=self._settings.workers,
            deadline_seconds=self._settings.reconcile_seconds,
            rng=rng,
        )
        self._monotonic = monotonic
        self._duties: set[asyncio.Task[None]] = set()
        self.leading = asyncio.Event()

    @property
    def synced(self) -> asyncio.Event:
        """Set once the store holds everything that was there at the start: the replica is ready."""
        return self._resync.synced

    @property
    def listed_at(self) -> float | None:
        """When the last complete listing ended, on the monotonic clock: how old the view may be, at worst."""
        return self._resync.completed_at

    def listed_from(self, kinds: Collection[str]) -> float | None:
        """When the last listing of these kinds began, on the monotonic clock: what was written before is in the store.

        Args:
            kinds: Of which all were listed; None is returned before that.
        """
        return self._resync.listed_from(kinds)

    def list_soon(self) -> None:
        """Have everything listed, once for all who ask at about the same time."""
        self._resync.soon(GATHER_SECONDS)

    def vitals(self) -> Vitals:
        """What there is to tell of this replica's health."""
        return Vitals(self.synced.is_set(), self.leading.is_set(), self.listed_at, self._settings.resync_seconds)

    async def run(self, stop: asyncio.Event) -> None:
        """Run until asked to stop, then end within ten seconds with the lease released.

        Args:
            stop: Set it to end the engine.

        Raises:
            LeadershipLost: Another replica may lead. All work was cancelled; the process must exit, and not with 0.
            Exception: A part of the engine or a duty failed.
        """
        self._store.listen(self._on_change)
        feeding = asyncio.create_task(self._feed(), name="feed")
        leading = asyncio.create_task(self._lead(), name="lead")
        stopping = asyncio.create_task(stop.wait(), name="stop")
        try:
            await asyncio.wait((feeding, leading, stopping), return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            await self._end(feeding, leading, graceful=stop.is_set())
        for part in (leading, feeding):
            if part.done() and not part.cancelled():
                part.result()

    async def _feed(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._resync.run())
            # Not before: kopf would look in vain for a kind that is not installed yet.
            await self._resync.synced.wait()
            group.create_task(self._supervisor.run())

    async def _lead(self) -> None:
        await self._resync.synced.wait()
        if self._elector is not None:
            await self._elector.acquire()
        self.leading.set()
        hold = () if self._elector is None else (self._elector.hold,)
        self._duties = {asyncio.create_task(duty()) for duty in (*hold, self._pool.run, *self._while_leading)}
        done, _ = await asyncio.wait(self._duties, return_when=asyncio.FIRST_EXCEPTION)
        for duty in done:
            duty.result()

    async def _end(self, feeding: "asyncio.Task[None]", leading: "asyncio.Task[None]", *, graceful: bool) -> None:
        """Stop working, give the lease up, and see that the rest ends too."""
        deadline = self._monotonic() + self._settings.end_seconds
        feeding.cancel()
        if graceful and self.leading.is_set():
            await self._pool.drain(self._settings.drain_seconds)
        self.leading.clear()
        if await self._ended({leading, *self._duties}, self._settings.cancel_seconds) and self._elector is not None:
            await self._elector.release()
        await self._ended({feeding}, max(0.0, deadline - self._monotonic()))

    async def _ended(self, tasks: set["asyncio.Task[None]"], seconds: float) -> bool:
        for task in tasks:
            task.cancel()
        _, stuck = await asyncio.wait(tasks, timeout=seconds)
        if stuck:
            self._log.error("engine_left_behind", tasks=sorted(task.get_name() for task in stuck))
        return not stuck

    def _watch_started(self) -> None:
        self._resync.soon(self._settings.settle_seconds)

    def _on_change(self, change: Change) -> None:
        priority = Priority.RESYNC if change.relisted else Priority.CHANGED
        for key in self._wakes(change):
            self._queue.add_after(key, self._silent_for(key), priority)

    async def _refresh(self, key: ObjectKey) -> None:
        """Read an object anew: what was decided on turned out to be stale, and its event may be long in coming."""
        now = await self._api.get_object(self._resources[key.kind], key.namespace or None, key.name)
        stored = self._store.get(key)
        if now is not None:
            self._store.apply(key.kind, now)
        elif stored is not None:
            self._store.discard(key.kind, stored)
