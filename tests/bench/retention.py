"""The plans of a million checkpoints, beside a script that sorts and slices.

    python -m tests.bench.retention --seed 1 --output retention.json

Two worlds: one policy over all TrainingRuns of a namespace, and many policies with a share of them each. In both every
run keeps its last five, so that the plain script has to find the same checkpoints.
"""

import hashlib
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
from tests.bench.contest import OURS, Contender, Contest, heed_signals
from tests.bench.outcome import Outcome, Series, Untrue
from tests.bench.retention_world import KEEP_LAST, Sizes, listings

SCRIPT = "sort and slice"


def digest(paths: Iterable[str]) -> dict[str, Any]:
    """Returns what tells two sets of paths apart, and is short."""
    ordered = sorted(paths)
    return {"due": len(ordered), "sha256": hashlib.sha256("\n".join(ordered).encode()).hexdigest()}


def expected(sizes: Sizes) -> dict[str, Any]:
    """Returns what both have to find: all but the newest five of each run, by their numbers."""
    its = listings(sizes).values()
    return digest(it.path for listing in its for it in listing[KEEP_LAST:])


def contest_of(sizes: Sizes) -> Contest:
    """Returns the contest over a world."""
    shared = "1 policy" if sizes.policies == 1 else f"{sizes.policies:,} policies"
    job = f"plan {sizes.runs * sizes.checkpoints:,} checkpoints of {sizes.runs:,} runs, {shared}"
    true = expected(sizes)

    def check(found: Any) -> None:
        if found != true:
            raise Untrue(f"{job}: found {found}, and it is {true}")

    contenders = [
        Contender(OURS, "tests.bench.ours_plan", lambda _: str(sizes)),
        Contender(SCRIPT, "tests.bench.baselines.sort_and_slice", lambda _: str(sizes)),
    ]
    return Contest(job, contenders, check, {}, lambda _: {})


def measure(sizes: Sizes, repetitions: int, seed: int) -> Outcome:
    """Returns what both took, in a world of one policy and in one of many."""
    draw, series = random.Random(seed), list[Series]()  # noqa: S311 - repeatable, not secret
    for policies in (1, sizes.policies):
        series += contest_of(Sizes(policies, sizes.runs, sizes.checkpoints)).held(repetitions, draw)
    arguments = {"policies": sizes.policies, "runs": sizes.runs, "checkpoints": sizes.checkpoints}
    return Outcome("retention", {"seed": seed, **arguments, "repetitions": repetitions}, series)


@click.command()
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--policies", type=click.IntRange(2), default=200, show_default=True, help="In the world of many.")
@click.option("--runs", type=click.IntRange(2), default=20_000, show_default=True, help="TrainingRuns of all policies.")
@click.option("--checkpoints", type=click.IntRange(1), default=50, show_default=True, help="Of each TrainingRun.")
@click.option("--repetitions", type=click.IntRange(1), default=3, show_default=True)
@click.option("--output", type=click.Path(path_type=Path), required=True, help="JSON of what was found.")
def main(  # noqa: PLR0917 - click names them
    seed: int, policies: int, runs: int, checkpoints: int, repetitions: int, output: Path
) -> None:
    """Measure the plans beside a script."""
    heed_signals()
    measure(Sizes(policies, runs, checkpoints), repetitions, seed).write(output)


if __name__ == "__main__":
    main()
