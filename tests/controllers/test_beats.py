"""Heartbeats over real HTTP, of sessions at two services one of which hangs."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

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
        await ended(keeping, services)


async def test_a_session_that_was_opened_since_the_last_beat_waits_for_the_one_after(pair: tuple[Wire, Wire]) -> None:
    """What comes between two beats is not in the next one; what an operator finds as it starts is beaten at once."""
    secrets, store, wire = Secrets(), Store(), pair[0]
    secrets.entries["team"] = {"TINKER_API_KEY": wire.key}
    url = normal_url(wire.url)
    services = Services(Keyring(secrets, None, url, frozenset({url})), clock=lambda: NOW, monotonic=time.monotonic)
    await services.refresh(Account("team", "tinker"), (), max_age_seconds=0)
    crowd = [holding(wire, f"successor-{number}") for number in range(20)]
    store.apply(TRAINING_RUNS.kind, holding(wire, "found"))
    readings: list[int] = []
    keeping = asyncio.create_task(SessionKeeper(store, services, beat_seconds=1).run())
    try:
        await eventually(lambda: wire.calls()["counts"].get(BEAT, 0), "the first heartbeat")
        for obj in crowd:
            store.apply(TRAINING_RUNS.kind, obj)
        await eventually(lambda: noted(readings, wire.calls()["counts"][BEAT]) >= 22, "two more beats")
    finally:
        await ended(keeping, services)
    assert readings.count(2) > 1, f"one of a single session, then all: {readings}"


def noted(readings: list[int], count: int) -> int:
    """The count, kept among the readings."""
    readings.append(count)
    return count


def holding(wire: Wire, name: str) -> Any:
    """A TrainingRun that holds a session of its own."""
    run = wire.run()
    held = training_run(run, session={"sessionId": wire.session(), "trainingRunId": run})
    held["metadata"] |= {"name": name, "uid": name}
    return held


async def ended(keeping: asyncio.Task[None], services: Services) -> None:
    """Ends the beats and the connections."""
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    await services.close()
