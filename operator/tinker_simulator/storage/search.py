"""Sessions by what they are and what became of them, newest first, page after page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from tinker_simulator.clock import to_text
from tinker_simulator.records import SessionRecord
from tinker_simulator.storage.database import Database, Row
from tinker_simulator.storage.sessions import CANCELLED, session_of

# The SDK beats every ten seconds, and warns its user after so long without success.
ALIVE_FOR = timedelta(seconds=120)

_FAILED = "EXISTS (SELECT 1 FROM runs r WHERE r.session_id = s.session_id AND r.corrupted = 1)"
_LIVING = "c.run_id = r.run_id AND (c.expires_at IS NULL OR c.expires_at > ?)"
_OF_SESSION = f"FROM runs r JOIN checkpoints c ON {_LIVING} WHERE r.session_id = s.session_id"


class Fate(StrEnum):
    """What became of a session, as far as the service knows."""

    ACTIVE = "active"
    CANCELLED = "cancelled"
    CLIENT_FINISHED = "client_finished"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class FateQuery:
    """One fate to look for; `reasons` narrows what the client reported."""

    fate: Fate
    reasons: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class SessionQuery:
    """What to look for; None and empty leave a thing open.

    Attributes:
        owners: Whose sessions.
        session_id: This one; a session that has the display name is found as well.
        display_name: Words that each appear in the display name, in whatever case.
        project_ids: In one of these projects.
        user_metadata: With all of these pairs.
        fates: Any of these.
        after: Creation time and id of the last session on the page before.
        limit: How many at most.
    """

    limit: int
    owners: Sequence[str] | None = None
    session_id: str | None = None
    display_name: str | None = None
    project_ids: Sequence[str] | None = None
    user_metadata: Mapping[str, str] = field(default_factory=dict)
    fates: Sequence[FateQuery] | None = None
    after: tuple[datetime, str] | None = None


@dataclass(frozen=True, slots=True)
class FoundSession:
    """A session, what became of it, and how much it keeps; `failed_run` is the run it failed by."""

    session: SessionRecord
    fate: Fate
    checkpoints_count: int
    checkpoint_bytes: int
    failed_run: str | None


class SessionSearch:
    """Looks through the sessions of every owner."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, query: SessionQuery, now: datetime) -> list[FoundSession]:
        """The sessions that match, newest first, one more than the limit when there are more."""
        conditions = _Conditions(now)
        conditions.add_all(query)
        rows = self._database.all(
            f"SELECT s.*, (SELECT COUNT(*) {_OF_SESSION}) AS kept, "  # noqa: S608 (constants and marks only)
            f"(SELECT COALESCE(SUM(c.size_bytes), 0) {_OF_SESSION}) AS bytes, "
            "(SELECT r.run_id FROM runs r WHERE r.session_id = s.session_id AND r.corrupted = 1 "
            "ORDER BY r.model_seq_id LIMIT 1) AS failed_run "
            f"FROM sessions s WHERE {' AND '.join(conditions.terms)} "
            "ORDER BY s.created_at DESC, s.session_id DESC LIMIT ?",
            (to_text(now), to_text(now), *conditions.values, query.limit + 1),
        )
        return [_found(row, now) for row in rows]


class _Conditions:
    def __init__(self, now: datetime) -> None:
        self._alive_since = to_text(now - ALIVE_FOR)
        self.terms = ["1"]
        self.values: list[Any] = []

    def add_all(self, query: SessionQuery) -> None:
        self._one_of("s.owner", query.owners)
        self._one_of("s.project_id", query.project_ids)
        self._named(query.session_id, query.display_name)
        for pair in query.user_metadata.items():
            self._add("EXISTS (SELECT 1 FROM json_each(s.user_metadata) WHERE key = ? AND value = ?)", *pair)
        if query.fates is not None:
            self._any_of([self._fate(fate) for fate in query.fates])
        if query.after is not None:
            moment, session_id = query.after
            self._add("(s.created_at, s.session_id) < (?, ?)", to_text(moment), session_id)

    def _add(self, term: str, *values: Any) -> None:
        self.terms.append(term)
        self.values.extend(values)

    def _one_of(self, column: str, allowed: Sequence[str] | None) -> None:
        if allowed is not None:
            self._add(f"{column} IN ({', '.join('?' for _ in allowed)})", *allowed)

    def _any_of(self, alternatives: Sequence[tuple[str, Sequence[Any]]]) -> None:
        self._add(
            f"({' OR '.join(term for term, _ in alternatives)})",
            *(value for _, values in alternatives for value in values),
        )

    def _named(self, session_id: str | None, display_name: str | None) -> None:
        words = display_name.lower().split() if display_name else []
        alternatives: list[tuple[str, Sequence[Any]]] = []
        if session_id is not None:
            alternatives.append(("s.session_id = ?", (session_id,)))
        if words:
            term = " AND ".join("instr(lower(s.display_name), ?) > 0" for _ in words)
            alternatives.append((f"({term})", words))
        if alternatives:
            self._any_of(alternatives)

    def _fate(self, query: FateQuery) -> tuple[str, Sequence[Any]]:
        match query.fate:
            case Fate.FAILED:
                return _FAILED, ()
            case Fate.CANCELLED:
                return f"(s.finished_reason = '{CANCELLED}' AND NOT {_FAILED})", ()
            case Fate.CLIENT_FINISHED:
                reasons = query.reasons or ("success", "errored", "interrupted")
                marks = ", ".join("?" for _ in reasons)
                return f"(s.finished_reason IN ({marks}) AND NOT {_FAILED})", reasons
            case _:
                return f"(s.finished_reason IS NULL AND s.last_seen_at > ? AND NOT {_FAILED})", (self._alive_since,)


def _found(row: Row, now: datetime) -> FoundSession:
    session = session_of(row)
    return FoundSession(
        session=session,
        fate=_fate_of(session, row["failed_run"], now),
        checkpoints_count=row["kept"],
        checkpoint_bytes=row["bytes"],
        failed_run=row["failed_run"],
    )


def _fate_of(session: SessionRecord, failed_run: str | None, now: datetime) -> Fate:
    if failed_run is not None:
        return Fate.FAILED
    if session.finished_reason is not None:
        return Fate.CANCELLED if session.finished_reason == CANCELLED else Fate.CLIENT_FINISHED
    alive = session.last_seen_at is not None and session.last_seen_at > now - ALIVE_FOR
    return Fate.ACTIVE if alive else Fate.UNKNOWN
