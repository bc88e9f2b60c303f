"""Thousands of TrainingRuns on a real API server: how the operator starts, rests, notices and recovers.

    python -m tests.bench.scale --runs 1000 --seed 1 --output scale.json

Each contender has a namespace with as many TrainingRuns as the others, all made before it starts. The operator has the
rights that deploy/ grants. API server, simulator and contender share the machine.
"""

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import psutil
from tests.bench.contest import OURS, REPOSITORY, heed_signals
from tests.bench.crowd import Meter, create_all, remove
from tests.bench.outcome import Claim, Outcome, Series, Untrue
from tests.bench.scale_crowd import CHECKPOINTS, TOLD, Crowd, Sizes, Values, by_operator
from tests.e2e.stage import KEY, Operator, Stage
from tests.simulator.bare import Served, Wire

from playground.binaries import locate
from playground.controlplane import ControlPlane
from playground.crds import apply_crds, checkout_crds

LIMIT = "bare loop of status patches"
TIMERS = "kopf timer for each object"
MONITOR = "SDK loop, serial"
ACCOUNT = "tinker-operator"
PAGE = 100
"""Runs on a page of the service's listing."""
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
    """Has a timer look after each object."""
    stage = crowd.stage
    order = {"kubeconfig": str(stage.kubectl.kubeconfig), "namespace": stage.namespace}
    with crowd.first_statuses() as watch:
        began = time.monotonic()
        with program("kopf_timers", {**order, "interval": crowd.sizes.poll_seconds}, stage.served.url) as child:
            moments = watch.wait_for(TOLD, list(crowd.runs), crowd.sizes.patience_seconds)
            meter = Meter(psutil.Process(child.pid))
            values: Values = {
                "start_seconds": [max(moments.values()) - began],
                "start_cpu_seconds": [meter.cpu_seconds()],
            }
            return {**values, **crowd.at_rest(meter, calm=False)}


def by_monitor(crowd: Crowd) -> Values:
    """Has a loop with the official SDK look at each run in turn."""
    order = {"kubeconfig": "", "interval": crowd.sizes.poll_seconds}
    given = json.dumps({"runs": list(crowd.runs.values()), "interval": crowd.sizes.poll_seconds}) + "\n"
    with program("sdk_monitor", order, crowd.stage.served.url, given) as child:
        assert child.stdout is not None
        rounds = [json.loads(child.stdout.readline())]
        values = crowd.at_rest(Meter(psutil.Process(child.pid)), calm=False)
    if rounds[0]["corrupted"] != 0:
        raise Untrue(f"the loop took {rounds[0]['corrupted']} runs for corrupted")
    return {"round_seconds": [one["seconds"] for one in rounds], **values}


CONTENDERS = {LIMIT: by_bare_loop, TIMERS: by_timers, MONITOR: by_monitor, OURS: by_operator}


@contextmanager
def stage_on(plane: ControlPlane, name: str, folder: Path) -> Iterator[Stage]:
    """Sets a namespace and a simulator up, with nobody at work."""
    folder.mkdir()
    kubeconfig = plane.service_account_kubeconfig(ACCOUNT, ACCOUNT, folder / "kubeconfig")
    plane.kubectl("create", "namespace", name)
    served = Served(folder / "simulator")
    try:
        served.start()
        operator = Operator(kubeconfig, name, served.url, folder / "operator.log")
        wire = Wire(served.url, KEY)
        with wire.http:
            yield Stage(plane.kubectl, name, served, wire, operator)
    finally:
        served.close()


def crowd_on(stage: Stage, sizes: Sizes, draw: random.Random) -> Crowd:
    """Makes the runs, and a TrainingRun for each."""
    order = {"runs": sizes.runs, "checkpoints": CHECKPOINTS, "owner": f"{KEY}-owner"}
    runs = {f"run-{at}": run for at, run in enumerate(stage.wire.order("seed", order)["runs"])}
    create_all(stage.kubectl.kubeconfig, stage.namespace, runs, sizes.poll_seconds)
    sizes.trouble(stage.wire)
    return Crowd(stage, runs, sizes, draw)


def measure(plane: ControlPlane, sizes: Sizes, seed: int, folder: Path) -> Outcome:
    """Returns what the operator and the baselines took."""
    apply_crds(plane.kubectl, checkout_crds())
    plane.kubectl("apply", "-k", REPOSITORY / "deploy")
    series, draw = list[Series](), random.Random(seed)  # noqa: S311 - a bench that can be repeated, no secret
    prefix = f"scale-{random.Random(str(folder)).getrandbits(32):08x}"  # noqa: S311 - as above
    names = {contender: f"{prefix}-{number}" for number, contender in enumerate(CONTENDERS)}
    try:
        for contender, name in names.items():
            with stage_on(plane, name, folder / name) as stage:
                values = CONTENDERS[contender](crowd_on(stage, sizes, draw))
            series.append(Series(f"{sizes.runs:,} TrainingRuns", contender, values))
    finally:
        # Not before: the writes of a deletion would count for who comes next.
        remove(plane.kubectl, list(names.values()))
    arguments = {"seed": seed, **{name: getattr(sizes, name) for name in Sizes.__slots__}}
    return Outcome("scale", arguments, series, claims(sizes, {one.contender: one.values for one in series}))


def claims(sizes: Sizes, found: Mapping[str, Values]) -> list[Claim]:
    """Returns what the project promises of its rest: that it costs nothing but its polls."""
    ours, pages = found[OURS], -(-(sizes.runs + sizes.newcomers) // PAGE)
    made = ours["rest_writes"][0] + ours["rest_events"][0]
    many = f"{sizes.runs:,} TrainingRuns"
    calm = Claim(f"{many} at rest: {made:.0f} writes and Events in {sizes.rest_seconds} s.", holds=made == 0)
    if sizes.error_every:
        return [calm]  # calls that fail are made again
    asked = ours["rest_calls_per_poll"][0]
    told = ours["blip_writes"][0] + ours["blip_events"][0]
    return [
        calm,
        Claim(f"A poll of {many} is {asked:.0f} calls, at most {pages + 1}.", holds=asked <= pages + 1),
        Claim(f"One failed look at {many}: {told:.0f} writes and Events.", holds=told == 0),
    ]


@click.command()
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--runs", type=click.IntRange(10, 50_000), default=10_000, show_default=True)
@click.option("--corrupted", type=click.IntRange(1), default=100, show_default=True, help="Corrupted at once.")
@click.option("--newcomers", type=click.IntRange(1), default=100, show_default=True, help="Added one by one.")
@click.option("--poll-seconds", type=click.IntRange(1), default=60, show_default=True)
@click.option("--rest-seconds", type=click.IntRange(1), default=600, show_default=True)
@click.option("--latency-ms", type=click.IntRange(0), default=0, show_default=True, help="Of the service.")
@click.option("--error-every", type=click.IntRange(0), default=0, show_default=True, help="50: 2 % of calls fail.")
@click.option("--output", type=click.Path(path_type=Path), required=True, help="JSON of what was found.")
def main(seed: int, output: Path, **sizes: int) -> None:
    """Measure many TrainingRuns at once."""
    heed_signals()
    with TemporaryDirectory(prefix="bench-") as place, ControlPlane(Path(place) / "cluster", locate()) as plane:
        outcome = measure(plane, Sizes(**sizes), seed, Path(place))
    outcome.write(output)
    for claim in outcome.claims:
        click.echo(f"{'holds' if claim.holds else 'FALSE'}: {claim.text}")
    sys.exit(0 if all(claim.holds for claim in outcome.claims) else 1)


if __name__ == "__main__":
    main()
