"""What the operator is measured against in the bench of scale; see `scale`."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import psutil
from tests.bench.contest import REPOSITORY
from tests.bench.crowd import Meter
from tests.bench.outcome import Untrue
from tests.bench.scale_crowd import TOLD, Crowd, Values
from tests.bench.scale_loss import losing
from tests.e2e.stage import KEY

ENDING_SECONDS = 20.0
"""How long a baseline may take to end; a kopf with a timer for each object takes long."""


@contextmanager
def program(module: str, order: Mapping[str, Any], url: str, stdin: str = "") -> Iterator[subprocess.Popen[str]]:
    """Runs a baseline, which ends by itself or is ended."""
    command = [sys.executable, "-m", f"tests.bench.baselines.{module}", json.dumps(order)]
    environ = {**os.environ, "TINKER_BASE_URL": url, "TINKER_API_KEY": KEY, "KUBECONFIG": str(order["kubeconfig"])}
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=REPOSITORY, env=environ, **pipes) as child:
        try:
            assert child.stdin is not None
            child.stdin.write(stdin)
            child.stdin.close()
            yield child
        finally:
            child.terminate()
            with suppress(subprocess.TimeoutExpired):
                child.wait(timeout=ENDING_SECONDS)
            child.kill()


def by_bare_loop(crowd: Crowd) -> Values:
    """Has nothing done but the writing of each status."""
    order = {"kubeconfig": str(crowd.stage.operator.kubeconfig), "namespace": crowd.stage.namespace}
    with crowd.first_statuses() as watch:
        began = time.monotonic()
        with program("bare_patches", order, crowd.stage.served.url) as child:
            assert child.stdout is not None
            answer = json.loads(child.stdout.readline())
            moments = watch.wait_for(TOLD, list(crowd.runs), crowd.sizes.patience_seconds)
    if answer["found"] != len(crowd.runs):
        raise Untrue(f"the bare loop wrote {answer['found']} statuses for {len(crowd.runs)} objects")
    cost = answer["cost"]["cpu_seconds"] + answer["cost"]["ready_cpu_seconds"]
    return {"start_seconds": [max(moments.values()) - began], "start_cpu_seconds": [cost]}


def by_timers(crowd: Crowd) -> Values:
    """Has a timer look after each object; of one that is given up, it is told what it left undone."""
    stage = crowd.stage
    order = {"kubeconfig": str(stage.kubectl.kubeconfig), "namespace": stage.namespace}
    with crowd.first_statuses() as watch:
        began = time.monotonic()
        with program("kopf_timers", {**order, "interval": crowd.sizes.poll_seconds}, stage.served.url) as child:
            moments = watch.within(TOLD, list(crowd.runs), crowd.sizes.timers_patience_seconds)
            meter, untold = Meter(psutil.Process(child.pid)), len(crowd.runs) - len(moments)
            last = time.monotonic() if untold else max(moments.values())
            values: Values = {
                "start_seconds": [last - began],
                "untold": [untold],
                "start_cpu_seconds": [meter.cpu_seconds()],
            }
            return values if untold else {**values, **crowd.at_rest(meter, crowd.sizes.baseline_rest_seconds)}


def by_sdk_loop(crowd: Crowd) -> Values:
    """Has a loop with the official SDK go through the runs: one that looks, or at a troubled service, that restores."""
    return restored_by_loop(crowd) if crowd.sizes.troubled else watched_by_loop(crowd)


def watched_by_loop(crowd: Crowd) -> Values:
    """Has a loop look at each run in turn."""
    order = {"kubeconfig": "", "interval": crowd.sizes.poll_seconds}
    given = json.dumps({"runs": list(crowd.runs.values()), "interval": crowd.sizes.poll_seconds}) + "\n"
    with program("sdk_monitor", order, crowd.stage.served.url, given) as child:
        assert child.stdout is not None
        first = json.loads(child.stdout.readline())
        values = crowd.at_rest(Meter(psutil.Process(child.pid)), crowd.sizes.baseline_rest_seconds)
    if first["corrupted"] != 0:
        raise Untrue(f"the loop took {first['corrupted']} runs for corrupted")
    return {"round_seconds": [first["seconds"]], **values}


def restored_by_loop(crowd: Crowd) -> Values:
    """Has a loop look at each run in turn, and restore what is corrupted; its start is its first round.

    What it does not hand over in time has no times here, and is missing among those that are right.
    """
    stage, sizes = crowd.stage, crowd.sizes
    order = {"kubeconfig": str(stage.kubectl.kubeconfig), "namespace": stage.namespace, "interval": sizes.poll_seconds}
    began, over = time.monotonic(), list[float]()
    with program("serial_loop", order, stage.served.url, json.dumps(crowd.runs) + "\n") as child:
        assert child.stdout is not None
        if child.stdout.readline() != "ready\n":
            raise Untrue("the serial loop did not get through its first round")
        values: dict[str, Sequence[float]] = {"start_seconds": [time.monotonic() - began]}
        with losing(crowd) as loss:
            with suppress(Untrue):
                over = loss.hand_overs(sizes.serial_patience_seconds)
            values["handed_over_seconds"] = [moment - loss.began for moment in over]
            return {**values, **loss.judged()}
