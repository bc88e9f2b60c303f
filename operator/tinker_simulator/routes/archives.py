"""Checkpoints as one tar file each: a route that the service has given up, and that may be wanted all the same."""

from datetime import timedelta
from email.utils import format_datetime

from aiohttp import web

from tinker_simulator.answers import ApiError, error_response
from tinker_simulator.archive import BrokenContentError
from tinker_simulator.clock import to_text
from tinker_simulator.exports import peft_files, write_tar
from tinker_simulator.records import CheckpointRecord, Kind
from tinker_simulator.settings import ArchiveRoute
from tinker_simulator.simulation import OWNER, Simulation

LINK_LIVES_FOR = timedelta(minutes=15)
SECONDS_TO_BUILD = 30


class ArchiveRoutes:
    """The old download; served where `Settings.archive_route` says how."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation

    def routes(self) -> list[web.RouteDef]:
        """The routes of this part."""
        if self._simulation.settings.archive_route is None:
            return []
        return [web.get("/api/v1/training_runs/{run_id}/checkpoints/{kind}/{name}/archive", self.archive)]

    async def archive(self, request: web.Request) -> web.Response:
        """A link to the tar file; 503 for the first to ask, where building it is to take time."""
        where, settings = request.match_info, self._simulation.settings
        checkpoint = self._simulation.own_checkpoint(request[OWNER], where["run_id"], where["kind"], where["name"])
        archive = self._simulation.bench.archive
        path = archive.tar(checkpoint.file)
        if not path.exists():
            write_tar(path, self._files(checkpoint), checkpoint.created_at)
            if settings.archive_takes_time:
                wait = {"Retry-After": str(SECONDS_TO_BUILD)}
                return error_response(503, "The archive is being built. Ask again in a while.", wait)
        links = self._simulation.links
        expires = links.until(LINK_LIVES_FOR)
        url = f"{request.scheme}://{request.host}{links.link(f'{checkpoint.file}.tar', expires)}"
        if settings.archive_route is ArchiveRoute.REDIRECT:
            headers = {"Location": url, "Expires": format_datetime(expires, usegmt=True)}
            return web.Response(status=302, headers=headers)
        return web.json_response({"url": url, "expires": to_text(expires)})

    def _files(self, checkpoint: CheckpointRecord) -> dict[str, bytes]:
        archive = self._simulation.bench.archive
        if checkpoint.kind is Kind.EXTERNAL_WEIGHTS:
            return {
                name: (archive.folder(checkpoint.file) / name).read_bytes()
                for name in archive.names_in(checkpoint.file)
            }
        try:
            state = archive.read(checkpoint.file, checkpoint.config, optimizer=False)
        except BrokenContentError as broken:
            raise ApiError(400, f"Failed to pack checkpoint {checkpoint.tinker_path}: {broken}.") from broken
        return peft_files(state.factors, checkpoint.config.base_model)
