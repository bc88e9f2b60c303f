"""The workers: a bounded number of coroutines between the queue and the one `reconcile` function.

They know three outcomes. It went well: failures are forgotten, and the key comes back when reconcile asked for it. The
object had changed meanwhile: look again, at once. It failed: the key comes back later and later.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import structlog

from tinker_operator.engine.faults import described
from tinker_operator.engine.keys import ObjectKey
from tinker_operator.engine.kube_errors import KubeUnavailable, ObjectGone, WriteConflict
from tinker_operator.engine.pause import LONGEST_SECONDS
from tinker_operator.engine.workqueue import WorkQueue

Reconcile: TypeAlias = Callable[[ObjectKey], Awaitable[float | None]]
"""Brings one object forward; returns the seconds after which it wants to be called again, or None."""

Refresh: TypeAlias = Callable[[ObjectKey], Awaitable[None]]
"""Reads one object anew into the store: what was decided on turned out to be stale."""


class PutOff(Exception):
    """A round that cannot go on, and knows how long it need not be tried again.

    Args:
        message: What happened.
        retry_after: In seconds; 0 when that is not known.
    """

    def __init__(self, message: str, *, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


LONG_SECONDS = 600.0
"""A wait from here on is spread: what began at once must not come back at once, hour by hour."""
SPREAD = 0.1
"""The part of such a wait that chance takes off."""
CONFLICTS_AT_ONCE = 3
"""Conflicts in a row after which one is taken for a failure: somebody writes as fast as we do, or we are at fault."""


class WorkerPool:
    """So many workers on one queue.

    Args:
        queue: Where keys come from.
        reconcile: What to do with a key.
        refresh: Called before a key is tried again after a conflict.
        count: How many keys are in work at once.
        deadline_seconds: A reconciliation that takes longer is cancelled and counts as failed.
        rng: A number drawn evenly from 0 to 1.
    """

    def __init__(
        self,
        queue: WorkQueue,
        reconcile: Reconcile,
        *,
        refresh: Refresh,
        count: int = 32,
        deadline_seconds: float = 300.0,
        rng: Callable[[], float] = random.random,
    ) -> None:
        self._rng = rng
        self._queue = queue
        self._reconcile = reconcile
        self._refresh = refresh
        self._count = count
        self._deadline_seconds = deadline_seconds
        self._conflicts: Counter[ObjectKey] = Counter()
        self._workers: set[asyncio.Task[None]] = set()
        self._busy: set[asyncio.Task[None]] = set()
        self._draining = False
        self._log = structlog.get_logger(__name__)

    async def run(self) -> None:
        """Work until drained or cancelled; cancelling cancels what is in work."""
        async with asyncio.TaskGroup() as group:
            self._workers = {group.create_task(self._work()) for _ in range(self._count)}

    async def drain(self, seconds: float) -> None:
        """Take no more keys, and let what is in work finish.

        Args:
            seconds: How long to wait for that, at most.
        """
        self._draining = True
        for worker in self._workers - self._busy:
            worker.cancel()
        if self._busy:
            await asyncio.wait(tuple(self._busy), timeout=seconds)

    async def _work(self) -> None:
        worker = asyncio.current_task()
        assert worker is not None  # noqa: S101 - only for the type checker: a coroutine always runs in a task
        while not self._draining:
            key = await self._queue.get()
            self._busy.add(worker)
            try:
                await self._attend(key)
            finally:
                self._busy.discard(worker)
                self._queue.done(key)

    async def _attend(self, key: ObjectKey) -> None:
        try:
            async with asyncio.timeout(self._deadline_seconds):
                again_after = await self._reconcile(key)
        except (WriteConflict, ObjectGone) as fault:
            await self._look_again(key, fault)
        except Exception as fault:  # noqa: BLE001 - one object's fault must not stop the others
            self._failed(key, fault)
        else:
            self._went_well(key, again_after)

    def _went_well(self, key: ObjectKey, again_after: float | None) -> None:
        self._queue.forget(key)
        self._conflicts.pop(key, None)
        if again_after is not None:
            late = again_after >= LONG_SECONDS
            self._queue.add_after(key, again_after * (1.0 - SPREAD * self._rng()) if late else again_after)

    async def _look_again(self, key: ObjectKey, fault: WriteConflict | ObjectGone) -> None:
        self._conflicts[key] += 1
        try:
            await self._refresh(key)
        except Exception as second:  # noqa: BLE001 - as above
            self._failed(key, second)
            return
        if isinstance(fault, ObjectGone) or self._conflicts[key] > CONFLICTS_AT_ONCE:
            self._failed(key, fault)
        else:
            self._queue.add(key)

    def _failed(self, key: ObjectKey, fault: Exception) -> None:
        asked = fault.retry_after if isinstance(fault, KubeUnavailable | PutOff) else 0.0
        asked = min(asked, LONGEST_SECONDS) if isinstance(fault, KubeUnavailable) else asked
        seconds = self._queue.add_rate_limited(key, at_least=asked)
        self._log.warning(
            "reconcile_failed",
            kind=key.kind,
            namespace=key.namespace,
            name=key.name,
            retry_seconds=round(seconds, 1),
            **described(fault),
        )
