"""The operator in the bench of scale: its start, its rest, newcomers, one failed look, and many losses; see `scale`."""

import threading
import time
from collections.abc import Callable, Sequence

from tests.bench.crowd import Meter, at_work, calls, create_runs, writes
from tests.bench.first_times import FirstTimes
from tests.bench.outcome import Untrue
from tests.bench.scale_crowd import READY, SETTLING_SECONDS, TOLD, Crowd, Values
from tests.bench.scale_loss import lost_by_operator
from tests.e2e.stage import KEY
from tests.simulator.bare import Wire

POLL_LATE_SECONDS = 30.0
"""How much later than due a poll of many runs may be."""


def by_operator(crowd: Crowd) -> Values:
    """Has the operator look after the crowd."""
    names, patience = list(crowd.runs), crowd.sizes.patience_seconds
    with crowd.first_statuses() as watch:
        began = time.monotonic()
        with at_work(crowd.stage.operator) as meter:
            values: dict[str, Sequence[float]] = {
                **_start(crowd, watch, meter, began),
                "ready_seconds": [max(watch.wait_for(READY, names, patience).values()) - began],
            }
            meter.wait_calm(SETTLING_SECONDS)
            values |= crowd.at_rest(meter, crowd.sizes.rest_seconds)
            values |= newcomers(crowd, watch)
            if not crowd.sizes.error_every:
                values |= blip(crowd, meter)
            values |= lost_by_operator(crowd, meter)
    return values


def start_by_operator(crowd: Crowd) -> Values:
    """Has the operator begin with the crowd, and end again."""
    with crowd.first_statuses() as watch:
        began = time.monotonic()
        with at_work(crowd.stage.operator) as meter:
            return _start(crowd, watch, meter, began)


def _start(crowd: Crowd, watch: FirstTimes, meter: Meter, began: float) -> Values:
    moments = watch.wait_for(TOLD, list(crowd.runs), crowd.sizes.patience_seconds)
    return {"start_seconds": [max(moments.values()) - began], "start_cpu_seconds": [meter.cpu_seconds()]}


def newcomers(crowd: Crowd, watch: FirstTimes) -> Values:
    """Adds TrainingRuns, each at a moment that is drawn: seconds to the first call that is made, and until Ready.

    Raises:
        Untrue: No call is made because of one.
    """
    stage, pause, called, done = crowd.stage, threading.Event(), list[float](), list[float]()
    seeded = stage.wire.order("seed", {"runs": crowd.sizes.newcomers, "owner": f"{KEY}-owner"})["runs"]
    for number, run in enumerate(seeded):
        pause.wait(crowd.draw.uniform(0, min(2.0, crowd.sizes.poll_seconds)))
        name, asked, began = f"newcomer-{number}", calls(stage.wire), time.monotonic()
        create_runs(stage.kubectl.kubeconfig, stage.namespace, {name: run}, crowd.sizes.poll_seconds)
        while calls(stage.wire) == asked:
            if time.monotonic() > began + crowd.sizes.patience_seconds:
                raise Untrue(f"nothing is asked because of {name}")
            pause.wait(0.02)
        called.append(time.monotonic() - began)
        done.append(watch.wait_for(READY, [name], crowd.sizes.patience_seconds)[name] - began)
    return {"newcomer_call_seconds": called, "newcomer_seconds": done}


def _failing(wire: Wire) -> bool:
    """Tells whether calls are left that are to fail."""
    return any("count" in rule for rule in wire.http.get("/_simulator/faults").json()["faults"])


def _until(is_so: Callable[[], bool], seconds: float) -> None:
    pause, deadline = threading.Event(), time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            raise Untrue("the operator does not look at the service any more")
        pause.wait(0.2)


def blip(crowd: Crowd, meter: Meter) -> Values:
    """Lets one look at the service fail, with all of its repetitions, and counts what is written because of it."""
    stage, pause = crowd.stage, threading.Event()
    meter.wait_calm(SETTLING_SECONDS)
    before, used = writes(stage.kubectl), meter.cpu_seconds()
    stage.wire.fault("http", status=500, route="GET /api/v1/training_runs", count=3)
    patience = 2.5 * crowd.sizes.poll_seconds + POLL_LATE_SECONDS
    _until(lambda: not _failing(stage.wire), patience)
    asked = stage.calls("GET /api/v1/training_runs")
    _until(lambda: stage.calls("GET /api/v1/training_runs") > asked, patience)
    pause.wait(crowd.sizes.poll_seconds)
    meter.wait_calm(SETTLING_SECONDS)
    made = writes(stage.kubectl) - before
    return {
        "blip_writes": [made["trainingruns"]],
        "blip_events": [made["events"]],
        "blip_cpu_seconds": [meter.cpu_seconds() - used],
    }
