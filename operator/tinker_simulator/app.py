"""The web application: all parts put together over one state folder.

For use in a process; `tinker_simulator.server` runs it as a program.
"""

import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from tinker_simulator.answers import ApiError, error_response
from tinker_simulator.archive import Archive
from tinker_simulator.clock import Clock, MovableClock
from tinker_simulator.disturbance import disturbed
from tinker_simulator.execution.executor import Executor
from tinker_simulator.execution.operations import perform
from tinker_simulator.execution.workbench import Models, Workbench
from tinker_simulator.faults import FaultBook, Monotonic
from tinker_simulator.ledger import Ledger
from tinker_simulator.routes.admin import ADMIN_PREFIX, AdminRoutes
from tinker_simulator.routes.checkpoints import CheckpointRoutes
from tinker_simulator.routes.futures import FutureRoutes
from tinker_simulator.routes.runs import RunRoutes
from tinker_simulator.routes.sampling import SamplingRoutes
from tinker_simulator.routes.service import ServiceRoutes
from tinker_simulator.routes.training import TrainingRoutes
from tinker_simulator.settings import Settings, owners_of
from tinker_simulator.simulation import OWNER, Simulation
from tinker_simulator.storage.store import Store

SIMULATION = web.AppKey("simulation", Simulation)

_LARGEST_BODY = 64 * 1024 * 1024
_OPEN = frozenset({"/api/v1/healthz"})


def wall_clock() -> datetime:
    """The present, from the operating system."""
    return datetime.now(UTC)  # noqa: TID251 (the default of the composition root)


def random_id() -> str:
    """A session id that nobody has."""
    return str(uuid.uuid4())


def make_app(
    state_dir: Path,
    api_keys: Iterable[str],
    *,
    admin: bool = False,
    clock: Clock = wall_clock,
    monotonic: Monotonic = time.monotonic,
    new_id: Callable[[], str] = random_id,
    hold_seconds: float = 25.0,
) -> web.Application:
    """An application that serves the state kept in `state_dir`.

    Args:
        state_dir: Where everything is kept; made when it does not exist. One application at a time may use it.
        api_keys: `KEY` or `KEY@OWNER` each; two keys of one owner see the same runs.
        admin: Whether the routes under `/_simulator/` exist.
        clock: The time that records carry and expiry goes by.
        monotonic: What the duration of faults is measured with.
        new_id: Makes session ids.
        hold_seconds: How long a poll of an unfinished future is held.

    Raises:
        SettingError: a key cannot be used.
    """
    settings = Settings(owners_of(api_keys), admin=admin, hold_seconds=hold_seconds)
    simulation = _assemble(state_dir, settings, clock, monotonic, new_id)
    app = web.Application(middlewares=[_middleware(simulation)], client_max_size=_LARGEST_BODY)
    app[SIMULATION] = simulation
    parts = (ServiceRoutes, TrainingRoutes, FutureRoutes, RunRoutes, CheckpointRoutes, SamplingRoutes)
    for part in (*parts, AdminRoutes) if admin else parts:
        app.add_routes(part(simulation).routes())
    app.cleanup_ctx.append(_running)
    app.on_shutdown.append(_release_polls)
    return app


def _assemble(
    state_dir: Path, settings: Settings, clock: Clock, monotonic: Monotonic, new_id: Callable[[], str]
) -> Simulation:
    state_dir.mkdir(parents=True, exist_ok=True)
    store = Store(state_dir / "simulator.sqlite3")
    movable = MovableClock(clock, store.clock_ahead())
    faults = FaultBook(monotonic)
    bench = Workbench(store, Archive(state_dir / "checkpoints"), movable, faults, Models(store))
    executor = Executor(store, partial(perform, bench), settings.gap_seconds)
    return Simulation(settings, store, bench, executor, faults, Ledger(), movable, new_id)


async def _running(app: web.Application) -> AsyncIterator[None]:
    simulation = app[SIMULATION]
    _purge_expired(simulation)
    simulation.executor.start()
    yield
    await simulation.executor.close()
    simulation.store.close()


async def _release_polls(app: web.Application) -> None:
    app[SIMULATION].executor.release_polls()


def _purge_expired(simulation: Simulation) -> None:
    for checkpoint in simulation.store.checkpoints.expired(simulation.clock()):
        simulation.store.checkpoints.delete(checkpoint)
        simulation.bench.drop_unused(checkpoint.file)


def _middleware(simulation: Simulation) -> Middleware:
    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith(ADMIN_PREFIX):
            return await _answered(request, handler)
        route = request.match_info.route.resource
        template = route.canonical if route is not None else "(no such route)"
        simulation.ledger.note(request.method, request.path, template, await request.read())

        async def authorized(request: web.Request) -> web.StreamResponse:
            return await _authorized(simulation, request, handler)

        return await disturbed(simulation.faults, request, authorized)

    return middleware


async def _authorized(simulation: Simulation, request: web.Request, handler: Handler) -> web.StreamResponse:
    owner = simulation.settings.owner_of(request.headers.get("X-API-Key"))
    if owner is None and request.path not in _OPEN:
        return error_response(401, "Invalid API key. Send a valid one as X-API-Key.")
    request[OWNER] = owner or ""
    return await _answered(request, handler)


async def _answered(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ApiError as error:
        return error.response()
    except web.HTTPException as refused:
        # The service's framework answers unknown routes and methods with the bare reason.
        return error_response(refused.status, refused.reason)
