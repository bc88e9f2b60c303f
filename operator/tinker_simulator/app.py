"""The web application: all parts put together over one state folder.

For use in a process; `tinker_simulator.server` runs it as a program.
"""

import secrets
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
from tinker_simulator.credentials import Credentials
from tinker_simulator.dialects import DialectBook, spoken
from tinker_simulator.disturbance import disturbed
from tinker_simulator.execution.announcing import Announcements
from tinker_simulator.execution.executor import Executor
from tinker_simulator.execution.operations import perform
from tinker_simulator.execution.workbench import Models, Workbench
from tinker_simulator.faults import FaultBook, Monotonic
from tinker_simulator.ledger import Ledger
from tinker_simulator.routes.admin import ADMIN_PREFIX, AdminRoutes
from tinker_simulator.routes.archives import ArchiveRoutes
from tinker_simulator.routes.auth import KEY_HEADER, AuthRoutes
from tinker_simulator.routes.checkpoints import CheckpointRoutes
from tinker_simulator.routes.copying import CopyRoutes
from tinker_simulator.routes.downloads import DownloadRoutes
from tinker_simulator.routes.external import ExternalRoutes
from tinker_simulator.routes.futures import FutureRoutes
from tinker_simulator.routes.runs import RunRoutes
from tinker_simulator.routes.sampling import SamplingRoutes
from tinker_simulator.routes.saving import SavingRoutes
from tinker_simulator.routes.service import ServiceRoutes
from tinker_simulator.routes.sessions import SessionRoutes
from tinker_simulator.routes.training import TrainingRoutes
from tinker_simulator.settings import ArchiveRoute, Settings, owners_of
from tinker_simulator.signing import SIGNED_PREFIX, Links
from tinker_simulator.simulation import OWNER, Simulation
from tinker_simulator.storage.store import Store

SIMULATION = web.AppKey("simulation", Simulation)

_LARGEST_BODY = 64 * 1024 * 1024
_OPEN = frozenset({"/api/v1/healthz"})
_PARTS = (
    ServiceRoutes,
    AuthRoutes,
    SessionRoutes,
    TrainingRoutes,
    SavingRoutes,
    FutureRoutes,
    RunRoutes,
    CheckpointRoutes,
    CopyRoutes,
    ExternalRoutes,
    ArchiveRoutes,
    DownloadRoutes,
    SamplingRoutes,
)


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
    token_seconds: float | None = None,
    archive_route: ArchiveRoute | None = None,
    archive_takes_time: bool = False,
    dialects: Iterable[str] = (),
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
        token_seconds: How long a token lives that a key is exchanged for; None: keys are not exchanged.
        archive_route: How checkpoints are offered as one archive; None: they are not.
        archive_takes_time: Whether the first request for an archive is told that it is being built.
        dialects: `NAME` for everybody or `NAME@KEY` for one key each, the outermost first.

    Raises:
        SettingError: a key or a dialect cannot be used.
    """
    settings = Settings(
        owners_of(api_keys),
        admin=admin,
        hold_seconds=hold_seconds,
        token_seconds=token_seconds,
        archive_route=archive_route,
        archive_takes_time=archive_takes_time,
    )
    book = DialectBook(dialects, settings.owners)
    simulation = _assemble(state_dir, settings, clock, monotonic, new_id)
    middlewares = [_middleware(simulation), *([spoken(book, simulation)] if book else [])]
    app = web.Application(middlewares=middlewares, client_max_size=_LARGEST_BODY)
    app[SIMULATION] = simulation
    for part in (*_PARTS, AdminRoutes) if admin else _PARTS:
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
    announcements = Announcements(store, epoch=int(movable().timestamp()))
    executor = Executor(store, partial(perform, bench), settings.gap_seconds, faults, announcements)
    secret = store.keys.secret(secrets.token_hex(32))
    credentials = Credentials(settings.owners, store.keys, secret, movable, settings.token_seconds)
    links = Links(secret, movable)
    return Simulation(settings, store, bench, executor, faults, Ledger(), movable, credentials, links, new_id)


async def _running(app: web.Application) -> AsyncIterator[None]:
    simulation = app[SIMULATION]
    _purge_expired(simulation)
    _sweep(simulation)
    simulation.executor.start()
    yield
    await simulation.executor.close()
    simulation.store.close()


async def _release_polls(app: web.Application) -> None:
    app[SIMULATION].executor.release_polls()


def _sweep(simulation: Simulation) -> None:
    # A kill between a record and its file leaves a file that no record names.
    simulation.bench.archive.remove_unfinished()
    for file in simulation.bench.archive.contents():
        simulation.bench.drop_unused(file)


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
    request[OWNER] = ""
    if request.path not in _OPEN and not request.path.startswith(SIGNED_PREFIX):
        try:
            request[OWNER] = simulation.credentials.owner_of(request.headers.get(KEY_HEADER))
        except ApiError as unknown:
            return unknown.response()
    return await _answered(request, handler)


async def _answered(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ApiError as error:
        return error.response()
    except web.HTTPException as refused:
        # The service's framework answers unknown routes and methods with the bare reason.
        allowed = {name: refused.headers[name] for name in ("Allow",) if name in refused.headers}
        return error_response(refused.status, refused.reason, allowed)
