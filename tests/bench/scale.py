"""Thousands of TrainingRuns on a real API server: how the operator starts, rests, notices and recovers.

    python -m tests.bench.scale --runs 1000 --seed 1 --output scale.json

Each contender has a cluster of its own, with as many TrainingRuns as the others, all made before it starts: an API
server that holds another's objects, too, takes longer for each write. The operator has the rights that deploy/ grants.
API server, simulator and contender share the machine.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import click
from tests.bench.contest import OURS, conclude, heed_signals
from tests.bench.crowd import create_runs
from tests.bench.outcome import Claim, Outcome, Series
from tests.bench.scale_baselines import by_bare_loop, by_sdk_loop, by_timers
from tests.bench.scale_crowd import CHECKPOINTS, Crowd, Sizes, Values
from tests.bench.scale_ours import by_operator, start_by_operator
from tests.bench.staging import stage_on
from tests.e2e.stage import KEY, Stage

from playground.binaries import locate
from playground.controlplane import ControlPlane

LIMIT = "bare loop of status patches"
TIMERS = "kopf timer for each object"
MONITOR = "SDK loop, serial"
PAGE = 100
"""Runs on a page of the service's listing."""
NAMESPACE = "scale"
CONTENDERS = {LIMIT: by_bare_loop, TIMERS: by_timers, MONITOR: by_sdk_loop, OURS: by_operator}
STARTS = {LIMIT: by_bare_loop, OURS: start_by_operator}
"""Those whose starts are compared to a tenth, which one start on one machine does not tell; they take turns."""
WITHOUT = {"limit": LIMIT, "timers": TIMERS, "sdk-loop": MONITOR}
"""What a contender is called that is left out."""


@contextmanager
def stage_in(folder: Path) -> Iterator[Stage]:
    """Sets a cluster and a simulator up that nobody else uses, with nobody at work."""
    with ControlPlane(folder / "cluster", locate()) as plane, stage_on(plane, NAMESPACE, folder) as stage:
        yield stage


def crowd_on(stage: Stage, sizes: Sizes, draw: random.Random) -> Crowd:
    """Makes the runs, and a TrainingRun for each."""
    order = {"runs": sizes.runs, "checkpoints": CHECKPOINTS, "owner": f"{KEY}-owner"}
    runs = {f"run-{at}": run for at, run in enumerate(stage.wire.order("seed", order)["runs"])}
    create_runs(stage.kubectl.kubeconfig, stage.namespace, runs, sizes.poll_seconds)
    sizes.trouble(stage.wire)
    return Crowd(stage, runs, sizes, draw)


def measure(sizes: Sizes, seed: int, folder: Path, without: Sequence[str] = ()) -> Outcome:
    """Returns what the operator and the baselines took, but for those that are left out."""
    out, draw = {WITHOUT[one] for one in without}, random.Random(seed)  # noqa: S311 - can be repeated, no secret
    there = [contender for contender in CONTENDERS if contender not in out]
    found = {one: dict(_alone(folder / f"{at}", CONTENDERS[one], sizes, draw)) for at, one in enumerate(there)}
    for at, one in enumerate([contender for contender in STARTS if contender in there] * (sizes.starts - 1)):
        for quantity, values in _alone(folder / f"start-{at}", STARTS[one], sizes, draw).items():
            found[one][quantity] = [*found[one][quantity], *values]
    series = [Series(sizes.shown, contender, values) for contender, values in found.items()]
    arguments = {"seed": seed, **{name: getattr(sizes, name) for name in Sizes.__slots__}, "without": list(without)}
    return Outcome("scale", arguments, series, claims(sizes, found))


def _alone(folder: Path, watched_by: Callable[[Crowd], Values], sizes: Sizes, draw: random.Random) -> Values:
    with stage_in(folder) as stage:
        return watched_by(crowd_on(stage, sizes, draw))


def claims(sizes: Sizes, found: Mapping[str, Values]) -> list[Claim]:
    """Returns what the project promises: that rest costs nothing but the polls, and that nothing is recovered twice."""
    ours, pages = found[OURS], -(-sizes.runs // PAGE)
    made = ours["rest_writes"][0] + ours["rest_events"][0]
    many = sizes.shown
    right, loads = ours["recovered_right"][0], ours["recovered_made"][0]
    once = f"{many}: {sizes.corrupted} corrupted at once, {right:.0f} of them recovered, by {loads:.0f} new runs."
    calm = [
        Claim(f"{many} at rest: {made:.0f} writes and Events in {sizes.rest_seconds} s.", holds=made == 0),
        Claim(once, holds=right == loads == sizes.corrupted),
    ]
    if sizes.error_every:
        return calm  # calls that fail are made again
    asked = ours["rest_calls_per_poll"][0]
    told = ours["blip_writes"][0] + ours["blip_events"][0]
    return [
        *calm,
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
@click.option("--baseline-rest-seconds", type=click.IntRange(1), default=120, show_default=True)
@click.option("--starts", type=click.IntRange(1), default=1, show_default=True, help="Of the loop and the operator.")
@click.option("--latency-ms", type=click.IntRange(0), default=0, show_default=True, help="Of the service.")
@click.option("--error-every", type=click.IntRange(0), default=0, show_default=True, help="50: 2 % of calls fail.")
@click.option("--without", type=click.Choice(list(WITHOUT)), multiple=True, help="Leave a baseline out.")
@click.option("--output", type=click.Path(path_type=Path), required=True, help="JSON of what was found.")
def main(seed: int, output: Path, without: tuple[str, ...], **sizes: int) -> None:
    """Measure many TrainingRuns at once."""
    heed_signals()
    with TemporaryDirectory(prefix="bench-") as place:
        outcome = measure(Sizes(**sizes), seed, Path(place), without)
    conclude(outcome, output)


if __name__ == "__main__":
    main()
