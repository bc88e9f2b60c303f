"""`make bench`: every program of the bench, one after the other, and the page of what they found.

python -m tests.bench --date 2026-01-31 [--seed 1] [--short] [--outcomes DIR [--resume]]
"""

import subprocess
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

import click
from tests.bench import page
from tests.bench.contest import REPOSITORY, heed_signals
from tests.bench.outcome import Outcome, Untrue
from tests.bench.runs import FULL, PROGRAMS, SHORT, Orders, check_usable, place_of


def run_program(name: str, seed: int, options: Sequence[str], output: Path) -> None:
    """Runs one program until it ends."""
    command = [sys.executable, "-m", f"tests.bench.{name}", "--seed", str(seed), "--output", str(output), *options]
    with subprocess.Popen(command, cwd=REPOSITORY) as program:
        try:
            program.wait()
        finally:
            program.terminate()


def outcomes_of(orders: Orders, seed: int, folder: Path, *, short: bool, resume: bool) -> list[Outcome]:
    """Returns what the programs found, of which those do not run again that are to be resumed.

    Raises:
        Untrue: One found nothing, or what is there already was measured otherwise; that is told before anything runs.
    """
    places = {name: place_of(folder, name, short=short) for name in orders}
    there = [name for name, place in places.items() if resume and place.exists()]
    for name in there:
        check_usable(places[name], orders[name], seed)
    for name, place in places.items():
        if name not in there:
            click.echo(f"==> {name}", err=True)
            place.unlink(missing_ok=True)
            run_program(orders[name][0], seed, orders[name][1:], place)
        if not place.exists():
            raise Untrue(f"{name} ended without an outcome")
    return [Outcome.read(place) for place in places.values()]


@click.command()
@click.option("--date", required=True, help="When this is, as the page shows it.")
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--short", is_flag=True, help="Small sizes, to see that everything works; the page is not touched.")
@click.option(
    "--only", type=click.Choice(PROGRAMS), help="Run this alone, for what it prints; the page is not touched."
)
@click.option("--outcomes", type=click.Path(path_type=Path, file_okay=False), help="Save what is found in this folder.")
@click.option("--resume", is_flag=True, help="Do not measure again what the folder has already.")
def main(*, date: str, seed: int, short: bool, only: str | None, outcomes: Path | None, resume: bool) -> None:
    """Run the bench and write docs/bench.md with its pictures."""
    if resume and not outcomes:
        raise click.UsageError("--resume goes on with what --outcomes DIR has: name the folder")
    if outcomes:
        outcomes.mkdir(parents=True, exist_ok=True)
    heed_signals()
    orders = {name: order for name, order in (SHORT if short else FULL).items() if only in {None, name, order[0]}}
    if not orders:
        raise click.UsageError(f"{only} is not run {'with' if short else 'without'} --short")
    with nullcontext(outcomes) if outcomes else TemporaryDirectory(prefix="bench-") as place:
        try:
            found = outcomes_of(orders, seed, Path(place), short=short, resume=resume)
            if not short and not only:
                page.write(REPOSITORY / "docs", found, date)
        except Untrue as wrong:
            sys.exit(f"{wrong}" + f"; --resume goes on with what {outcomes} has" * bool(outcomes))
    sys.exit(0 if all(claim.holds for outcome in found for claim in outcome.claims) else 1)


if __name__ == "__main__":
    main()
