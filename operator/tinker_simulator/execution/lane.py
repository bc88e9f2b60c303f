"""The order of one model's operations.

Clients number operations and may submit them out of order (the first chunk of a batch comes last), but a number can
also be missing for good: a refused request uses up its number. So a lane runs what is next, passes over what was
refused, and waits for anything else that is missing only for a moment.
"""

import asyncio
from collections.abc import Awaitable, Callable

from tinker_simulator.records import FutureRecord

Run = Callable[[FutureRecord], Awaitable[None]]


class Lane:
    """Runs one model's operations, one at a time, by sequence number.

    Args:
        run: Does one operation; must not raise.
        next_seq: The number that comes next.
        gap_seconds: How long to wait for a number that is missing.
    """

    def __init__(self, run: Run, next_seq: int, gap_seconds: float) -> None:
        self._run = run
        self._next = next_seq
        self._gap_seconds = gap_seconds
        self._waiting: dict[int, FutureRecord] = {}
        self._refused: set[int] = set()
        self._arrived = asyncio.Event()
        self._work: asyncio.Task[None] | None = None

    def add(self, future: FutureRecord) -> None:
        """Queue an operation."""
        self._waiting[future.seq_id] = future
        self._arrived.set()
        if self._work is None or self._work.done():
            self._work = asyncio.create_task(self._run_all())

    def refuse(self, seq_id: int) -> None:
        """Note that this number was refused and will not come."""
        self._refused.add(seq_id)
        self._arrived.set()

    async def close(self) -> None:
        """Stop before the next operation; what is queued stays stored and runs after the next start."""
        self._waiting.clear()
        self._arrived.set()
        if self._work is not None:
            await self._work

    async def _run_all(self) -> None:
        while self._waiting:
            lowest = min(self._waiting)
            if lowest > self._expected() and await self._another_arrives():
                continue
            future = self._waiting.pop(lowest, None)
            if future is not None:
                await self._run(future)
                self._next = max(self._next, lowest + 1)

    def _expected(self) -> int:
        while self._next in self._refused:
            self._refused.discard(self._next)
            self._next += 1
        return self._next

    async def _another_arrives(self) -> bool:
        self._arrived.clear()
        try:
            await asyncio.wait_for(self._arrived.wait(), self._gap_seconds)
        except TimeoutError:
            return False
        return True
