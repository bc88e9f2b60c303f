"""Whether this replica lives and is ready, as the kubelet asks. `Exposition` serves both answers.

That an answer comes at all is the better half of liveness: it comes from the loop that does the work, so a loop that
does not turn lets the probe run into its time-out. What is left to tell is a process that should have ended.
"""

from collections.abc import Callable
from dataclasses import dataclass

from tinker_operator.engine.keys import Monotonic

END_SECONDS = 30.0
"""How long a process may outlive its engine. What may be slow at the end takes ten seconds together."""
MISSED_LISTINGS = 3
"""So many resync intervals without a complete listing, and the view is too old to take over with."""


@dataclass(frozen=True, slots=True)
class Vitals:
    """What the engine shows of itself.

    Attributes:
        synced: Whether the store holds everything that was there at the start.
        leading: Whether this replica leads.
        listed_at: When the last complete listing ended, on the monotonic clock; None before the first.
        resync_seconds: The pause between listings.
    """

    synced: bool
    leading: bool
    listed_at: float | None
    resync_seconds: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer to a probe.

    Attributes:
        well: Whether it is.
        told: Why, in a few words.
    """

    well: bool
    told: str


class Health:
    """What probes are told.

    Args:
        monotonic: Clock, in seconds; the engine's.
    """

    def __init__(self, monotonic: Monotonic) -> None:
        self._monotonic = monotonic
        self._vitals: Callable[[], Vitals] | None = None
        self._ended_at: float | None = None

    def begun(self, vitals: Callable[[], Vitals]) -> None:
        """Takes note of the engine that begins to run.

        Args:
            vitals: What it shows of itself.
        """
        self._vitals = vitals

    def ended(self) -> None:
        """Takes note that the engine has ended; the process is to follow."""
        self._ended_at = self._monotonic()

    @property
    def leading(self) -> bool:
        """Whether this replica leads."""
        return self._ended_at is None and self._vitals is not None and self._vitals().leading

    def liveness(self) -> Verdict:
        """Tells whether a restart could not help."""
        return liveness(self._ended_at, self._monotonic())

    def readiness(self) -> Verdict:
        """Tells whether this replica leads or could take over."""
        if self._ended_at is not None:
            return Verdict(well=False, told="ends")
        return readiness(self._vitals() if self._vitals else None, self._monotonic())


def liveness(ended_at: float | None, now: float) -> Verdict:
    """Judges whether the process is well; trouble of the API server is none of its own.

    Args:
        ended_at: When the engine ended, None while it has not.
        now: The present moment on the same clock, in seconds.
    """
    if ended_at is not None and now > ended_at + END_SECONDS:
        return Verdict(well=False, told="the engine has ended, and the process does not")
    return Verdict(well=True, told="the loop turns")


def readiness(vitals: Vitals | None, now: float) -> Verdict:
    """Judges whether the replica does the work or stands by with a store that is worth working from.

    Args:
        vitals: Of the engine, None before it runs.
        now: The present moment on the engine's clock, in seconds.
    """
    if vitals is None:
        return Verdict(well=False, told="waits for the API server")
    if not vitals.synced:
        return Verdict(well=False, told="lists what there is")
    # A leader does the work all the same, and nobody else would do it better.
    too_old = vitals.listed_at is not None and now > vitals.listed_at + MISSED_LISTINGS * vitals.resync_seconds
    if too_old and not vitals.leading:
        return Verdict(well=False, told="has not seen the whole cluster for too long")
    return Verdict(well=True, told="leads" if vitals.leading else "stands by")
