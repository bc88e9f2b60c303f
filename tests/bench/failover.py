"""A hundred recoveries whose leader is killed or frozen every few seconds: nothing lost, nothing twice, and how fast.

    python -m tests.bench.failover --seed 1 --output failover.json

Two replicas of the operator, with the rights that deploy/ grants, an API server and a simulator, each a process. A
third of the strikes freezes the leader until the other one has taken over, and wakes it again. The program fails if a
run was lost, if one has two successors, or if a replica wrote anything after it had lost its Lease.
"""

import time
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import click
from tests.bench.contest import OURS, heed_signals
from tests.bench.outcome import Outcome, Series
from tests.bench.recovery import bench_on
from tests.e2e.failover import Failover
from tests.e2e.replicas import replicas_of

from playground.binaries import locate
from playground.controlplane import ControlPlane


def measure(plane: ControlPlane, runs: int, strikes: int, seed: int, folder: Path) -> Outcome:
    """Returns how long it took until all runs were recovered, and how often the leader was struck."""
    with bench_on(plane, seed, folder) as bench:
        arguments = [(), ()]
        with replicas_of(bench.stage, plane, folder, arguments) as replicas:
            failover = Failover(bench.stage, replicas, Random(seed))  # noqa: S311 - chance that can be repeated
            failover.begin(runs)
            began_at = time.monotonic()
            failover.run(strikes)
            seconds = time.monotonic() - began_at
            failover.judge()
    found = {"seconds": [seconds], **{kind: [float(count)] for kind, count in sorted(failover.strikes.items())}}
    job = f"{runs} runs lost under {strikes} leaders"
    return Outcome("failover", {"seed": seed, "runs": runs, "strikes": strikes}, [Series(job, OURS, found)])


@click.command()
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--runs", type=click.IntRange(2, 150), default=100, show_default=True, help="Runs that are lost.")
@click.option("--strikes", type=click.IntRange(1), default=25, show_default=True, help="Leaders killed or frozen.")
@click.option("--output", type=click.Path(path_type=Path), required=True, help="JSON of what was found.")
def main(seed: int, runs: int, strikes: int, output: Path) -> None:
    """Strike the leader again and again while runs are recovered."""
    heed_signals()
    with TemporaryDirectory(prefix="bench-") as place, ControlPlane(Path(place) / "cluster", locate()) as plane:
        measure(plane, runs, strikes, seed, Path(place)).write(output)


if __name__ == "__main__":
    main()
