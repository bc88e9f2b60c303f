"""Sessions: found again by the idempotency key they were asked for with."""

from datetime import datetime
from typing import Any

from tinker_simulator.clock import from_text, to_text
from tinker_simulator.records import SessionRecord
from tinker_simulator.storage.database import Database, Row, packed, unpacked

CANCELLED = "cancelled"


class Sessions:
    """The sessions of every owner."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, session: SessionRecord) -> None:
        """Keep a new session."""
        self._database.insert("sessions", session_row(session))

    def get(self, owner: str | None, session_id: str) -> SessionRecord | None:
        """The session of that id, if it is the owner's (None: whoever owns it)."""
        return self._database.find(
            session_of,
            "SELECT * FROM sessions WHERE session_id = ?1 AND (?2 IS NULL OR owner = ?2)",
            (session_id, owner),
        )

    def asked_with(self, owner: str, idempotency_key: str) -> SessionRecord | None:
        """The session that an earlier try of the same request made."""
        return self._database.find(
            session_of, "SELECT * FROM sessions WHERE idempotency_key = ? AND owner = ?", (idempotency_key, owner)
        )

    def finish(self, session_id: str, reason: str, detail: str | None) -> None:
        """End a session; the first reason given stays."""
        self._database.run(
            "UPDATE sessions SET finished_reason = ?, finished_detail = ? "
            "WHERE session_id = ? AND finished_reason IS NULL",
            (reason, detail, session_id),
        )

    def see(self, session_id: str, moment: datetime) -> None:
        """Note a sign of life."""
        self._database.run("UPDATE sessions SET last_seen_at = ? WHERE session_id = ?", (to_text(moment), session_id))

    def move(self, session_id: str, project_id: str) -> None:
        """Put a session, and all that was made in it, into a project."""
        self._database.run("UPDATE sessions SET project_id = ? WHERE session_id = ?", (project_id, session_id))

    def ids(self, owner: str | None, limit: int, offset: int) -> list[str]:
        """Ids of the owner's sessions (None: everybody's), newest first."""
        rows = self._database.all(
            "SELECT session_id FROM sessions WHERE ?1 IS NULL OR owner = ?1 "
            "ORDER BY created_at DESC, session_id DESC LIMIT ?2 OFFSET ?3",
            (owner, limit, offset),
        )
        return [row["session_id"] for row in rows]

    def trace(self, session_id: str) -> tuple[str | None, str | None]:
        """What the session's latest trace shows, and its file once it is built."""
        row = self._database.one("SELECT trace_state, trace_file FROM sessions WHERE session_id = ?", (session_id,))
        return (None, None) if row is None else (row["trace_state"], row["trace_file"])

    def keep_trace(self, session_id: str, state: str, file: str | None) -> None:
        """Note a trace of that state, which is being built while it has no file."""
        self._database.run(
            "UPDATE sessions SET trace_state = ?, trace_file = ? WHERE session_id = ?", (state, file, session_id)
        )


def session_row(session: SessionRecord) -> dict[str, Any]:
    """A session as it is stored."""
    return {
        "session_id": session.session_id,
        "owner": session.owner,
        "created_at": to_text(session.created_at),
        "user_metadata": packed(session.user_metadata),
        "display_name": session.display_name,
        "project_id": session.project_id,
        "idempotency_key": session.idempotency_key,
        "finished_reason": session.finished_reason,
        "finished_detail": session.finished_detail,
        "last_seen_at": to_text(session.last_seen_at or session.created_at),
    }


def session_of(row: Row) -> SessionRecord:
    """The reverse of `session_row`."""
    return SessionRecord(
        session_id=row["session_id"],
        owner=row["owner"],
        created_at=from_text(row["created_at"]),
        user_metadata=unpacked(row["user_metadata"]),
        display_name=row["display_name"],
        project_id=row["project_id"],
        idempotency_key=row["idempotency_key"],
        finished_reason=row["finished_reason"],
        finished_detail=row["finished_detail"],
        last_seen_at=from_text(row["last_seen_at"]),
    )
