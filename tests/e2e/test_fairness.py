"""A service that hangs holds up its own TrainingRuns, and nobody else's."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.e2e.stage import KEY, Stage, wait_for
from tests.e2e.test_faults import secret
from tests.simulator.bare import Served, Wire

pytestmark = pytest.mark.cluster

HUNG = 100
MANY = 30
"""Rounds that hang together: nearly as many as one connection may have in work."""
ALONE_SECONDS = 4.0
"""How much longer than alone a recovery may take: less than half of what one call to the other service hangs."""


@pytest.fixture
def slow(stage: Stage, tmp_path: Path) -> Iterator[Wire]:
    """A second service, which the operator may call."""
    with ExitStack() as ending:
        served = Served(tmp_path / "slow")
        ending.callback(served.close)
        served.start()
        wire = Wire(served.url, KEY)
        ending.callback(wire.http.close)
        stage.operator.end()
        stage.operator.arguments = ("--allow-base-url", served.url)
        stage.operator.start()
        stage.apply(secret("slow", TINKER_API_KEY=KEY, TINKER_BASE_URL=served.url))
        yield wire


def recovery_seconds(stage: Stage, name: str) -> float:
    """Returns how long a run takes from its corruption to its hand-over."""
    run, _ = stage.trained_run(1)
    stage.apply(stage.training_run({"run": {"trainingRunId": run}}, name))
    stage.wait_ready(name)
    began = time.monotonic()
    stage.corrupt(run)
    wait_for(lambda: stage.status(name).get("recoveries") == 1, f"the recovery of {name}")
    return time.monotonic() - began


def asked(slow: Wire) -> int:
    """Returns how many listings of checkpoints the other service was asked for."""
    return sum(count for route, count in slow.calls()["counts"].items() if "GET" in route and "/checkpoints" in route)


def test_a_service_that_hangs_holds_up_no_recovery_at_another(stage: Stage, slow: Wire) -> None:
    """A hundred of its runs are corrupted, and every call for them but the listing hangs for half a minute."""
    runs = [slow.run() for _ in range(HUNG)]
    for run in runs:
        slow.saved(run, "step-1")
    referring = [
        stage.training_run({"run": {"trainingRunId": run}, "credentialsRef": {"name": "slow"}}, f"slow-{number}")
        for number, run in enumerate(runs)
    ]
    stage.apply(*referring)
    alone = recovery_seconds(stage, "alone")
    stage.wait_ready(f"slow-{HUNG - 1}")
    slow.fault("latency", delay=30, route=r"(POST|/checkpoints)")
    for run in runs:
        slow.order("corrupt", {"run": run})
    wait_for(lambda: asked(slow) >= MANY, "rounds that hang")
    beside = recovery_seconds(stage, "beside")

    assert beside < alone + ALONE_SECONDS
    assert not stage.status("slow-0").get("recoveries")
