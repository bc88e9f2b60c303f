"""Takes submitted operations to their end, and lets polls wait for it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from tinker_simulator.execution.announcing import Announcements
from tinker_simulator.execution.completion import Completion, OperationFailedError, lost_completion
from tinker_simulator.execution.lane import Lane
from tinker_simulator.faults import FaultBook, FaultKind, FaultRule
from tinker_simulator.records import FailureCategory, FutureRecord, Operation
from tinker_simulator.storage.store import Store

logger = logging.getLogger(__name__)

Perform = Callable[[FutureRecord], Awaitable[Completion]]


class Executor:
    """Runs every operation once: what a kill interrupted is run again by `start`, what has ended never is.

    Args:
        store: Where futures are.
        perform: Does one operation; raises `OperationFailedError` when it cannot.
        gap_seconds: How long a model's operation waits for a missing number.
        faults: Which operations fail, wait or lose their result.
        announcements: Where the samples that have ended are noted.
    """

    def __init__(
        self, store: Store, perform: Perform, gap_seconds: float, faults: FaultBook, announcements: Announcements
    ) -> None:
        self._store = store
        self._perform = perform
        self._gap_seconds = gap_seconds
        self._faults = faults
        self._announcements = announcements
        self._lanes: dict[str, Lane] = {}
        self._loose: dict[str, asyncio.Task[None]] = {}
        self._ended: dict[str, asyncio.Event] = {}
        self._closing = asyncio.Event()

    @property
    def announcements(self) -> Announcements:
        """The samples that have ended."""
        return self._announcements

    @property
    def sampling(self) -> int:
        """How many samples are under way."""
        return len(self._loose)

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

    def cancel(self, future: FutureRecord) -> None:
        """End a sample that is under way as cancelled; nothing happens when it has ended."""
        task = self._loose.pop(future.request_id, None)
        if task is not None:
            task.cancel()
            cancelled = OperationFailedError("The request was cancelled.").completion()
            self._keep(future, cancelled)
            self._tell(future, cancelled)

    async def ended(self, owner: str, request_id: str, seconds: float) -> FutureRecord | None:
        """The future once it has ended, or as it is after `seconds`; None when the owner has none of that id."""
        future = self._store.futures.get(owner, request_id)
        if future is None or future.ended or self._closing.is_set():
            return future
        await _happens(self._ended.setdefault(request_id, asyncio.Event()), seconds)
        return self._store.futures.get(owner, request_id)

    def release_polls(self) -> None:
        """Let every waiting poll go, and hold none from now on."""
        self._closing.set()
        self._announcements.release()
        for event in self._ended.values():
            event.set()

    async def close(self) -> None:
        """Finish the operations at work on models, leave the rest for the next start; samples change nothing."""
        self.release_polls()
        drawing = tuple(self._loose.values())
        for task in drawing:
            task.cancel()
        await asyncio.gather(*(lane.close() for lane in self._lanes.values()))
        await asyncio.gather(*drawing, return_exceptions=True)

    def _enqueue(self, future: FutureRecord) -> None:
        if future.model_id is None:
            task = asyncio.create_task(self._run(future))
            self._loose[future.request_id] = task
            task.add_done_callback(lambda _task: self._loose.pop(future.request_id, None))
            return
        if future.model_id not in self._lanes:
            self._lanes[future.model_id] = Lane(
                self._run, self._store.futures.next_seq(future.model_id), self._gap_seconds
            )
        self._lanes[future.model_id].add(future)

    async def _run(self, future: FutureRecord) -> None:
        completion = None if self._closing.is_set() else await self._completion(future)
        if completion is None:
            return  # the simulator ends: the operation is stored, and the next start takes it up
        try:
            self._keep(future, completion)
        except Exception:
            logger.exception("the result of operation %s cannot be stored", future.request_id)
            completion = _broken()
            self._keep(future, completion)
        self._tell(future, completion)

    def _keep(self, future: FutureRecord, completion: Completion) -> None:
        with self._store.database.transaction():
            completion.keep()
            self._store.futures.end(future.request_id, completion.content_type, completion.result)

    def _tell(self, future: FutureRecord, completion: Completion) -> None:
        completion.settle()
        if event := self._ended.pop(future.request_id, None):
            event.set()
        if future.operation is Operation.SAMPLE:
            self._announcements.note(future.request_id, completion.content_type, completion.result)

    async def _completion(self, future: FutureRecord) -> Completion | None:
        try:
            return await self._met(future)
        except OperationFailedError as failed:
            return failed.completion()
        except Exception:
            # The future must end whatever happens, or its client polls for ever; the log keeps the cause.
            logger.exception("operation %s failed", future.request_id)
            return _broken()

    async def _met(self, future: FutureRecord) -> Completion | None:
        fault: FaultRule | None = None
        for rule in self._faults.met_by_operation(future.operation, future.request_id):
            if rule.kind is not FaultKind.SLOW:
                fault = rule
            elif await self._ends_while(self._faults.held_up(rule.delay or 0)):
                return None
        if fault is not None and fault.kind is FaultKind.FAIL:
            raise OperationFailedError(fault.message, fault.category)
        if fault is not None and fault.when == "before":
            return lost_completion()
        completion = await self._perform(future)
        return completion if fault is None else lost_completion(completion.keep, completion.settle)

    async def _ends_while(self, waiting: Coroutine[Any, Any, None]) -> bool:
        """Wait, and say whether the simulator ended meanwhile."""
        tasks = {asyncio.ensure_future(waiting), asyncio.ensure_future(self._closing.wait())}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return self._closing.is_set()


def _broken() -> Completion:
    return OperationFailedError("The simulator failed. Its log has the cause.", FailureCategory.SERVER).completion()


async def _happens(event: asyncio.Event, seconds: float) -> bool:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False
    return True
