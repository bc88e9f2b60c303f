"""Hundreds of thousands of checkpoints under policies on a real API server: a start, rest, and what a change lets go.

    python -m tests.bench.policies --runs 1000 --seed 1 --output policies.json

The operator has the rights that deploy/ grants. The baseline is a loop with the official SDK that lists the checkpoints
of each run in turn; it decides nothing. Each has a cluster and a simulator of its own, on the same machine.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import psutil
from tests.bench.contest import OURS, conclude, heed_signals
from tests.bench.crowd import Meter
from tests.bench.outcome import Claim, Outcome, Series, Untrue
from tests.bench.policies_crowd import Crowd, Sizes, Values, by_operator
from tests.bench.scale import stage_in
from tests.bench.scale_baselines import program
from tests.e2e.stage import KEY, Stage

LOOP = "SDK loop, serial"
RENEWED = 5
"""At rest an interval has no more than this part of the calls of the start: each run is due once in five to ten."""


def by_loop(crowd: Crowd) -> Values:
    """Has a loop with the official SDK list each run in turn."""
    sizes = crowd.sizes
    given = json.dumps({"runs": list(crowd.runs), "interval": sizes.poll_seconds}) + "\n"
    before = crowd.listings()
    with program("sdk_listing", {"kubeconfig": ""}, crowd.stage.served.url, given) as child:
        assert child.stdout is not None
        first, meter = json.loads(child.stdout.readline()), Meter(psutil.Process(child.pid))
        values: Values = {"start_listings": [crowd.listings() - before], "start_cpu_seconds": [meter.cpu_seconds()]}
        rest = crowd.at_rest(meter, calm=False)
    if first["checkpoints"] != sizes.runs * sizes.checkpoints:
        raise Untrue(f"the loop found {first['checkpoints']} checkpoints")
    return {"start_seconds": [first["seconds"]], **values, **rest}


CONTENDERS = {LOOP: by_loop, OURS: by_operator}


def crowd_on(stage: Stage, sizes: Sizes, seed: int) -> Crowd:
    """Makes the runs and their checkpoints, a TrainingRun for each, and the policies."""
    order = {"runs": sizes.runs, "checkpoints": sizes.checkpoints, "owner": f"{KEY}-owner", "seed": seed}
    crowd = Crowd(stage, stage.wire.order("seed", order)["runs"], sizes)
    crowd.create()
    return crowd


def measure(sizes: Sizes, seed: int, folder: Path) -> Outcome:
    """Returns what the operator and the baseline took."""
    job = f"{sizes.runs * sizes.checkpoints:,} checkpoints of {sizes.runs:,} TrainingRuns, {sizes.policies} policies"
    series = list[Series]()
    for number, (contender, watched_by) in enumerate(CONTENDERS.items()):
        with stage_in(folder / f"{number}") as stage:
            series.append(Series(job, contender, watched_by(crowd_on(stage, sizes, seed))))
    arguments = {"seed": seed, **{name: getattr(sizes, name) for name in Sizes.__slots__}}
    return Outcome("policies", arguments, series, claims(sizes, series[-1].values))


def claims(sizes: Sizes, ours: Values) -> list[Claim]:
    """Returns what the project promises: rest costs little and writes nothing, and right ones go (or it is Untrue)."""
    made, again, gone = ours["rest_writes"][0], ours["rest_listings_per_interval"][0], len(sizes.governed(0))
    most = ours["start_listings"][0] / RENEWED
    return [
        Claim(
            f"Policies over {sizes.runs:,} runs at rest: {made:.0f} writes in {sizes.rest_seconds} s.", holds=made == 0
        ),
        Claim(f"At rest {again:,.0f} calls list checkpoints in an interval, at most {most:,.0f}.", holds=again <= most),
        Claim(f"A changed policy let exactly {gone:,} checkpoints go.", holds=_deleted(ours)),
    ]


def _deleted(ours: Mapping[str, object]) -> bool:
    """What went was compared by path before there is a time of it."""
    return "delete_seconds" in ours


@click.command()
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--runs", type=click.IntRange(2, 50_000), default=10_000, show_default=True)
@click.option("--checkpoints", type=click.IntRange(2, 1_000), default=20, show_default=True, help="Of each run.")
@click.option("--policies", type=click.IntRange(1), default=20, show_default=True, help="They share the runs.")
@click.option("--poll-seconds", type=click.IntRange(1), default=60, show_default=True)
@click.option("--rest-seconds", type=click.IntRange(1), default=900, show_default=True)
@click.option("--output", type=click.Path(path_type=Path), required=True, help="JSON of what was found.")
def main(seed: int, output: Path, **sizes: int) -> None:
    """Measure policies over many checkpoints."""
    heed_signals()
    with TemporaryDirectory(prefix="bench-") as place:
        outcome = measure(Sizes(**sizes), seed, Path(place))
    conclude(outcome, output)


if __name__ == "__main__":
    main()
