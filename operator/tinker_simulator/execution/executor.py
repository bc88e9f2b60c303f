"""Takes submitted operations to their end, and lets polls wait for it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from tinker_simulator.execution.completion import Completion, OperationFailedError
from tinker_simulator.execution.lane import Lane
from tinker_simulator.records import FailureCategory, FutureRecord
from tinker_simulator.storage.store import Store

logger = logging.getLogger(__name__)

Perform = Callable[[FutureRecord], Awaitable[Completion]]


class Executor:
    """Runs every operation once: what a kill interrupted is run again by `start`, what has ended never is.

    Args:
        store: Where futures are.
        perform: Does one operation; raises `OperationFailedError` when it cannot.
        gap_seconds: How long a model's operation waits for a missing number.
    """

    def __init__(self, store: Store, perform: Perform, gap_seconds: float) -> None:
        self._store = store
        self._perform = perform
        self._gap_seconds = gap_seconds
        self._lanes: dict[str, Lane] = {}
        self._loose: set[asyncio.Task[None]] = set()
        self._ended: dict[str, asyncio.Event] = {}
        self._closing = asyncio.Event()

    def start(self) -> None:
        """Take up what was submitted before and has not ended."""
        for future in self._store.futures.pending():
            self._enqueue(future)

    def submit(self, future: FutureRecord) -> None:
        """Queue an operation, which is stored already; while the simulator ends, leave it for the next start."""
        if not self._closing.is_set():
            self._enqueue(future)

    def refuse(self, model_id: str, seq_id: int) -> None:
        """Note that a number of this model was used up by a refused request."""
        if model_id in self._lanes:
            self._lanes[model_id].refuse(seq_id)

    async def ended(self, owner: str, request_id: str, seconds: float) -> FutureRecord | None:
        """The future once it has ended, or as it is after `seconds`; None when the owner has none of that id."""
        future = self._store.futures.get(owner, request_id)
        if future is None or future.ended or self._closing.is_set():
            return future
        await self._wait(self._ended.setdefault(request_id, asyncio.Event()), seconds)
        return self._store.futures.get(owner, request_id)

    def release_polls(self) -> None:
        """Let every waiting poll go, and hold none from now on."""
        self._closing.set()
        for event in self._ended.values():
            event.set()

    async def close(self) -> None:
        """Finish the operations at work, leave the rest for the next start."""
        self.release_polls()
        await asyncio.gather(*(lane.close() for lane in self._lanes.values()), *self._loose)

    def _enqueue(self, future: FutureRecord) -> None:
        if future.model_id is None:
            task = asyncio.create_task(self._run(future))
            self._loose.add(task)
            task.add_done_callback(self._loose.discard)
            return
        if future.model_id not in self._lanes:
            self._lanes[future.model_id] = Lane(
                self._run, self._store.futures.next_seq(future.model_id), self._gap_seconds
            )
        self._lanes[future.model_id].add(future)

    async def _run(self, future: FutureRecord) -> None:
        completion = await self._completion(future)
        with self._store.database.transaction():
            completion.keep()
            self._store.futures.end(future.request_id, completion.content_type, completion.result)
        completion.settle()
        if event := self._ended.pop(future.request_id, None):
            event.set()

    async def _completion(self, future: FutureRecord) -> Completion:
        try:
            return await self._perform(future)
        except OperationFailedError as failed:
            return failed.completion()
        except Exception:
            # The future must end whatever happens, or its client polls for ever; the log keeps the cause.
            logger.exception("operation %s failed", future.request_id)
            return OperationFailedError(
                "The simulator failed. Its log has the cause.", FailureCategory.SERVER
            ).completion()

    async def _wait(self, event: asyncio.Event, seconds: float) -> None:
        try:
            await asyncio.wait_for(event.wait(), seconds)
        except TimeoutError:
            return
