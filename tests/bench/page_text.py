"""Tables, commands and numbers as every part of the page of the bench shows them."""

from collections.abc import Mapping, Sequence
from statistics import median

from tests.bench.outcome import Outcome, Series, quantile

MIB = 1024**2


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns a table of Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def given(outcome: Outcome) -> str:
    """Returns what its program was told, as one tells it; an option that stands for several is repeated."""
    options = [
        f"--{name.replace('_', '-')} {one}"
        for name, value in outcome.arguments.items()
        for one in (value if isinstance(value, list | tuple) else [value])
    ]
    return " ".join(options)


def spread(values: Sequence[float], digits: int) -> str:
    """Returns the median and, in brackets, the least and the most."""
    return f"{median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def figures(outcome: Outcome, titles: Mapping[str, tuple[str, int]]) -> tuple[list[str], list[list[str]]]:
    """Returns head and rows of what was measured of every contender.

    Args:
        outcome: Of one job.
        titles: Quantity → how it is shown, with so many digits.
    """
    rows = [
        [title, *(shown(one, quantity, digits) for one in outcome.series)]
        for quantity, (title, digits) in titles.items()
    ]
    return [outcome.series[0].job, *(one.contender for one in outcome.series)], rows


def shown(series: Series, quantity: str, digits: int) -> str:
    """Returns the value of a quantity; of several the median, the 99th part and the most; "-" of none."""
    unit = MIB if quantity.endswith("bytes") else 1
    values = [value / unit for value in series.values.get(quantity, ())]
    parts = [quantile(values, part) for part in (0.5, 0.99, 1.0)[: 3 if len(values) > 1 else 1]] if values else []
    return " / ".join(f"{value:,.{digits}f}" for value in parts) or "-"
