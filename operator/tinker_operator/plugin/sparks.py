"""A row of numbers as a row of blocks: how a loss went, in the width of a word."""

from collections.abc import Sequence

_BLOCKS = "▁▂▃▄▅▆▇█"
_LEVEL = _BLOCKS[3]
"""Where nothing changes there is neither a top nor a bottom."""


def sparkline(values: Sequence[float], width: int) -> str:
    """Returns one block for each value, or for each of `width` equal parts of them its last one.

    Args:
        values: Finite numbers, oldest first.
        width: Blocks at most; above 0.
    """
    shown = (
        values if len(values) <= width else [values[(place + 1) * len(values) // width - 1] for place in range(width)]
    )
    if not shown:
        return ""
    low, high = min(shown), max(shown)
    # Halves, because the difference of two numbers that can be told may be one that cannot.
    span = high / 2 - low / 2
    if span == 0:
        return _LEVEL * len(shown)
    return "".join(_BLOCKS[round((value / 2 - low / 2) / span * (len(_BLOCKS) - 1))] for value in shown)
