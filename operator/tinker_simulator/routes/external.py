"""External weights: signed links to their files."""

from datetime import timedelta

from aiohttp import web

from tinker_simulator.answers import ApiError
from tinker_simulator.clock import to_text
from tinker_simulator.records import Kind
from tinker_simulator.simulation import OWNER, Simulation

LINKS_LIVE_FOR = timedelta(hours=1)


class ExternalRoutes:
    """Downloads of exported checkpoints."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation

    def routes(self) -> list[web.RouteDef]:
        """The routes of this part."""
        one = "/api/v1/training_runs/{run_id}/checkpoints/{kind}/{name}"
        return [web.get(f"{one}/external_weights_urls", self.urls)]

    async def urls(self, request: web.Request) -> web.Response:
        """A link for each file by its path within the checkpoint, and when the links end."""
        where = request.match_info
        if where["kind"] != Kind.EXTERNAL_WEIGHTS:
            raise ApiError(400, f"{where['kind']}/{where['name']} has no external files. Give an external_weights id.")
        checkpoint = self._simulation.own_checkpoint(
            request[OWNER], where["run_id"], Kind.EXTERNAL_WEIGHTS, where["name"]
        )
        expires = self._simulation.links.until(LINKS_LIVE_FOR)
        urls = {
            name: f"{request.scheme}://{request.host}"
            f"{self._simulation.links.link(f'{checkpoint.file}/{name}', expires)}"
            for name in self._simulation.bench.archive.names_in(checkpoint.file)
        }
        return web.json_response({"urls": urls, "expires": to_text(expires)})
