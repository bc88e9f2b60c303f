"""Which keys of the work queue wait for a time: a heap whose superseded entries are skipped when their time comes."""

import heapq

from tinker_operator.engine.keys import ObjectKey
from tinker_operator.engine.turns import Priority


class Timetable:
    """Keys with a due time each."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, ObjectKey]] = []
        self._due: dict[ObjectKey, tuple[float, Priority]] = {}

    def __len__(self) -> int:
        return len(self._due)

    @property
    def next_due(self) -> float | None:
        """The earliest time noted, in seconds; None when nothing waits."""
        return self._heap[0][0] if self._heap else None

    def put(self, key: ObjectKey, due: float, priority: Priority) -> bool:
        """Note a due time unless an earlier one is noted; tell whether it was.

        Args:
            key: What waits.
            due: When its wait ends, in seconds.
            priority: What it is worked on with then.
        """
        known = self._due.get(key)
        if known is not None and known[0] <= due:
            return False
        self._due[key] = (due, priority)
        heapq.heappush(self._heap, (due, key))
        return True

    def take_due(self, now: float) -> list[tuple[ObjectKey, Priority]]:
        """Remove and return what is due, earliest first.

        Args:
            now: In seconds.
        """
        ripe = list[tuple[ObjectKey, Priority]]()
        while self._heap and self._heap[0][0] <= now:
            due, key = heapq.heappop(self._heap)
            if key in self._due and self._due[key][0] == due:
                ripe.append((key, self._due.pop(key)[1]))
        return ripe
