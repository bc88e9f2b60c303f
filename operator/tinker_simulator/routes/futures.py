"""Results of operations: a poll is held until the result is there, and may be repeated for ever."""

from aiohttp import web

from tinker_simulator.answers import missing
from tinker_simulator.requests import RetrieveFuture, parsed
from tinker_simulator.simulation import OWNER, Simulation

PENDING = {"detail": "The operation has not ended yet. Ask again.", "queue_state": "active"}


class FutureRoutes:
    """Polling."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation

    def routes(self) -> list[web.RouteDef]:
        """The routes of this part."""
        return [web.post("/api/v1/retrieve_future", self.retrieve)]

    async def retrieve(self, request: web.Request) -> web.Response:
        """The result; 408 when it is not there after a while, which makes clients ask again without a word."""
        asked = await parsed(request, RetrieveFuture)
        hold = self._simulation.settings.hold_seconds
        future = await self._simulation.executor.ended(request[OWNER], asked.request_id, hold)
        if future is None:
            raise missing("Request", asked.request_id)
        if future.result is None:
            return web.json_response(PENDING, status=408)
        return web.Response(body=future.result, content_type=future.content_type)
