"""The queue between "something changed" and "a worker looks at it".

The store's listener, the pollers and the workers put keys in; only the workers take them out. It keeps the three
promises of the work queue that controllers in Go are built on: a key that is waiting is not queued twice, a key in
work is handed to nobody else and comes back if it was added meanwhile, and a key that fails is retried ever later.
Beyond that it has priorities, and takes turns between namespaces so that a crowded one does not starve the rest.
"""

import asyncio
import heapq
import random
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable
from enum import IntEnum
from typing import Protocol

from tinker_operator.engine.backoff import Backoff
from tinker_operator.engine.keys import Monotonic, ObjectKey


class Priority(IntEnum):
    """Who is served first: the lower number."""

    CHANGED = 0
    """A user did something."""
    REMOTE = 1
    """What the object stands for changed elsewhere."""
    POLL = 2
    """A time that was set has come."""
    RESYNC = 3
    """Nothing is known to have changed."""


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
        watch: Told of every key; None for nobody.
    """

    def __init__(
        self,
        monotonic: Monotonic,
        rng: Callable[[], float] = random.random,
        *,
        backoff: Backoff | None = None,
        lane: Callable[[ObjectKey], Hashable] = namespace_of,
        watch: QueueWatch | None = None,
    ) -> None:
        self._monotonic = monotonic
        self._watch = watch
        self._rng = rng
        self._backoff = backoff or Backoff()
        self._lines = {priority: _FairLine(lane) for priority in Priority}
        self._queued: dict[ObjectKey, Priority] = {}
        self._in_work: set[ObjectKey] = set()
        self._again: dict[ObjectKey, Priority] = {}
        self._later = _Timetable()
        self._failures: Counter[ObjectKey] = Counter()
        self._available = asyncio.Semaphore(0)
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        """How many keys a worker could take now."""
        return len(self._queued)

    @property
    def later(self) -> int:
        """How many keys wait for their time."""
        return len(self._later)

    @property
    def in_work(self) -> int:
        """How many keys are handed out and not done."""
        return len(self._in_work)

    def add(self, key: ObjectKey, priority: Priority = Priority.CHANGED) -> None:
        """Have a key worked on as soon as its turn comes; once, however often it is added before that.

        Args:
            key: What to work on.
            priority: If the key waits already, the more urgent of the two counts.
        """
        if key in self._in_work:
            self._again[key] = min(priority, self._again.get(key, priority))
        elif key not in self._queued:
            self._enqueue(key, priority)
            self._available.release()
            if self._watch is not None:
                self._watch.added(key)
        elif priority < self._queued[key]:
            self._lines[self._queued[key]].discard(key)
            self._enqueue(key, priority)

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
            at_least: Seconds that the other side asked to wait; used when longer than the back-off.

        Returns:
            The wait, in seconds.
        """
        self._failures[key] += 1
        if self._watch is not None:
            self._watch.retried(key)
        seconds = max(at_least, self._backoff.seconds(self._failures[key], self._rng()))
        self.add_after(key, seconds)
        return seconds

    def forget(self, key: ObjectKey) -> None:
        """Take a key's failures as over: the next one waits the shortest time again."""
        self._failures.pop(key, None)

    async def get(self) -> ObjectKey:
        """The next key, as soon as there is one. It is the caller's alone until `done`."""
        await self._available.acquire()
        line = next(line for line in self._lines.values() if line)
        key = line.pop()
        del self._queued[key]
        self._in_work.add(key)
        if self._watch is not None:
            self._watch.taken(key)
        return key

    def done(self, key: ObjectKey) -> None:
        """Give a key back. If it was added while in work, it is queued again.

        Raises:
            ValueError: The key is not in work.
        """
        if key not in self._in_work:
            raise ValueError(f"{key} is not in work")
        self._in_work.remove(key)
        if key in self._again:
            self.add(key, self._again.pop(key))

    def _enqueue(self, key: ObjectKey, priority: Priority) -> None:
        self._queued[key] = priority
        self._lines[priority].push(key)

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


class _FairLine:
    """Keys of one priority: first come, first served within a lane, and the lanes in turn."""

    def __init__(self, lane: Callable[[ObjectKey], Hashable]) -> None:
        self._lane = lane
        self._lanes: OrderedDict[Hashable, OrderedDict[ObjectKey, None]] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._lanes)

    def push(self, key: ObjectKey) -> None:
        self._lanes.setdefault(self._lane(key), OrderedDict())[key] = None

    def discard(self, key: ObjectKey) -> None:
        lane = self._lane(key)
        del self._lanes[lane][key]
        if not self._lanes[lane]:
            del self._lanes[lane]

    def pop(self) -> ObjectKey:
        lane, keys = self._lanes.popitem(last=False)
        key, _ = keys.popitem(last=False)
        if keys:
            self._lanes[lane] = keys
        return key


class _Timetable:
    """Keys with a due time each: a heap whose superseded entries are skipped when their time comes."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, ObjectKey]] = []
        self._due: dict[ObjectKey, tuple[float, Priority]] = {}

    def __len__(self) -> int:
        return len(self._due)

    @property
    def next_due(self) -> float | None:
        return self._heap[0][0] if self._heap else None

    def put(self, key: ObjectKey, due: float, priority: Priority) -> bool:
        """Note a due time unless an earlier one is noted; tell whether it was."""
        known = self._due.get(key)
        if known is not None and known[0] <= due:
            return False
        self._due[key] = (due, priority)
        heapq.heappush(self._heap, (due, key))
        return True

    def take_due(self, now: float) -> list[tuple[ObjectKey, Priority]]:
        """Remove and return what is due, earliest first."""
        ripe = list[tuple[ObjectKey, Priority]]()
        while self._heap and self._heap[0][0] <= now:
            due, key = heapq.heappop(self._heap)
            if key in self._due and self._due[key][0] == due:
                ripe.append((key, self._due.pop(key)[1]))
        return ripe
