"""Events on their way to the API server, beside the work that they tell of.

A round that waited for each Event to be written would take as long as all of them; ten thousand objects that begin at
once would wait for ten thousand Events before their statuses. Few are sent at a time, so that statuses go first.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

import structlog

from tinker_operator.engine.events import EventRecorder, Happening
from tinker_operator.engine.faults import described
from tinker_operator.engine.keys import KubeObject

SENDERS = 2
"""Events that are being written at once."""
MOST_WAITING = 20_000
"""Events that may wait; what comes beyond is dropped, since an API server that is away must not cost all memory."""
FLUSH_SECONDS = 1.5
"""How long a clean end waits for what is left."""
GIVE_WAY_SECONDS = 1.0
"""How long each Event makes way, at most, while there is more urgent work: late is better than first."""
LOOK_SECONDS = 0.1


class EventOutbox:
    """Takes Events at once and writes them in turn, while it is entered. Left without an error, it sends what is left.

    Args:
        recorder: Writes them.
        senders: How many at a time.
        most_waiting: How many may wait.
        flush_seconds: How long a clean end waits.
        give_way: Tells whether there is work that goes before.
    """

    def __init__(
        self,
        recorder: EventRecorder,
        *,
        senders: int = SENDERS,
        most_waiting: int = MOST_WAITING,
        flush_seconds: float = FLUSH_SECONDS,
        give_way: Callable[[], bool] = lambda: False,
    ) -> None:
        self._give_way = give_way
        self._ending = asyncio.Event()
        self._recorder = recorder
        self._senders = senders
        self._flush_seconds = flush_seconds
        self._waiting: asyncio.Queue[KubeObject] = asyncio.Queue(most_waiting)
        self._tasks: set[asyncio.Task[None]] = set()
        self._dropped = 0
        self._log = structlog.get_logger(__name__)

    def put(self, regarding: KubeObject, happening: Happening) -> None:
        """Take note of what happened to an object, with the time as it is now.

        Args:
            regarding: The object, with `apiVersion`, `kind` and `metadata`.
            happening: What happened.
        """
        try:
            self._waiting.put_nowait(self._recorder.event_of(regarding, happening))
        except asyncio.QueueFull:
            self._dropped += 1
            if self._dropped == 1:
                self._log.warning("events_dropped", waiting=self._waiting.qsize())
        else:
            self._dropped = 0

    async def __aenter__(self) -> Self:
        """Begin to send."""
        self._tasks = {asyncio.create_task(self._send(), name="events") for _ in range(self._senders)}
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Send what is left, for a while, unless there was an error; then end."""
        self._ending.set()
        try:
            if kind is None:
                async with asyncio.timeout(self._flush_seconds):
                    await self._waiting.join()
        except TimeoutError:
            self._log.warning("events_left_behind", waiting=self._waiting.qsize())
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.wait(self._tasks)

    async def _made_way(self) -> None:
        looks = int(GIVE_WAY_SECONDS / LOOK_SECONDS)
        while self._give_way() and looks and not self._ending.is_set():
            looks -= 1
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), LOOK_SECONDS)

    async def _send(self) -> None:
        while True:
            event = await self._waiting.get()
            await self._made_way()
            try:
                await self._recorder.send(event)
            except Exception as fault:  # noqa: BLE001 - one Event's fault must not end the sending of all others
                self._log.warning("event_failed", **described(fault))
            finally:
                self._waiting.task_done()
