"""Looks at the services, each account at its own pace, and wakes the objects that a look concerns.

One task for each account in use. A look that finds nothing new wakes nobody, so ten thousand healthy runs cost their
listing and nothing else.
"""

import asyncio
from collections.abc import Callable, Iterable

from tinker_operator.controllers.accounts import Account
from tinker_operator.controllers.objects import account_of, key_of_run, training_runs
from tinker_operator.controllers.services import Services
from tinker_operator.core.identity import followed, owner_of
from tinker_operator.core.inventory import Inventory, concerned, unconfirmed
from tinker_operator.engine.store import Store
from tinker_operator.engine.workqueue import Priority, WorkQueue

CONFIRM_SECONDS = 2.0
"""Longest pause before a second look, when the first one found a run corrupted or missing."""
SPREAD = 0.1
"""Part of the interval by which a pause is shortened at random, so that accounts do not march in step."""
SHARED_AGE = 0.5
"""Part of the interval within which another account's look at the same service is as good as a new one."""


class Poller:
    """Polls every account that an object uses.

    Args:
        services: Where looks are kept.
        store: Tells which accounts are in use, by whom, and how often they want to be looked at.
        queue: Where concerned objects are put.
        cluster_id: First part of owner keys.
        rng: A number drawn evenly from 0 to 1.
    """

    def __init__(
        self, services: Services, store: Store, queue: WorkQueue, *, cluster_id: str, rng: Callable[[], float]
    ) -> None:
        self._services = services
        self._store = store
        self._queue = queue
        self._cluster_id = cluster_id
        self._rng = rng
        self._soon: dict[Account, asyncio.Event] = {}
        self._wanted = asyncio.Event()

    def soon(self, account: Account) -> None:
        """Asks for a look at once: an object follows a run that the newest look could not know."""
        if account in self._soon:
            self._soon[account].set()
        else:
            self._soon[account] = asyncio.Event()
            self._wanted.set()

    async def run(self) -> None:
        """Polls until cancelled."""
        async with asyncio.TaskGroup() as group:
            for run in training_runs(self._store):
                self.soon(account_of(run))
            started: set[Account] = set()
            while True:
                for account in set(self._soon) - started:
                    group.create_task(self._watch(account, started))
                    started.add(account)
                self._wanted.clear()
                await self._wanted.wait()

    async def _watch(self, account: Account, started: set[Account]) -> None:
        known, max_age = Inventory(), 0.0
        event = self._soon[account]
        while interval := self._interval(account):
            event.clear()
            watched = self._watched()
            await self._services.refresh(account, watched, max_age_seconds=max_age)
            current = self._services.inventory_of(account)
            self._wake(account, known, current)
            known = current
            pause = min(interval, CONFIRM_SECONDS) if unconfirmed(current, watched) else interval
            max_age = await self._pause(event, pause * (1 - SPREAD * self._rng()))
        started.discard(account)
        del self._soon[account]
        await self._services.forget(account)

    async def _pause(self, event: asyncio.Event, seconds: float) -> float:
        """Waits for the next look; returns how old a shared look may be: not at all when one was asked for."""
        try:
            await asyncio.wait_for(event.wait(), seconds)
        except TimeoutError:
            return seconds * SHARED_AGE
        return 0.0

    def _interval(self, account: Account) -> float | None:
        """Returns the shortest interval of the account's objects, in seconds; None when it has none left."""
        intervals = (run.spec.poll_interval_seconds for run in training_runs(self._store) if account_of(run) == account)
        return min(intervals, default=None)

    def _watched(self) -> Iterable[str]:
        return [run_id for run in training_runs(self._store) if (run_id := followed(run)) is not None]

    def _wake(self, account: Account, known: Inventory, current: Inventory) -> None:
        for run in training_runs(self._store):
            if account_of(run) == account and concerned(
                known, current, run_id=followed(run), owner=owner_of(run, self._cluster_id)
            ):
                self._queue.add(key_of_run(run), Priority.REMOTE)
