"""When calls to a service that fails are worth sending: it opens after many failures in a row, and probes.

A failure is no answer at all, or a 5xx: the budget judges. While it is open, looks at all runs and heartbeats pass, for
they have a pace of their own, and sessions must not die of the caution; of all other calls one at a time may go, after
ever longer pauses. Any answer closes it.
"""

from dataclasses import dataclass

_STEEPEST = 16


@dataclass(frozen=True, slots=True)
class BreakerTerms:
    """When it opens and how long it stays so.

    Args:
        failures: In a row, with no answer in between, after which it opens.
        lasting_seconds: From the first of them to the last, at least: many calls that fail at one moment are no outage.
        shortest_seconds: The first pause before a probe.
        longest_seconds: The longest; each probe that fails doubles it up to here.
    """

    failures: int = 10
    lasting_seconds: float = 3.0
    shortest_seconds: float = 5.0
    longest_seconds: float = 60.0


class Breaker:
    """The breaker of one connection. Pure: time is an argument, in seconds of a clock that never goes back.

    Args:
        terms: When it opens.
    """

    def __init__(self, terms: BreakerTerms) -> None:
        self._terms = terms
        self._failures = 0
        self._first = 0.0
        self._openings = 0
        self._until: float | None = None
        self._probing = False

    @property
    def is_open(self) -> bool:
        """Whether calls are held back."""
        return self._until is not None

    def begun(self, now: float, *, passes: bool) -> bool | None:
        """Let a call begin: False for an ordinary one, True for a probe, None for one that is held back.

        Args:
            now: The time.
            passes: Whether it is one that goes through in any case.
        """
        if self._until is None or passes:
            return False
        if self._probing or now < self._until:
            return None
        self._probing = True
        return True

    def next_try(self, now: float) -> float:
        """Say in how many seconds the next probe is due; while one is under way, the pause that follows if it fails."""
        if self._until is None:
            return 0.0
        return self._until - now if now < self._until else self._terms.shortest_seconds

    def failed(self, now: float, *, probe: bool) -> None:
        """Count a failure. While it is open only that of a probe counts, not of calls that pass or were under way."""
        if self._until is None:
            self._first = self._first if self._failures else now
            self._failures += 1
            if self._failures >= self._terms.failures and now - self._first >= self._terms.lasting_seconds:
                self._open(now)
        elif probe:
            self._open(now)

    def abandoned(self, *, probe: bool) -> None:
        """Take back a call that says nothing: it was cancelled, or refused on our side."""
        if probe:
            self._probing = False

    def answered(self) -> None:
        """Close: the service answers."""
        self._failures, self._openings, self._until, self._probing = 0, 0, None, False

    def _open(self, now: float) -> None:
        pause = self._terms.shortest_seconds * 2.0 ** min(self._openings, _STEEPEST)
        self._openings += 1
        self._until = now + min(self._terms.longest_seconds, pause)
        self._probing = False
