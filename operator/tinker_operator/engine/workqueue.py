"""The queue between "something changed" and "a worker looks at it".

The store's listener, the pollers and the workers put keys in; only the workers take them out. It keeps the three
promises of the work queue that controllers in Go are built on: a key that is waiting is not queued twice, a key in
work is handed to nobody else and comes back if it was added meanwhile, and a key that fails is retried ever later.
Beyond that it has priorities, takes turns between namespaces so that a crowded one does not starve the rest, and bounds
how many keys of a group are in work at once, so that a slow connection holds up its own objects only.
"""

import asyncio
import random
import sys
from collections import Counter
from collections.abc import Callable, Hashable
from typing import Protocol

from tinker_operator.engine.backoff import Backoff
from tinker_operator.engine.keys import Monotonic, ObjectKey
from tinker_operator.engine.timetable import Timetable
from tinker_operator.engine.turns import Priority as Priority  # noqa: PLC0414 - callers know it as the queue's own
from tinker_operator.engine.turns import Turns

WAIT_SPREAD = 0.2
"""The share of a wait that the other side asked for which chance may add to it."""


def namespace_of(key: ObjectKey) -> Hashable:
    """The default lane of a key: namespaces take turns."""
    return key.namespace


class QueueWatch(Protocol):
    """Told of what becomes of keys, for metrics."""

    def added(self, key: ObjectKey) -> None:
        """A key begins to wait for a worker."""

    def taken(self, key: ObjectKey) -> None:
        """A worker takes a key that waited."""

    def retried(self, key: ObjectKey) -> None:
        """A key is put off, because it failed."""


class WorkQueue:
    """Keys to be worked on. For one event loop; only `get` waits.

    Args:
        monotonic: The clock, in seconds, the same that the event loop's timers follow.
        rng: A number drawn evenly from 0 to 1, for the spread of back-off.
        backoff: The waits of failing keys.
        lane: What takes turns within a priority.
        group: What can be slow for all of its keys; None when each key is by itself.
        room: How many keys of a group are in work at once.
        watch: Told of every key; None for nobody.
    """

    def __init__(
        self,
        monotonic: Monotonic,
        rng: Callable[[], float] = random.random,
        *,
        backoff: Backoff | None = None,
        lane: Callable[[ObjectKey], Hashable] = namespace_of,
        group: Callable[[ObjectKey], Hashable] | None = None,
        room: int = sys.maxsize,
        watch: QueueWatch | None = None,
    ) -> None:
        self._monotonic = monotonic
        self._watch = watch
        self._rng = rng
        self._backoff = backoff or Backoff()
        self._turns = Turns(lane, group or (lambda key: key), room)
        self._again: dict[ObjectKey, Priority] = {}
        self._later = Timetable()
        self._failures: Counter[ObjectKey] = Counter()
        self._looks = asyncio.Semaphore(0)
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        """How many keys wait for a worker, or for room in their group."""
        return len(self._turns)

    @property
    def later(self) -> int:
        """How many keys wait for their time."""
        return len(self._later)

    @property
    def in_work(self) -> int:
        """How many keys are handed out and not done."""
        return self._turns.taken

    def add(self, key: ObjectKey, priority: Priority = Priority.CHANGED) -> None:
        """Have a key worked on as soon as its turn comes; once, however often it is added before that.

        Args:
            key: What to work on.
            priority: If the key waits already, the more urgent of the two counts.
        """
        known = self._turns.priority_of(key)
        if self._turns.is_taken(key):
            self._again[key] = min(priority, self._again.get(key, priority))
        elif known is None:
            self._turns.put(key, priority)
            self._look_again()
            if self._watch is not None:
                self._watch.added(key)
        elif priority < known:
            self._turns.hasten(key, priority)
            self._look_again()

    def add_after(self, key: ObjectKey, seconds: float, priority: Priority = Priority.POLL) -> None:
        """Add a key when some time has passed. Of several times set for one key, the earliest counts.

        Args:
            key: What to work on.
            seconds: From now; at most 0 means at once.
            priority: What it is added with when the time has come.
        """
        if seconds <= 0:
            self.add(key, priority)
        elif self._later.put(key, self._monotonic() + seconds, priority):
            self._set_timer()

    def add_rate_limited(self, key: ObjectKey, at_least: float = 0.0) -> float:
        """Count a failure of a key and add it after its back-off.

        Args:
            key: What failed.
            at_least: Seconds that the other side asked to wait; used when longer than the back-off, and spread upwards,
                so that all who were asked do not come back at the same moment.

        Returns:
            The wait, in seconds.
        """
        self._failures[key] += 1
        if self._watch is not None:
            self._watch.retried(key)
        chance = self._rng()
        spread = at_least * (1.0 + WAIT_SPREAD * chance)
        seconds = max(spread, self._backoff.seconds(self._failures[key], chance))
        self.add_after(key, seconds)
        return seconds

    def forget(self, key: ObjectKey) -> None:
        """Take a key's failures as over: the next one waits the shortest time again."""
        self._failures.pop(key, None)

    async def get(self) -> ObjectKey:
        """The next key, as soon as there is one. It is the caller's alone until `done`."""
        key = None
        while key is None:
            await self._looks.acquire()
            key = self._turns.take()
        if self._watch is not None:
            self._watch.taken(key)
        return key

    def done(self, key: ObjectKey) -> None:
        """Give a key back. If it was added while in work, it is queued again.

        Raises:
            ValueError: The key is not in work.
        """
        if not self._turns.is_taken(key):
            raise ValueError(f"{key} is not in work")
        self._turns.give_back(key)
        self._look_again()
        if key in self._again:
            self.add(key, self._again.pop(key))

    def _look_again(self) -> None:
        """Whatever lets one more key be taken allows one more look for it; a look that finds none costs little."""
        self._looks.release()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self._later.next_due
        if due is not None:
            self._timer = asyncio.get_running_loop().call_later(max(0.0, due - self._monotonic()), self._ring)

    def _ring(self) -> None:
        for key, priority in self._later.take_due(self._monotonic()):
            self.add(key, priority)
        self._set_timer()
