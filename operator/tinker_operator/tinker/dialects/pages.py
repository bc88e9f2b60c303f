"""Reads a page of checkpoints, which official services give whole and others in pages, counted or not."""

from typing import Final

from tinker_operator.tinker.listing import Page
from tinker_operator.tinker.models import Checkpoint, CheckpointPage

_ROUND: Final = (10, 16, 25)
"""Limits are multiples of these."""


def checkpoint_page(found: CheckpointPage, offset: int) -> Page[Checkpoint]:
    """Give the page in the form in which listings are read.

    A service that counts is believed. One that does not, but names a page size, pages. One that does neither gives
    everything at once, as official services do, unless it gave a round number of rows: that may be a page whose
    limit nobody told, so one more is asked for; a service that gives everything gives the same again.

    Args:
        found: The answer.
        offset: How many rows came before it.
    """
    rows, cursor = found.checkpoints, found.cursor
    if cursor is not None and cursor.total_count:
        return Page(rows, cursor.total_count, full=False)
    limit = cursor.limit if cursor is not None else None
    pages = offset > 0 or bool(limit) or (bool(rows) and any(len(rows) % step == 0 for step in _ROUND))
    return Page(rows, None if pages else len(rows), full=bool(limit) and len(rows) == limit)
