"""A run that no look can have shown yet is asked for alone, where that takes fewer calls; over real HTTP."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests.controllers.test_services import NOW, TEAM, Secrets, eventually, listings, training_run
from tests.simulator.bare import KEYS, Served, Wire

from tinker_operator.controllers.accounts import Keyring, normal_url
from tinker_operator.controllers.objects import TRAINING_RUNS
from tinker_operator.controllers.poller import Poller
from tinker_operator.controllers.services import Services
from tinker_operator.engine.store import Store
from tinker_operator.engine.workqueue import WorkQueue

pytestmark = pytest.mark.http

RUNS = 250
"""Three pages: two runs are asked for one by one, three are not."""
_OWNERS = iter(KEYS)


@pytest.fixture
def wire(served: Served) -> Iterator[Wire]:
    """A new owner of many runs."""
    loop = Wire(served.url, next(_OWNERS))
    loop.order("seed", {"runs": RUNS, "owner": f"{loop.key}-owner"})
    yield loop
    loop.http.delete("/_simulator/faults")
    loop.http.close()


@pytest.fixture
async def services(served: Served, wire: Wire) -> Any:
    """Services that have looked at all of the owner's runs once."""
    url, secrets = normal_url(served.url), Secrets()
    secrets.entries["team"] = {"TINKER_API_KEY": wire.key}
    made = Services(Keyring(secrets, None, url, frozenset({url})), clock=lambda: NOW, monotonic=time.monotonic)
    await made.refresh(TEAM, (), max_age_seconds=0)
    assert len(made.inventory_of(TEAM).runs) == RUNS
    yield made
    await made.close()


def singles(wire: Wire) -> int:
    """Returns how often the service was asked for one run."""
    counts: dict[str, int] = wire.calls()["counts"]
    return counts.get("GET /api/v1/training_runs/{run_id}", 0)


async def test_a_run_is_added_by_one_call(services: Services, wire: Wire) -> None:
    """The others are not listed again."""
    run, pages, alone = wire.run(), listings(wire), singles(wire)

    assert await services.show(TEAM, [run])
    assert services.inventory_of(TEAM).runs.keys() > {run}
    assert len(services.inventory_of(TEAM).runs) == RUNS + 1
    assert await services.show(TEAM, [run]), "what is known meanwhile costs nothing"
    assert (listings(wire), singles(wire)) == (pages, alone + 1)


async def test_as_many_as_there_are_pages_are_left_to_a_listing(services: Services, wire: Wire) -> None:
    alone = singles(wire)

    assert not await services.show(TEAM, [wire.run() for _ in range(3)])
    assert singles(wire) == alone


@pytest.mark.parametrize("trouble", ["it does not have the run", "it fails"])
async def test_what_the_service_does_not_give_is_left_to_a_listing(
    trouble: str, services: Services, wire: Wire
) -> None:
    """An answer about one run is no proof that it is gone, and trouble is told by the look at all."""
    known, run = services.inventory_of(TEAM), "nobody:train:0"
    if trouble == "it fails":
        run = wire.run()
        wire.fault("http", status=500, route="GET /api/v1/training_runs/")

    assert not await services.show(TEAM, [run])
    assert services.inventory_of(TEAM).runs == known.runs
    assert services.inventory_of(TEAM).fault is None


@pytest.fixture
async def poller(services: Services) -> Any:
    """A poller at work on the runs that a store's objects follow, with the queue that it fills."""
    queue = WorkQueue(time.monotonic, rng=lambda: 0.0)
    made = Poller(services, Store(), queue, cluster_id="test", rng=lambda: 0.0)
    polling = asyncio.create_task(made.run())
    yield made, queue
    polling.cancel()


async def test_who_follows_the_run_is_woken_and_nothing_is_listed(
    services: Services, wire: Wire, poller: tuple[Poller, WorkQueue]
) -> None:
    looking, queue = poller
    run = wire.run()
    looking._store.apply(TRAINING_RUNS.kind, training_run(wire.run(), interval=3600))
    looking.soon(TEAM)
    async with asyncio.timeout(15):
        queue.done(await queue.get())  # the first look concerns it
    pages = listings(wire)
    made = wire.run()
    looking._store.apply(TRAINING_RUNS.kind, training_run(run, interval=3600, version=2, trainingRunId=made))
    looking.soon(TEAM, made)

    async with asyncio.timeout(15):
        assert (await queue.get()).name == "sft"
    assert made in services.inventory_of(TEAM).runs
    assert listings(wire) == pages


async def test_looks_at_single_runs_do_not_put_off_the_next_look_at_all(
    services: Services, wire: Wire, poller: tuple[Poller, WorkQueue]
) -> None:
    """A recovery every half a second must not keep a corruption from being seen."""
    looking, _ = poller
    looking._store.apply(TRAINING_RUNS.kind, training_run(wire.run(), interval=2))
    looking.soon(TEAM)
    await eventually(lambda: len(services.inventory_of(TEAM).runs) == RUNS + 1, "the first look")
    pages, alone = listings(wire), singles(wire)

    async with asyncio.timeout(30):
        while listings(wire) < pages + 9:
            made = wire.run()
            looking.soon(TEAM, made)
            await eventually(lambda made=made: made in services.inventory_of(TEAM).runs, "the run")  # type: ignore[misc]
    assert singles(wire) > alone
