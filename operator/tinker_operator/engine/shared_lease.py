"""A claim that several processes hold together, and that they hold against everybody else.

All who hold it have the same identity in the record, such as `3-shards`. Whoever of them writes a renewal renews it for
all: a member that reads the record and finds it changed since it last read it knows that the change came after that
read was sent, and that nobody else takes over until the promised duration after the change.

```
 a member     read v1 ------------- read v2: leads until the deadline after its read of v1
 another             writes v2
 who is not                v2 seen ------------------------------| duration: may take over
```

A member that finds the record as it left it writes the renewal itself. Nobody gives the claim up for the others: it
ends when the last member has gone and the duration is over.
"""

from datetime import datetime

from tinker_operator.engine.lease import Candidacy, LeaseRecord


class SharedCandidacy(Candidacy):
    """What one member knows and may do; constructed as its parent is, with the identity of the group."""

    looks_first = True
    _read_at: float | None = None
    _renewed_by_others = False

    def observe(self, record: LeaseRecord | None, now: float, asked_at: float) -> None:
        """Take note of the record as it is stored; a change since it was last known renews the claim.

        Args:
            record: None when there is none.
            now: When the answer had come.
            asked_at: When the question was sent.
        """
        former, known_at = self._record, self._read_at
        super().observe(record, now, asked_at)
        self._read_at, self._renewed_by_others = asked_at, False
        if former is None or record is None or known_at is None or record.holder != self._identity:
            return
        if record.resource_version != former.resource_version:
            self._renewed_at = known_at if self._renewed_at is None else max(known_at, self._renewed_at)
            self._renewed_by_others = True

    def bid(self, now: float, wall: datetime) -> LeaseRecord | None:
        """The record to write now; None while another group may hold it, or if a member has just renewed it.

        Args:
            now: The present moment.
            wall: The same on the wall clock, for people.
        """
        if self._renewed_by_others and self.leads(now):
            return None
        return super().bid(now, wall)

    def won(self, stored: LeaseRecord, asked_at: float) -> None:
        """Take note that a bid was stored.

        Args:
            stored: The record as stored.
            asked_at: When the request was sent.
        """
        super().won(stored, asked_at)
        self._read_at = asked_at

    def resign(self, wall: datetime) -> None:
        """Stop leading at once. The record stays: other members may go on.

        Args:
            wall: The present moment, which nobody is told.
        """
        super().resign(wall)
