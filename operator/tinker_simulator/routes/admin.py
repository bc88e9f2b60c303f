"""Orders of a test or a person to the simulator itself. These routes exist only where they were asked for."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from aiohttp import web
from pydantic import Field

from tinker_simulator.answers import ApiError, missing
from tinker_simulator.archive import BrokenContentError
from tinker_simulator.behaviour import Behaviour
from tinker_simulator.breakage import break_content
from tinker_simulator.clock import MOST_AHEAD
from tinker_simulator.faults import Breakage, FaultRule
from tinker_simulator.naming import parsed_path
from tinker_simulator.records import RunRecord
from tinker_simulator.requests import Body, parsed
from tinker_simulator.seeding import Seed, seed_runs
from tinker_simulator.simulation import Simulation
from tinker_simulator.storage.sessions import CANCELLED

ADMIN_PREFIX = "/_simulator/"


class RunOrder(Body):
    """An order about a run."""

    run: str


class SessionOrder(Body):
    """An order about a session."""

    session: str
    detail: str | None = None


class BreakOrder(Body):
    """An order about a checkpoint's content."""

    path: str
    how: Breakage


class ClockOrder(Body):
    """An order about time."""

    advance_seconds: float = Field(ge=0, le=MOST_AHEAD.total_seconds())


class AdminRoutes:
    """Faults, the ledger, the clock, and seeding. No key is asked for, and no fault ever meets them."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation

    def routes(self) -> list[web.RouteDef]:
        """The routes of this part."""
        return [
            web.post(f"{ADMIN_PREFIX}corrupt", self.corrupt),
            web.post(f"{ADMIN_PREFIX}lose", self.lose),
            web.post(f"{ADMIN_PREFIX}break-checkpoint", self.break_checkpoint),
            web.get(f"{ADMIN_PREFIX}faults", self.list_faults),
            web.post(f"{ADMIN_PREFIX}faults", self.order_fault),
            web.delete(f"{ADMIN_PREFIX}faults", self.clear_faults),
            web.put(f"{ADMIN_PREFIX}behaviour", self.behave),
            web.get(f"{ADMIN_PREFIX}calls", self.list_calls),
            web.delete(f"{ADMIN_PREFIX}calls", self.clear_calls),
            web.post(f"{ADMIN_PREFIX}clock", self.advance_clock),
            web.post(f"{ADMIN_PREFIX}cancel-session", self.cancel_session),
            web.post(f"{ADMIN_PREFIX}seed", self.seed),
        ]

    async def corrupt(self, request: web.Request) -> web.Response:
        """Flag a run as corrupted, for good."""
        return await self._to_run(request, self._simulation.store.runs.corrupt)

    async def lose(self, request: web.Request) -> web.Response:
        """Make a run unknown; its checkpoints can still be loaded by their paths."""
        return await self._to_run(request, self._simulation.store.runs.lose)

    async def break_checkpoint(self, request: web.Request) -> web.Response:
        """Break a checkpoint's content behind its listing; answers the file that was broken."""
        asked = await parsed(request, BreakOrder)
        simulation, address = self._simulation, parsed_path(asked.path)
        checkpoint = simulation.store.checkpoints.get(address.run_id, address.kind, address.name, simulation.clock())
        if checkpoint is None:
            raise missing("Checkpoint", asked.path)
        archive, file = simulation.bench.archive, f"{checkpoint.file}-broken"
        # Seeded checkpoints share their content: a copy is broken, so that the others stay sound.
        archive.copy(checkpoint.file, file)
        try:
            break_content(archive, file, checkpoint.config, asked.how)
        except (BrokenContentError, FileNotFoundError) as broken:
            raise ApiError(409, f"Its content is broken already: {broken}. Break another one.") from broken
        simulation.store.checkpoints.put(replace(checkpoint, file=file))
        simulation.bench.drop_unused(checkpoint.file)
        return web.json_response({"file": str(archive.path(file))})

    async def list_faults(self, _request: web.Request) -> web.Response:
        """The faults in force."""
        rules = [rule.model_dump(mode="json", exclude_none=True) for rule in self._simulation.faults.in_force()]
        return web.json_response({"faults": rules})

    async def order_fault(self, request: web.Request) -> web.Response:
        """Put a fault in force."""
        self._simulation.faults.order(await parsed(request, FaultRule))
        return web.json_response({})

    async def clear_faults(self, _request: web.Request) -> web.Response:
        """End every fault and ordered behaviour; what was corrupted, lost or broken stays so."""
        self._simulation.faults.clear()
        return web.json_response({})

    async def behave(self, request: web.Request) -> web.Response:
        """Choose among the answers that the service could give; what is left out is as in the beginning."""
        self._simulation.faults.behave(await parsed(request, Behaviour))
        return web.json_response({})

    async def list_calls(self, _request: web.Request) -> web.Response:
        """How often each route was asked, and the latest changing requests."""
        ledger = self._simulation.ledger
        return web.json_response({"counts": ledger.counts(), "changing": ledger.changing()})

    async def clear_calls(self, request: web.Request) -> web.Response:
        """The same, and start counting from zero."""
        answer = await self.list_calls(request)
        self._simulation.ledger.clear()
        return answer

    async def advance_clock(self, request: web.Request) -> web.Response:
        """Move the simulator's time forward."""
        asked = await parsed(request, ClockOrder)
        try:
            self._simulation.clock.advance(timedelta(seconds=asked.advance_seconds))
        except ValueError as refused:
            raise ApiError(400, str(refused)) from refused
        self._simulation.store.keep_clock_ahead(self._simulation.clock.ahead)
        return web.json_response({"now": self._simulation.clock().isoformat()})

    async def cancel_session(self, request: web.Request) -> web.Response:
        """End a session as nobody but the service can."""
        asked = await parsed(request, SessionOrder)
        if self._simulation.store.sessions.get(None, asked.session) is None:
            raise missing("Session", asked.session)
        self._simulation.store.sessions.finish(asked.session, CANCELLED, asked.detail)
        return web.json_response({})

    async def seed(self, request: web.Request) -> web.Response:
        """Make many runs and checkpoints at once."""
        asked = await parsed(request, Seed)
        run_ids = await seed_runs(self._simulation.bench, self._simulation.new_id(), asked)
        return web.json_response({"runs": run_ids})

    async def _to_run(self, request: web.Request, change: Callable[[str], None]) -> web.Response:
        asked = await parsed(request, RunOrder)
        run: RunRecord | None = self._simulation.store.runs.named(asked.run)
        if run is None:
            raise missing("Training run", asked.run)
        change(run.run_id)
        return web.json_response({})
