"""Looks at the services, each account at its own pace, and wakes the objects that a look concerns.

One task for each account in use. A look that finds nothing new wakes nobody, so ten thousand healthy runs cost their
listing and nothing else.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import structlog

from tinker_operator.api.reasons import Reason
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.controllers.accounts import Account
from tinker_operator.controllers.objects import TRAINING_RUNS, parsed
from tinker_operator.controllers.services import Services
from tinker_operator.controllers.tracked import Tracked, tracked, tracked_by_account
from tinker_operator.core.discovery import newer_than_followed
from tinker_operator.core.identity import owner_key
from tinker_operator.core.inventory import Inventory, unconfirmed
from tinker_operator.core.inventory_change import change_between
from tinker_operator.core.world import Fault
from tinker_operator.engine.faults import described
from tinker_operator.engine.keys import ObjectKey
from tinker_operator.engine.store import Change, Store
from tinker_operator.engine.wakes import essential
from tinker_operator.engine.workqueue import Priority, WorkQueue

CONFIRM_SECONDS = 2.0
"""Longest pause before a second look, when the first one found a run corrupted or missing."""
DOUBT_SECONDS = 10.0
"""Longest pause after the first look that failed: the next one tells whether the trouble lasts."""
FAULT_SECONDS = 60.0
"""Longest pause after a look that failed, so that what is mended is noticed soon whatever the interval."""
SPREAD = 0.1
"""Part of the interval by which a pause is shortened at random, so that accounts do not march in step."""
SHARED_AGE = 0.5
"""Part of the interval within which another account's look at the same service is as good as a new one."""
LINGER_SECONDS = 45.0
"""How long an account outlives its last object: sessions of a deleted TrainingRun are finished through it."""
SHORTEST_PAUSE_SECONDS = 0.2
"""Pause before a look that was asked for, and again while others ask: many objects made at once share it."""
SHORTEST_PAUSES = 3
"""How many such pauses there are at most."""
DEFECT = Fault(Reason.INTERNAL_FAULT, "A defect of the operator kept it from looking. Report the line of its log.")
log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Turn:
    """What the next look at an account has to show.

    Attributes:
        asked: Set when it has to come at once.
        whole: Whether it has to be at all runs.
        unseen: Runs that no look can have shown yet, to be asked for alone where that is enough.
        pause_seconds: How long the account rests until it looks by itself; 0 while it does not.
    """

    asked: asyncio.Event = field(default_factory=asyncio.Event)
    whole: bool = True
    unseen: set[str] = field(default_factory=set)
    pause_seconds: float = 0.0

    def take(self) -> set[str] | None:
        """Returns the runs to ask for, or None for all; what is asked from now on is for the look after this one."""
        taken = None if self.whole else self.unseen
        self.asked.clear()
        self.whole, self.unseen = False, set()
        return taken


class Poller:
    """Polls every account that an object uses.

    Args:
        services: Where looks are kept.
        store: Tells which accounts are in use, by whom, and how often they want to be looked at.
        queue: Where concerned objects are put.
        cluster_id: First part of owner keys.
        rng: A number drawn evenly from 0 to 1.
        shortest_interval: Floor of what objects may ask for, in seconds.
        concerns: Whether a TrainingRun's account is looked at here; all are, unless another shard does it.
    """

    def __init__(
        self,
        services: Services,
        store: Store,
        queue: WorkQueue,
        *,
        cluster_id: str,
        rng: Callable[[], float],
        shortest_interval: float = 1.0,
        concerns: Callable[[ObjectKey], bool] = lambda _key: True,
    ) -> None:
        self._concerns = concerns
        self._shortest_interval = shortest_interval
        self._services = services
        self._store = store
        self._queue = queue
        self._cluster_id = cluster_id
        self._rng = rng
        self._turns: dict[Account, _Turn] = {}
        self._wanted = asyncio.Event()
        store.listen(self._on_change)

    def soon(self, account: Account, unseen: str | None = None) -> None:
        """Asks for a look at once: an object needs to know what the newest one could not show.

        Args:
            account: Whose service.
            unseen: The only run that has to be known; None for a look at all of them.
        """
        turn = self._turns.get(account)
        if turn is None:
            self._turns[account] = _Turn()
            self._wanted.set()
            return
        if unseen is None:
            turn.whole = True
        else:
            turn.unseen.add(unseen)
        turn.asked.set()

    async def run(self) -> None:
        """Polls until cancelled."""
        async with asyncio.TaskGroup() as group:
            for account in tracked_by_account(self._store):
                if self._interval(account) is not None:
                    self.soon(account)
            started: set[Account] = set()
            while True:
                for account in set(self._turns) - started:
                    group.create_task(self._watch(account, started))
                    started.add(account)
                self._wanted.clear()
                await self._wanted.wait()

    def _on_change(self, change: Change) -> None:
        """A shorter interval is heeded now, not when the longer one is over."""
        if change.key.kind != TRAINING_RUNS.kind or change.after is None or not essential(change):
            return
        run = tracked(change.after)
        turn = None if run is None else self._turns.get(run.account)
        if run is not None and turn is not None and run.poll_seconds < turn.pause_seconds:
            self.soon(run.account)

    async def _watch(self, account: Account, started: set[Account]) -> None:
        known, due, max_age = Inventory(), 0.0, 0.0
        turn = self._turns[account]
        while (interval := self._interval(account)) or await self._used_again(account, turn):
            if interval is None:
                continue
            whole = await self._look(account, turn.take(), max_age)
            current = self._services.inventory_of(account)
            self._wake(account, known, current)
            known = current
            pause = min(interval, self._patience(account, current)) * (1 - SPREAD * self._rng())
            now = asyncio.get_running_loop().time()
            due = now + pause if whole else min(due, now + pause)  # single runs do not put the next look off
            max_age = await self._pause(turn, due - now)
        started.discard(account)
        del self._turns[account]
        await self._services.forget(account)

    def _patience(self, account: Account, current: Inventory) -> float:
        if current.fault is not None or (current.doubt is not None and current.doubt.reason is Reason.RATE_LIMITED):
            return FAULT_SECONDS  # who was asked to wait does not look sooner because of that
        calm = float("inf") if current.doubt is None else DOUBT_SECONDS
        return CONFIRM_SECONDS if unconfirmed(current, self._watched(account)) else calm

    async def _look(self, account: Account, unseen: set[str] | None, max_age_seconds: float) -> bool:
        """Returns whether it was a look at all runs.

        One account's trouble, even one that nobody thought of, must not end the look at all others.
        """
        try:
            if unseen is not None and await self._services.show(account, unseen):
                return False
            await self._services.refresh(account, tuple(self._watched(account)), max_age_seconds=max_age_seconds)
        except Exception as error:  # noqa: BLE001 - see above
            log.warning("look_failed", namespace=account.namespace, secret=account.secret, **described(error))
            await self._services.fail(account, DEFECT)
        return True

    async def _pause(self, turn: _Turn, seconds: float) -> float:
        """Waits for the next look; returns how old a shared look may be: not at all when one was asked for."""
        turn.pause_seconds = seconds
        try:
            await asyncio.wait_for(turn.asked.wait(), seconds)
        except TimeoutError:
            turn.whole = True
            return seconds * SHARED_AGE
        finally:
            turn.pause_seconds = 0.0
        for _ in range(SHORTEST_PAUSES):
            turn.asked.clear()
            await asyncio.sleep(SHORTEST_PAUSE_SECONDS)
            if not turn.asked.is_set():
                break
        return 0.0

    async def _used_again(self, account: Account, turn: _Turn) -> bool:
        turn.take()
        await self._pause(turn, LINGER_SECONDS)
        turn.whole = True
        return self._interval(account) is not None

    def _users(self, account: Account) -> Iterator[tuple[ObjectKey, Tracked]]:
        users = tracked_by_account(self._store).get(account, ())
        return ((key, run) for key, run in users if self._concerns(key))

    def _interval(self, account: Account) -> float | None:
        """Returns the shortest interval of the account's objects, in seconds; None when it has none left."""
        asked = min((run.poll_seconds for _, run in self._users(account)), default=None)
        return None if asked is None else max(float(asked), self._shortest_interval)

    def _watched(self, account: Account) -> Iterator[str]:
        """Yields the runs followed through the same service as this account's: they share its inventory."""
        service = self._services.of(account)
        for other in tracked_by_account(self._store):
            if other == account or self._services.of(other) is service is not None:
                yield from (run.followed for _, run in self._users(other) if run.followed is not None)

    def _wake(self, account: Account, known: Inventory, current: Inventory) -> None:
        change = change_between(known, current)
        for key, run in self._users(account):
            moved = change.concerns(run.followed, owner_key(self._cluster_id, key.namespace, key.name))
            # An object that is not bound waits for a look that began after it came; nothing need have changed in it.
            if moved or not run.is_bound or (run.discovers and self._goes_over(key, current)):
                self._queue.add(key, Priority.REMOTE)

    def _goes_over(self, key: ObjectKey, current: Inventory) -> bool:
        run = parsed(TrainingRun, self._store.get(key))
        return run is not None and newer_than_followed(run, current) is not None
