"""Tables, commands and numbers as every part of the page of the bench shows them."""

from collections.abc import Sequence
from statistics import median

from tests.bench.outcome import Outcome


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
