"""Training runs: listed, latest request first, and read one by one, corrupted ones like any other."""

from aiohttp import web

from tinker_simulator.records import Kind, RunRecord
from tinker_simulator.rest_requests import page_of, scope_of
from tinker_simulator.simulation import OWNER, Simulation
from tinker_simulator.wireform import Json, cursor_form, run_form

HIGHEST_LIMIT = 100


class RunRoutes:
    """Reading training runs; needs no session."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation

    def routes(self) -> list[web.RouteDef]:
        """The routes of this part."""
        return [
            web.get("/api/v1/training_runs", self.list_runs),
            web.get("/api/v1/training_runs/{run_id}", self.get_run),
        ]

    async def list_runs(self, request: web.Request) -> web.Response:
        """One page of the owner's runs, or of all that are accessible; of one project where that is asked for."""
        page, scope = page_of(request, default_limit=20, highest_limit=HIGHEST_LIMIT), scope_of(request)
        owner, runs = scope.owner(request[OWNER]), self._simulation.store.runs
        forms = [self._form(run) for run in runs.page(owner, page.limit, page.offset, scope.project_id)]
        total = runs.count(owner, scope.project_id)
        return web.json_response({"training_runs": forms, "cursor": cursor_form(page, total)})

    async def get_run(self, request: web.Request) -> web.Response:
        """One run."""
        owner = scope_of(request).owner(request[OWNER])
        run = self._simulation.own_run(owner, request.match_info["run_id"])
        return web.json_response(self._form(run))

    def _form(self, run: RunRecord) -> Json:
        newest, now = self._simulation.store.checkpoints.newest, self._simulation.clock()
        return run_form(run, newest(run.run_id, Kind.WEIGHTS, now), newest(run.run_id, Kind.SAMPLER_WEIGHTS, now))
