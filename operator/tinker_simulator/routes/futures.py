"""Results of operations: a poll is held until the result is there, and may be repeated for ever."""

from typing import Any

from aiohttp import web

from tinker_simulator.answers import LOST, ApiError, missing
from tinker_simulator.behaviour import Behaviour
from tinker_simulator.execution.announcing import Ended, Target
from tinker_simulator.records import FutureRecord, Operation
from tinker_simulator.requests import CancelFuture, RetrieveFuture, RetrieveFutures, parsed
from tinker_simulator.simulation import OWNER, Simulation

# A client gives a poll of many up after 45 seconds.
_LONGEST_HOLD = 30.0


class FutureRoutes:
    """Polling, and no longer wanting to."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation

    def routes(self) -> list[web.RouteDef]:
        """The routes of this part."""
        return [
            web.post("/api/v1/retrieve_future", self.retrieve),
            web.post("/api/v1/retrieve_futures", self.retrieve_many),
            web.post("/api/v1/cancel_future", self.cancel),
        ]

    async def retrieve(self, request: web.Request) -> web.Response:
        """The result; 408 when it is not there after a while, which makes clients ask again without a word."""
        asked = await parsed(request, RetrieveFuture)
        future = await self._simulation.executor.ended(request[OWNER], asked.request_id, self._hold())
        if future is None:
            raise missing("Request", asked.request_id)
        behaviour = self._simulation.faults.behaviour
        if future.result is None:
            return _pending(future, behaviour)
        if future.content_type == LOST:
            raise ApiError(410, f"The result of {future.request_id} is lost. Submit the request anew.")
        if _announced(future.result, asked, behaviour):
            size = len(future.result)
            return web.json_response({"status": "complete_metadata", "response_payload_size": size})
        return web.Response(body=future.result, content_type=future.content_type)

    async def retrieve_many(self, request: web.Request) -> web.Response:
        """Which samples of a sampling session have ended since the cursor; their results are polled one by one."""
        asked = await parsed(request, RetrieveFutures)
        sampler_id = asked.target.sampling_session_id
        if self._simulation.store.samplers.get(request[OWNER], sampler_id) is None:
            raise missing("Sampling session", sampler_id)
        hold = _LONGEST_HOLD if asked.timeout is None else min(asked.timeout, _LONGEST_HOLD)
        target = Target(sampler_id, asked.target.cloned_sampler_id)
        ended, cursor = await self._simulation.executor.announcements.since(target, asked.prev_cursor, hold)
        return web.json_response({"completions": [_completion(one) for one in ended], "cursor": cursor})

    async def cancel(self, request: web.Request) -> web.Response:
        """Give a sample up; one that has ended stays as it is."""
        asked = await parsed(request, CancelFuture)
        future = self._simulation.store.futures.get(request[OWNER], asked.request_id)
        if future is None:
            raise missing("Request", asked.request_id)
        if future.operation is not Operation.SAMPLE:
            raise ApiError(400, f"{future.operation} cannot be cancelled. Only samples can.")
        self._simulation.executor.cancel(future)
        return web.json_response({})

    def _hold(self) -> float:
        ordered = self._simulation.faults.behaviour.hold_seconds
        return self._simulation.settings.hold_seconds if ordered is None else ordered


def _pending(future: FutureRecord, behaviour: Behaviour) -> web.Response:
    answer: dict[str, Any] = {"queue_state": behaviour.queue_state}
    if behaviour.queue_state_reason is not None:
        answer["queue_state_reason"] = behaviour.queue_state_reason
    if behaviour.pending == "try-again":
        return web.json_response({"type": "try_again", "request_id": future.request_id, **answer})
    return web.json_response({"detail": "The operation has not ended yet. Ask again.", **answer}, status=408)


def _announced(result: bytes, asked: RetrieveFuture, behaviour: Behaviour) -> bool:
    largest = behaviour.inline_bytes
    return asked.allow_metadata_only and largest is not None and len(result) > largest


def _completion(ended: Ended) -> dict[str, Any]:
    if ended.size is None:
        return {"state": "failed", "request_id": ended.request_id}
    return {
        "state": "finished",
        "request_id": ended.request_id,
        "response_payload_uncompressed_size": ended.size,
    }
