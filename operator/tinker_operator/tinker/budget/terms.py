"""How much a connection may ask, and what it tells of that."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Protocol

from tinker_operator.tinker.budget.breaker import BreakerTerms
from tinker_operator.tinker.budget.lanes import Lane

USUAL_PACE: Final = 200.0
"""Calls a second, in the long run."""
_ROOM: Final = MappingProxyType({Lane.LOOK: 4, Lane.ACT: 32, Lane.BULK: 24, Lane.BEAT: 64})


class Outcome(StrEnum):
    """What became of an attempt."""

    ANSWERED = "answered"
    """There was an answer, whatever it said."""
    FAILED = "failed"
    """There was none that can be used, or a 5xx."""
    HELD_BACK = "held_back"
    """It was not sent."""


class BudgetWatch(Protocol):
    """Told of what is spent, for metrics."""

    def waited(self, lane: Lane, seconds: float) -> None:
        """A call got its place after so long."""

    def ended(self, lane: Lane, outcome: Outcome) -> None:
        """An attempt is over."""


@dataclass(frozen=True, slots=True)
class BudgetTerms:
    """How much.

    Args:
        calls_per_second: The pace, in the long run; heartbeats have their own and do not count.
        room: Calls at once, by lane.
        breaker: When calls are held back.
    """

    calls_per_second: float = USUAL_PACE
    room: Mapping[Lane, int] = field(default_factory=lambda: _ROOM)
    breaker: BreakerTerms = field(default_factory=BreakerTerms)
