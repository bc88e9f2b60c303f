"""The page of the bench once more, from outcomes that `python -m tests.bench --outcomes DIR` saved.

python -m tests.bench.page_of --outcomes DIR --date 2026-01-31
"""

from pathlib import Path

import click
from tests.bench import page
from tests.bench.contest import REPOSITORY
from tests.bench.outcome import Untrue
from tests.bench.runs import saved


@click.command()
@click.option("--outcomes", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True)
@click.option("--date", required=True, help="When they were measured, as the page shows it.")
@click.option(
    "--docs",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=REPOSITORY / "docs",
    help="Where the page is written; docs/ by default.",
)
def main(outcomes: Path, date: str, docs: Path) -> None:
    """Write docs/bench.md with its pictures; nothing is measured."""
    try:
        page.write(docs, saved(outcomes), date)
    except Untrue as wrong:
        raise click.UsageError(f"{wrong}; measure it with: python -m tests.bench --outcomes DIR --resume") from wrong


if __name__ == "__main__":
    main()
