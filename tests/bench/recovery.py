"""From the flag that a run is corrupted to the hand-over that its trainer goes on by, on a real API server.

    python -m tests.bench.recovery --seed 1 --output recovery.json

The operator, the simulator and the API server are processes; the operator has the rights that deploy/ grants. The time
of a run begins just before the simulator is told to flag it, and ends when a watch shows its hand-over.
"""

import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
from tests.bench.contest import OURS, REPOSITORY, heed_signals
from tests.bench.outcome import Outcome, Series, Untrue
from tests.bench.staging import stage_on
from tests.bench.watching import HandOverWatch, Written
from tests.e2e.stage import KEY, Stage

from playground.binaries import locate
from playground.controlplane import ControlPlane

LOOP = "SDK loop, serial"
POLL_SECONDS = 1.0
PATIENCE_SECONDS = 180.0
CHECKPOINTS = 3


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much happens.

    Attributes:
        many: How many runs are corrupted at the same time, in the second job; in the first it is one.
        samples_of_one: How many hand-overs are timed in the first job.
        samples_of_many: And in the second, at least.
    """

    many: int
    samples_of_one: int
    samples_of_many: int

    def jobs(self) -> list[tuple[int, int]]:
        """Returns how many runs are corrupted at once, and how often, job by job."""
        return [(1, self.samples_of_one), (self.many, -(-self.samples_of_many // self.many))]


@dataclass(frozen=True, slots=True)
class Bench:
    """A stage without anybody on it.

    Attributes:
        stage: API server, simulator, and the operator, which does not run yet.
        draw: Decides when in the poll interval runs are corrupted, and in which order.
    """

    stage: Stage
    draw: random.Random

    def by_operator(self, at_once: int, rounds: int) -> list[float]:
        """Has the operator recover, which runs; returns the seconds of each run."""
        stage, delays = self.stage, list[float]()
        for number in range(rounds):
            runs = self._seeded(at_once, f"operator-{at_once}-{number}")
            stage.apply(*(stage.training_run({"run": {"trainingRunId": run}}, name) for name, run in runs.items()))
            names = [f"trainingrun/{name}" for name in runs]
            options = ("--for=condition=Ready", "--timeout=120s", "--namespace", stage.namespace)
            stage.kubectl("wait", *options, *names, seconds=150)
            delays += self._corrupted(runs)
            stage.kubectl("delete", "trainingruns", "--all", "--namespace", stage.namespace, seconds=120)
        return delays

    def by_loop(self, at_once: int, rounds: int) -> list[float]:
        """Has the serial loop recover; returns the seconds of each run."""
        delays = list[float]()
        for number in range(rounds):
            runs = self._seeded(at_once, f"loop-{at_once}-{number}")
            with self._loop(runs):
                delays += self._corrupted(runs)
        return delays

    def _seeded(self, count: int, prefix: str) -> dict[str, str]:
        order = {"runs": count, "checkpoints": CHECKPOINTS, "owner": f"{KEY}-owner"}
        runs = self.stage.wire.order("seed", order)["runs"]
        return {f"{prefix}-{number}": run for number, run in enumerate(runs)}

    def _corrupted(self, runs: Mapping[str, str]) -> list[float]:
        """Corrupts all, at a moment of the interval that is drawn, and returns how long each took to its hand-over."""
        with HandOverWatch(self.stage.kubectl, self.stage.namespace) as watch:
            threading.Event().wait(self.draw.uniform(0, POLL_SECONDS))
            flagged = {}
            for name in self.draw.sample(list(runs), len(runs)):
                flagged[name] = time.monotonic()
                self.stage.corrupt(runs[name])
            written = watch.wait_for(runs, PATIENCE_SECONDS)
        self._check(runs, written)
        return [written[name].at - flagged[name] for name in runs]

    def _check(self, runs: Mapping[str, str], written: Mapping[str, Written]) -> None:
        """A hand-over counts only if its run is alive, nobody else's, and from the newest checkpoint."""
        successors = {one.document["trainingRunId"] for one in written.values()}
        wrong = [
            name
            for name, run in runs.items()
            if written[name].document["checkpoint"] != f"tinker://{run}/weights/step-{CHECKPOINTS}"
        ]
        flags = [
            self.stage.wire.get(f"training_runs/{one}").raise_for_status().json()["corrupted"] for one in successors
        ]
        if wrong or len(successors) != len(runs) or any(flags):
            raise Untrue(f"hand-overs are wrong: {wrong}, {len(successors)} successors for {len(runs)} runs")

    @contextmanager
    def _loop(self, runs: Mapping[str, str]) -> Iterator[None]:
        stage = self.stage
        order: dict[str, Any] = {"runs": runs, "namespace": stage.namespace, "interval": POLL_SECONDS}
        order["kubeconfig"] = str(stage.kubectl.kubeconfig)
        command = [sys.executable, "-m", "tests.bench.baselines.serial_loop", json.dumps(order)]
        environ = {**os.environ, "TINKER_BASE_URL": stage.served.url, "TINKER_API_KEY": KEY}
        with subprocess.Popen(command, cwd=REPOSITORY, env=environ, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            try:
                if child.stdout.readline() != "ready\n":
                    raise Untrue("the serial loop did not start")
                yield
            finally:
                child.terminate()
                ended = child.wait(timeout=15)
            if ended != 0:
                raise Untrue(f"the serial loop ended with status {ended}")


@contextmanager
def bench_on(plane: ControlPlane, seed: int, folder: Path) -> Iterator[Bench]:
    """Sets the stage on a control plane that runs."""
    namespace = f"bench-{random.Random(str(folder)).getrandbits(32):08x}"  # noqa: S311 - a name of its own, not secret
    try:
        with stage_on(plane, namespace, folder) as stage:
            yield Bench(stage, random.Random(seed))  # noqa: S311 - see above
    finally:
        plane.kubectl("delete", "namespace", namespace, "--ignore-not-found", "--wait=false")


def job_of(at_once: int) -> str:
    """Returns how a job is shown."""
    return f"{at_once} run{'s' * (at_once > 1)} corrupted at once"


def measure(plane: ControlPlane, sizes: Sizes, seed: int, folder: Path) -> Outcome:
    """Returns what the operator and the loop took."""
    series = list[Series]()
    with bench_on(plane, seed, folder) as bench:
        bench.stage.operator.start()
        try:
            for at_once, rounds in sizes.jobs():
                delays = bench.by_operator(at_once, rounds)
                series.append(Series(job_of(at_once), OURS, {"delay_seconds": delays}))
        finally:
            bench.stage.operator.close()
        for at_once, rounds in sizes.jobs():
            delays = bench.by_loop(at_once, rounds)
            series.append(Series(job_of(at_once), LOOP, {"delay_seconds": delays}))
    arguments = {"seed": seed, "poll_seconds": POLL_SECONDS, **{name: getattr(sizes, name) for name in Sizes.__slots__}}
    return Outcome("recovery", arguments, series)


@click.command()
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--many", type=click.IntRange(2, 500), default=100, show_default=True, help="Runs corrupted at once.")
@click.option("--samples-of-one", type=click.IntRange(1), default=30, show_default=True)
@click.option("--samples-of-many", type=click.IntRange(1), default=300, show_default=True)
@click.option("--output", type=click.Path(path_type=Path), required=True, help="JSON of what was found.")
def main(seed: int, output: Path, **sizes: int) -> None:
    """Measure the recovery beside a serial loop."""
    heed_signals()
    with TemporaryDirectory(prefix="bench-") as place, ControlPlane(Path(place) / "cluster", locate()) as plane:
        measure(plane, Sizes(**sizes), seed, Path(place)).write(output)


if __name__ == "__main__":
    main()
