"""A service that is far away and answers badly: slow, with errors, and with answers that are lost after the deed."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from random import Random

import pytest
from tests.e2e.proxy import Exchange, Fault, Proxy, Request, proxied, underworld
from tests.e2e.stage import Stage, wait_for

pytestmark = pytest.mark.cluster

RUNS, LOST = 50, 10
ERRORS, CHANGING_ERRORS = 0.02, 0.1
"""Shares of calls that fail; of those that change something more, since there are few of them."""
SLOW_SHARE = 0.2
DEADLINE_SECONDS = 60.0


async def far(exchange: Exchange) -> None:
    """Gives the real answer, after 50 ms as a rule and after 300 ms at times."""
    await asyncio.sleep(0.3 if exchange.rng.random() < SLOW_SHARE else 0.05)
    await exchange.pass_on()


async def lost(exchange: Exchange) -> None:
    """Has it done, and loses the answer."""
    await exchange.answered()
    exchange.hang_up(reset=True)


async def refused(exchange: Exchange) -> None:
    """Fails without doing it."""
    await exchange.answer(exchange.rng.choice([500, 502, 503]), {"content-type": "text/plain"}, b"no")


async def limited(exchange: Exchange) -> None:
    """Asks for a pause."""
    await exchange.answer(429, {"content-type": "text/plain", "retry-after": "1"}, b"slow down")


TROUBLES = (Fault("lost", lost), Fault("refused", refused), Fault("limited", limited))
FAR = Fault("far", far)


@dataclass
class Rough:
    """What happens to calls: each kind of trouble to one that changes something, for certain, and then by chance."""

    certain: list[Fault] = field(default_factory=lambda: list(TROUBLES))

    def __call__(self, request: Request, rng: Random) -> Fault:
        if request.method != "GET" and self.certain:
            return self.certain.pop()
        share = ERRORS if request.method == "GET" else CHANGING_ERRORS
        return rng.choice(TROUBLES) if rng.random() < share else FAR


@pytest.fixture
def way(stage: Stage) -> Iterator[Proxy]:
    """The way from the operator to the service; nothing happens on it yet."""
    with ExitStack() as ending:
        below = ending.enter_context(underworld())
        proxy = ending.enter_context(proxied(below, Proxy(stage.served.url, seed=7)))
        stage.operator.end()
        stage.operator.url = proxy.url
        stage.operator.start()
        yield proxy


def test_each_lost_run_is_recovered_once_whatever_becomes_of_the_answers(stage: Stage, way: Proxy) -> None:
    """Fifty runs, ten of them corrupted at once: ten successors, no more, and the others are left alone."""
    runs = [stage.wire.run() for _ in range(RUNS)]
    for run in runs:
        stage.save(run, 1)
    names = {run: f"run-{number}" for number, run in enumerate(runs)}
    stage.apply(*(stage.training_run({"run": {"trainingRunId": run}}, name) for run, name in names.items()))
    for name in names.values():
        stage.wait_ready(name)
    way.choose = Rough()
    for run in runs[:LOST]:
        stage.corrupt(run)

    def statuses() -> dict[str, dict[str, object]]:
        items = stage.kubectl.json("get", "trainingruns", "--namespace", stage.namespace)["items"]
        return {one["metadata"]["name"]: one["status"] for one in items}

    def recovered() -> list[str]:
        return sorted(name for name, status in statuses().items() if status.get("recoveries") == 1)

    wanted = sorted(names[run] for run in runs[:LOST])
    wait_for(lambda: recovered() == wanted, "ten recoveries", DEADLINE_SECONDS)
    way.choose = None
    stage.wait_polls()

    now = statuses()
    living = {one["training_run_id"] for one in stage.remote_runs()} - set(runs)
    assert living == {now[name]["trainingRunId"] for name in wanted}, "one successor each, and no orphan"
    assert [now[names[run]]["trainingRunId"] for run in runs[LOST:]] == runs[LOST:]
    assert recovered() == wanted
    assert min(way.counts[trouble.name] for trouble in TROUBLES) > 0, way.counts
