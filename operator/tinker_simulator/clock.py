"""Time as the simulator knows it: the injected clock, plus what an administrator has moved it forward."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Clock = Callable[[], datetime]
MOST_AHEAD = timedelta(days=365_000)


def to_text(moment: datetime) -> str:
    """A UTC time of fixed width, so that text order is time order and every reader sees the zone."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def from_text(text: str) -> datetime:
    """The reverse of `to_text`."""
    return datetime.fromisoformat(text)


class MovableClock:
    """A clock that can be moved forward, never back, so that expiry can be seen without waiting for it."""

    def __init__(self, source: Clock, ahead: timedelta = timedelta()) -> None:
        self._source = source
        self.ahead = ahead

    def __call__(self) -> datetime:
        """The present, as the simulator has it."""
        return self._source() + self.ahead

    def advance(self, by: timedelta) -> None:
        """Move forward by `by`; a negative amount is the caller's mistake.

        Raises:
            ValueError: `by` is negative, or leads beyond what can be reckoned with.
        """
        if by < timedelta():
            raise ValueError("The clock only moves forward. Give a positive number of seconds.")
        if self.ahead + by > MOST_AHEAD:
            raise ValueError("The clock moves a thousand years ahead at most. Give fewer seconds.")
        self.ahead += by
