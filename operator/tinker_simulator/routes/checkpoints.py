"""Checkpoints: listed, described, deleted, published, given a lifetime."""

from dataclasses import replace
from datetime import timedelta

from aiohttp import web

from tinker_simulator.answers import ApiError
from tinker_simulator.records import CheckpointRecord
from tinker_simulator.requests import parsed
from tinker_simulator.rest_requests import Ttl, WeightsInfo, page_of
from tinker_simulator.routes.training import check_ttl
from tinker_simulator.simulation import OWNER, Simulation
from tinker_simulator.wireform import checkpoint_form, cursor_form, weights_form

HIGHEST_LIMIT = 1000
_CHECKPOINTS = "/api/v1/training_runs/{run_id}/checkpoints"
_ONE = _CHECKPOINTS + "/{kind}/{name}"


class CheckpointRoutes:
    """Reading and changing checkpoints; needs no session and never touches a run."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._checkpoints = simulation.store.checkpoints

    def routes(self) -> list[web.RouteDef]:
        """The routes of this part."""
        return [
            web.get("/api/v1/checkpoints", self.list_all),
            web.get(_CHECKPOINTS, self.list_of_run),
            web.delete(_ONE, self.delete),
            web.post(f"{_ONE}/publish", self.publish),
            web.delete(f"{_ONE}/publish", self.unpublish),
            web.put(f"{_ONE}/ttl", self.set_ttl),
            web.post("/api/v1/weights_info", self.weights_info),
        ]

    async def list_all(self, request: web.Request) -> web.Response:
        """One page of the owner's checkpoints, newest first."""
        page = page_of(request, default_limit=100, highest_limit=HIGHEST_LIMIT)
        owner, now = request[OWNER], self._simulation.clock()
        forms = [checkpoint_form(found) for found in self._checkpoints.page(owner, page.limit, page.offset, now)]
        return web.json_response(
            {"checkpoints": forms, "cursor": cursor_form(page, self._checkpoints.count(owner, now))}
        )

    async def list_of_run(self, request: web.Request) -> web.Response:
        """Every checkpoint of a run, newest first."""
        run = self._simulation.own_run(request[OWNER], request.match_info["run_id"])
        found = self._checkpoints.of_run(run.run_id, self._simulation.clock())
        return web.json_response({"checkpoints": [checkpoint_form(checkpoint) for checkpoint in found]})

    async def delete(self, request: web.Request) -> web.Response:
        """Delete a checkpoint, content and all."""
        checkpoint = self._own(request)
        self._checkpoints.delete(checkpoint)
        self._simulation.bench.drop_unused(checkpoint.file)
        return web.Response(status=204)

    async def publish(self, request: web.Request) -> web.Response:
        """Let others load a checkpoint; 409 when they can already."""
        return self._set_public(request, public=True)

    async def unpublish(self, request: web.Request) -> web.Response:
        """Take that back; 409 when they cannot."""
        return self._set_public(request, public=False)

    async def set_ttl(self, request: web.Request) -> web.Response:
        """Let a checkpoint expire so many seconds from now, or never."""
        asked = await parsed(request, Ttl)
        checkpoint = self._own(request)
        check_ttl(asked.ttl_seconds)
        lifetime = asked.ttl_seconds
        expires_at = None if lifetime is None else self._simulation.clock() + timedelta(seconds=lifetime)
        self._checkpoints.put(replace(checkpoint, expires_at=expires_at))
        return web.Response(status=204)

    async def weights_info(self, request: web.Request) -> web.Response:
        """What a checkpoint was trained with; for public ones anybody may ask."""
        asked = await parsed(request, WeightsInfo)
        return web.json_response(weights_form(self._simulation.readable_checkpoint(request[OWNER], asked.tinker_path)))

    def _set_public(self, request: web.Request, *, public: bool) -> web.Response:
        checkpoint = self._own(request)
        if checkpoint.public is public:
            raise ApiError(409, f"Checkpoint is already {'public' if public else 'private'}")
        self._checkpoints.put(replace(checkpoint, public=public))
        return web.Response(status=204)

    def _own(self, request: web.Request) -> CheckpointRecord:
        where = request.match_info
        return self._simulation.own_checkpoint(request[OWNER], where["run_id"], where["kind"], where["name"])
