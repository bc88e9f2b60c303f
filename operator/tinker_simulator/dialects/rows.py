"""Fields of runs and checkpoints that say less than they should."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from tinker_simulator.dialects.exchange import Document, Proceed, rows_in, said_in, saying

_TIMES = ("time", "last_request_time", "expires_at")
_ZONE = re.compile(r"(Z|[+-]\d\d:\d\d)$")
_BEGINNING = "2026-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True)
class Told:
    """Every run and checkpoint in an answer is told otherwise.

    Attributes:
        change: Changes one row in place; given every object of the answer, whatever it is.
    """

    change: Callable[[Document], None]

    async def meet(self, proceed: Proceed, request: web.Request) -> web.StreamResponse:
        """Change the rows."""
        answer = await proceed(request)
        said = said_in(answer)
        if said is None:
            return answer
        for row in rows_in(said):
            self.change(row)
        return saying(answer, said)


def naive_times(row: Document) -> None:
    """Times have no zone."""
    for name in _TIMES:
        if isinstance(row.get(name), str):
            row[name] = _ZONE.sub("", row[name])


def null_times(row: Document) -> None:
    """Checkpoints have no time."""
    if "checkpoint_id" in row:
        row["time"] = None


def still_clock(row: Document) -> None:
    """No run was ever used."""
    if "last_request_time" in row:
        row["last_request_time"] = _BEGINNING


def no_last_checkpoint(row: Document) -> None:
    """A run does not tell its newest checkpoint."""
    for name in ("last_checkpoint", "last_sampler_checkpoint"):
        if name in row:
            row[name] = None


def no_metadata(row: Document) -> None:
    """Nothing remembers what its maker wrote on it."""
    if "user_metadata" in row:
        row["user_metadata"] = None
