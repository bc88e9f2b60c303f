"""Who leads: the decisions of leader election, without clock, network or waiting.

The rules are those of Kubernetes' own components. A record that all candidates see names the holder; every write of it
is a compare-and-swap on its `resourceVersion`. Nobody compares wall clocks: a candidate takes over only after it has,
by its own monotonic clock, seen the record unchanged for the duration that the holder promised, and a holder stops
leading when its own clock says that its last confirmed renewal is older than a deadline that is shorter than that.

```
 holder     |renew ok----------------------|deadline: stops leading
 candidate    |sees it-----------------------------------|duration: may take over
            0 s                          10 s          15 s
```

`Elector` carries the decisions out.
"""

from dataclasses import dataclass, replace
from datetime import datetime

NOBODY = ""
RELEASED_SECONDS = 1
"""The duration in a released record: the least that the API server accepts."""


@dataclass(frozen=True, slots=True)
class LeaseTimings:
    """How patient election is. The defaults are those of Kubernetes' own components.

    Attributes:
        duration_seconds: How long candidates leave an unchanged record alone.
        deadline_seconds: How long a holder leads on after its last confirmed renewal.
        retry_seconds: The pause between attempts to renew or to acquire.

    Raises:
        ValueError: Not duration > deadline > retry > 0: two could lead at once.
    """

    duration_seconds: int = 15
    deadline_seconds: float = 10.0
    retry_seconds: float = 2.0

    def __post_init__(self) -> None:
        if not self.duration_seconds > self.deadline_seconds > self.retry_seconds > 0:
            raise ValueError(f"lease timings must fall from duration to deadline to retry to 0, not be {self}")


@dataclass(frozen=True, slots=True)
class LeaseRecord:
    """What all candidates see.

    Attributes:
        holder: Identity of who leads; empty for nobody.
        duration_seconds: What the holder promised: others may take over this long after the last change.
        transitions: How often the holder changed.
        acquired_at: Wall-clock time, for people.
        renewed_at: Wall-clock time, for people.
        resource_version: The version that a write replaces; empty for a record that is not stored yet.
    """

    holder: str
    duration_seconds: int
    transitions: int
    acquired_at: datetime | None
    renewed_at: datetime | None
    resource_version: str = ""


class Candidacy:
    """What one candidate knows and may do. Times are of its own monotonic clock, in seconds.

    Args:
        identity: Unique to this process: two of the same name would both lead.
        timings: How patient it is.
    """

    looks_first = False
    """Whether a holder, too, has to look at the record before it renews it."""

    def __init__(self, identity: str, timings: LeaseTimings) -> None:
        self._identity = identity
        self._timings = timings
        self._record: LeaseRecord | None = None
        self._observed_at = 0.0
        self._renewed_at: float | None = None

    def leads(self, now: float) -> bool:
        """Whether this candidate may act as the leader at this moment."""
        return self.seconds_left(now) > 0

    def seconds_left(self, now: float) -> float:
        """How long it may lead on without another renewal; 0 when it does not lead."""
        if self._renewed_at is None:
            return 0.0
        return max(0.0, self._renewed_at + self._timings.deadline_seconds - now)

    def observe(self, record: LeaseRecord | None, now: float, asked_at: float) -> None:  # noqa: ARG002 - for groups
        """Take note of the record as it is stored.

        Args:
            record: None when there is none.
            now: When the answer had come.
            asked_at: When the question was sent.
        """
        version = self._record.resource_version if self._record else None
        if record is None or record.resource_version != version:
            self._observed_at = now
        self._record = record
        if record is None or record.holder != self._identity:
            self._renewed_at = None

    def bid(self, now: float, wall: datetime) -> LeaseRecord | None:
        """The record to write now, in order to renew or to take over; None while another may lead.

        Args:
            now: The present moment.
            wall: The same on the wall clock, for people.
        """
        old = self._record
        if old is None:
            return LeaseRecord(self._identity, self._timings.duration_seconds, 0, wall, wall)
        renewed = replace(old, holder=self._identity, duration_seconds=self._timings.duration_seconds, renewed_at=wall)
        if old.holder == self._identity:
            return renewed
        if old.holder == NOBODY or now >= self._observed_at + old.duration_seconds:
            return replace(renewed, acquired_at=wall, transitions=old.transitions + 1)
        return None

    def won(self, stored: LeaseRecord, asked_at: float) -> None:
        """Take note that a bid was stored.

        A write that changes nothing, as of a wall clock that stands still, gets no new version: the others did not see
        it, so it is no renewal.

        Args:
            stored: The record as stored.
            asked_at: When the request was *sent*: the others may have seen it any time since.
        """
        if self._record is not None and self._record.resource_version == stored.resource_version:
            return
        self._record = stored
        self._renewed_at = self._observed_at = asked_at

    def resign(self, wall: datetime) -> LeaseRecord | None:
        """Stop leading at once; the record to write so that another need not wait, or None when there is none.

        Args:
            wall: The present moment on the wall clock, for people.
        """
        led, self._renewed_at = self._renewed_at is not None, None
        if not led or self._record is None:
            return None
        return replace(self._record, holder=NOBODY, duration_seconds=RELEASED_SECONDS, renewed_at=wall)
