"""What for a call is made, said once around all that a caller does; the budget keeps room for each."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from enum import StrEnum
from typing import Final


class Lane(StrEnum):
    """Calls that do not wait for those of another lane."""

    LOOK = "look"
    """A look at all runs: everything hangs on it, and it shows when the service is well again."""
    ACT = "act"
    """What is asked and done for one run."""
    BULK = "bulk"
    """What is asked and done for many checkpoints; it can wait."""
    BEAT = "beat"
    """Heartbeats: a session that misses them may be ended."""


_LANE: Final[ContextVar[Lane]] = ContextVar("lane", default=Lane.ACT)


def current_lane() -> Lane:
    """Say what the calls of this task are made for."""
    return _LANE.get()


@contextmanager
def asked_in(lane: Lane) -> Iterator[None]:
    """Have every call within be made in a lane.

    Args:
        lane: It.
    """
    token = _LANE.set(lane)
    try:
        yield
    finally:
        _LANE.reset(token)
