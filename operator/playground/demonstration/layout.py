"""Lines as they fit the screen: what is too long goes on below, set in, and no word or path is cut.

`stage` prints them.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator

_COLUMN = re.compile(r"\S+(?: \S+)*\s*")


def hanging(text: str, indent: int, width: int) -> list[str]:
    """Break a text into lines of `width` columns less `indent`; a longer word has a line of its own."""
    room = max(width - indent, 20)
    return textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False) or [""]


def folded(table: str, width: int) -> list[str]:
    """Break what kubectl printed into blocks of whole columns, none wider than `width` unless one column is.

    Args:
        table: A head and its rows, columns parted by two spaces or more.
        width: Columns of the screen.
    """
    rows = table.rstrip("\n").splitlines()
    if not rows or max(map(len, rows)) <= width:
        return rows
    blocks = list(_blocks(rows, width))
    return [line for number, block in enumerate(blocks) for line in ([""] if number else []) + block]


def _blocks(rows: list[str], width: int) -> Iterator[list[str]]:
    starts = [match.start() for match in _COLUMN.finditer(rows[0])]
    ends = [*starts[1:], max(map(len, rows))]
    first = starts[0] if starts else 0
    for start, end in zip(starts, ends, strict=True):
        if start > first and _used(rows, first, end) > width:
            yield [row[first:start].rstrip() for row in rows]
            first = start
    yield [row[first:].rstrip() for row in rows]


def _used(rows: list[str], start: int, end: int) -> int:
    return max(len(row[start:end].rstrip()) for row in rows)
