"""Who is served next: by priority, within one by turns of lanes, and no more of a group at once than it has room for.

A group is what keys share that can be slow, such as a connection. One that answers nothing holds up as many rounds as
it has room for and no more; its other keys stand aside and cost nobody a look. The work queue asks, and waits.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable
from enum import IntEnum

from tinker_operator.engine.keys import ObjectKey


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


class Turns:
    """Keys that wait, and the groups of those that were taken.

    Args:
        lane: What takes turns within a priority.
        group: What of which only so many may be taken at once. Asked when a key comes, and anew when it is hastened.
        room: How many of a group.
    """

    def __init__(
        self, lane: Callable[[ObjectKey], Hashable], group: Callable[[ObjectKey], Hashable], room: int
    ) -> None:
        self._lane, self._group, self._room = lane, group, room
        self._open = _Lines(lane)
        self._aside: dict[Hashable, _Lines] = {}
        self._waiting: dict[ObjectKey, tuple[Priority, Hashable]] = {}
        self._taken: dict[ObjectKey, Hashable] = {}
        self._busy: Counter[Hashable] = Counter()

    def __len__(self) -> int:
        """How many keys wait."""
        return len(self._waiting)

    @property
    def taken(self) -> int:
        """How many keys were taken and not given back."""
        return len(self._taken)

    def priority_of(self, key: ObjectKey) -> Priority | None:
        """How urgent a key is that waits; None when it does not."""
        known = self._waiting.get(key)
        return None if known is None else known[0]

    def is_taken(self, key: ObjectKey) -> bool:
        """Whether a key was taken and not given back."""
        return key in self._taken

    def put(self, key: ObjectKey, priority: Priority) -> None:
        """Have a key wait that neither waits nor is taken."""
        self._waiting[key] = (priority, self._group(key))
        self._open.push(key, priority)

    def hasten(self, key: ObjectKey, priority: Priority) -> None:
        """Give a key that waits a new priority, in the group that is its by now."""
        former, group = self._waiting.pop(key)
        if not self._open.discard(key, former):
            self._aside[group].discard(key, former)
        self._call_in(group)  # it may have been the one that was called in for the room there is
        self.put(key, priority)

    def take(self) -> ObjectKey | None:
        """Take the next key; None when none waits of whose group there is room for one more."""
        while (found := self._open.pop()) is not None:
            key, priority = found
            group = self._waiting[key][1]
            if self._busy[group] < self._room:
                del self._waiting[key]
                self._busy[group] += 1
                self._taken[key] = group
                return key
            self._aside.setdefault(group, _Lines(self._lane)).push(key, priority)
        return None

    def give_back(self, key: ObjectKey) -> None:
        """Make room where a key was taken, and bring the most urgent one back that stood aside for want of it."""
        group = self._taken.pop(key)
        self._busy[group] -= 1
        if not self._busy[group]:
            del self._busy[group]
        self._call_in(group)

    def _call_in(self, group: Hashable) -> None:
        aside = self._aside.get(group)
        if aside is None:
            return
        if (found := aside.pop()) is not None:
            self._open.push(*found)
        if not aside:
            del self._aside[group]


class _Lines:
    """Keys in the order of their priorities."""

    def __init__(self, lane: Callable[[ObjectKey], Hashable]) -> None:
        self._lines = {priority: _FairLine(lane) for priority in Priority}

    def __bool__(self) -> bool:
        return any(self._lines.values())

    def push(self, key: ObjectKey, priority: Priority) -> None:
        self._lines[priority].push(key)

    def discard(self, key: ObjectKey, priority: Priority) -> bool:
        return self._lines[priority].discard(key)

    def pop(self) -> tuple[ObjectKey, Priority] | None:
        return next(((line.pop(), priority) for priority, line in self._lines.items() if line), None)


class _FairLine:
    """Keys of one priority: first come, first served within a lane, and the lanes in turn."""

    def __init__(self, lane: Callable[[ObjectKey], Hashable]) -> None:
        self._lane = lane
        self._lanes: OrderedDict[Hashable, OrderedDict[ObjectKey, None]] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._lanes)

    def push(self, key: ObjectKey) -> None:
        self._lanes.setdefault(self._lane(key), OrderedDict())[key] = None

    def discard(self, key: ObjectKey) -> bool:
        lane = self._lane(key)
        keys = self._lanes.get(lane)
        if keys is None or key not in keys:
            return False
        del keys[key]
        if not keys:
            del self._lanes[lane]
        return True

    def pop(self) -> ObjectKey:
        lane, keys = self._lanes.popitem(last=False)
        key, _ = keys.popitem(last=False)
        if keys:
            self._lanes[lane] = keys
        return key
