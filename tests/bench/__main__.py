"""`make bench`: every program of the bench, one after the other, and the page of what they found.

python -m tests.bench --date 2026-01-31 [--seed 1] [--short]
"""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import click
from tests.bench import page
from tests.bench.contest import REPOSITORY, heed_signals
from tests.bench.machine import machine
from tests.bench.outcome import Outcome

PROGRAMS = ("client", "inspection", "recovery", "retention", "scale")
SHORT: Mapping[str, Sequence[str]] = {
    "client": ["--runs", "250", "--gets", "40", "--download-mib", "8", "--repetitions", "1", "--downloads", "1"],
    "inspection": ["--mib", "16", "--repetitions", "1"],
    "recovery": ["--many", "3", "--samples-of-one", "1", "--samples-of-many", "3"],
    "retention": ["--policies", "4", "--runs", "40", "--checkpoints", "10", "--repetitions", "1"],
    "scale": [
        *("--runs", "300", "--corrupted", "10", "--newcomers", "3", "--poll-seconds", "3", "--rest-seconds", "9"),
    ],
}
"""Enough to show that every program and every baseline does its work; their times mean nothing."""


def run_program(name: str, seed: int, options: Sequence[str], output: Path) -> int:
    """Runs one program and returns its exit status."""
    command = [sys.executable, "-m", f"tests.bench.{name}", "--seed", str(seed), "--output", str(output), *options]
    with subprocess.Popen(command, cwd=REPOSITORY) as program:
        try:
            return program.wait()
        finally:
            program.terminate()


@click.command()
@click.option("--date", required=True, help="When this is, as the page shows it.")
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--short", is_flag=True, help="Small sizes, to see that everything works; the page is not touched.")
@click.option(
    "--only", type=click.Choice(PROGRAMS), help="Run this program alone, for what it prints; the page is not touched."
)
def main(date: str, seed: int, short: bool, only: str | None) -> None:
    """Run the bench and write docs/bench.md with its pictures."""
    heed_signals()
    with TemporaryDirectory(prefix="bench-") as place:
        statuses, outcomes = [], []
        for name in [only] if only else PROGRAMS:
            click.echo(f"==> {name}", err=True)
            output = Path(place) / f"{name}.json"
            statuses.append(run_program(name, seed, SHORT[name] if short else (), output))
            if not output.exists():
                sys.exit(1)
            outcomes.append(Outcome.read(output))
        if not short and not only:
            page.write(REPOSITORY / "docs", outcomes, machine(), date)
    sys.exit(1 if any(statuses) else 0)


if __name__ == "__main__":
    main()
