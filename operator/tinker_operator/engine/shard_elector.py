"""The claim of one shard: its own Lease against its like, and with all shards of its layout the one Lease of all.

The Lease that a single operator would hold is held by the layout: by three shards together, say, as one group. While
one layout holds it, no process of another layout works, be it four shards or none. So a change of the number of shards
is a change of the holder, and costs the expiry of a Lease; in no moment do two processes take an object for theirs.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeAlias

from tinker_operator.engine.elector import Elector, LeadershipLost

Effort: TypeAlias = Callable[[], Coroutine[Any, Any, None]]


class ShardElector:
    """One process' part in two elections; it leads while it has won both.

    Args:
        layout: The election between layouts, with a `SharedCandidacy`.
        shard: The election between processes of the same shard.
    """

    def __init__(self, layout: Elector, shard: Elector) -> None:
        self._layout, self._shard = layout, shard

    @property
    def resigned(self) -> bool:
        """Whether the shard was given up after all work had ended."""
        return self._shard.resigned

    def leads(self) -> bool:
        """Whether this process may act at this moment."""
        return self._layout.leads() and self._shard.leads()

    async def acquire(self) -> None:
        """Wait until this process has the shard, and its layout everything.

        The layout comes first, so that nobody keeps a shard from those who could work on it.
        """
        while not self.leads():
            await self._layout.acquire()
            with suppress(LeadershipLost):
                await self._first(self._layout.hold, self._shard.acquire)

    async def hold(self) -> None:
        """Keep renewing both.

        Raises:
            LeadershipLost: Always, in the end: either was lost.
        """
        await self._first(self._layout.hold, self._shard.hold)

    async def release(self) -> None:
        """Give the shard up, so that another process need not wait; the layout stays with the other shards."""
        await self._shard.release()
        await self._layout.release()

    async def _first(self, *efforts: Effort) -> None:
        tasks = [asyncio.create_task(effort()) for effort in efforts]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
