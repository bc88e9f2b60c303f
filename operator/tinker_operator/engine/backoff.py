"""How long to wait before trying again what failed: for the work queue, the supervisor, the resync and kopf."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait: doubled at each failure, up to a cap, spread so that many do not return at once.

    Attributes:
        base_seconds: The wait after the first failure.
        cap_seconds: The longest wait.
        spread: The share of a wait that chance may take off, from 0 to below 0.5, so that waits still grow.
    """

    base_seconds: float = 1.0
    cap_seconds: float = 60.0
    spread: float = 0.2

    def seconds(self, failures: int, chance: float) -> float:
        """The wait after so many failures in a row.

        Args:
            failures: How many, from 1.
            chance: Drawn evenly from 0 to 1.
        """
        doublings = min(failures - 1, 63)
        return min(self.cap_seconds, self.base_seconds * 2.0**doublings) * (1.0 - self.spread * chance)


class EndlessBackoff:
    """The waits one after another, without an end; each iteration starts with the shortest.

    Args:
        backoff: The waits.
        rng: A number drawn evenly from 0 to 1.
    """

    def __init__(self, backoff: Backoff, rng: Callable[[], float]) -> None:
        self._backoff = backoff
        self._rng = rng

    def __iter__(self) -> Iterator[float]:
        return (self._backoff.seconds(failures, self._rng()) for failures in itertools.count(1))
