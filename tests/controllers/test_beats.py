"""Heartbeats over real HTTP, of sessions at two services one of which hangs."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime

import pytest
from tests.controllers.test_services import Secrets, eventually, training_run
from tests.simulator.bare import KEYS, Served, Wire

from tinker_operator.controllers.accounts import Account, Keyring, normal_url
from tinker_operator.controllers.objects import TRAINING_RUNS
from tinker_operator.controllers.services import Services
from tinker_operator.controllers.sessions import SessionKeeper
from tinker_operator.engine.store import Store

pytestmark = pytest.mark.http

BEAT = "POST /api/v1/session_heartbeat"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Wire, Wire]]:
    """Two services."""
    with ExitStack() as ending:
        wires = []
        for name in ("sound", "hung"):
            served = Served(tmp_path_factory.mktemp(name))
            ending.callback(served.close)
            served.start()
            wires.append(Wire(served.url, KEYS[0]))
            ending.callback(wires[-1].http.close)
        yield wires[0], wires[1]


async def test_a_service_that_hangs_keeps_no_session_of_another_from_its_beats(pair: tuple[Wire, Wire]) -> None:
    """While its heartbeats wait for an answer, the other's go on at their pace; its own are not piled up."""
    secrets, store = Secrets(), Store()
    urls = frozenset(normal_url(wire.url) for wire in pair)
    services = Services(
        Keyring(secrets, None, normal_url(pair[0].url), urls), clock=lambda: NOW, monotonic=time.monotonic
    )
    for team, wire in zip(("sound", "hung"), pair, strict=True):
        secrets.entries[team] = {"TINKER_API_KEY": wire.key, "TINKER_BASE_URL": wire.url}
        run, session = wire.run(), wire.session()
        await services.refresh(Account(team, "tinker"), (), max_age_seconds=0)
        held = training_run(run, namespace=team, session={"sessionId": session, "trainingRunId": run})
        store.apply(TRAINING_RUNS.kind, held)
    sound, hung = pair
    hung.fault("latency", delay=30, route="session_heartbeat")
    keeping = asyncio.create_task(SessionKeeper(store, services, beat_seconds=0.05).run())
    try:
        await eventually(lambda: hung.calls()["counts"].get(BEAT, 0), "a heartbeat that hangs")
        before = sound.calls()["counts"].get(BEAT, 0)
        await eventually(lambda: sound.calls()["counts"].get(BEAT, 0) >= before + 10, "ten heartbeats", 5)
        assert hung.calls()["counts"][BEAT] == 1
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        await services.close()
