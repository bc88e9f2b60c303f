"""Sessions: found again by the idempotency key they were asked for with."""

from collections.abc import Mapping

from tinker_simulator.clock import from_text, to_text
from tinker_simulator.records import SessionRecord
from tinker_simulator.storage.database import Database, Row, packed, unpacked


class Sessions:
    """The sessions of every owner."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, session: SessionRecord) -> None:
        """Keep a new session."""
        self._database.insert(
            "sessions",
            {
                "session_id": session.session_id,
                "owner": session.owner,
                "created_at": to_text(session.created_at),
                "user_metadata": packed(session.user_metadata),
                "display_name": session.display_name,
                "project_id": session.project_id,
                "idempotency_key": session.idempotency_key,
            },
        )

    def get(self, owner: str, session_id: str) -> SessionRecord | None:
        """The owner's session of that id."""
        return self._database.find(
            _session, "SELECT * FROM sessions WHERE session_id = ? AND owner = ?", (session_id, owner)
        )

    def asked_with(self, owner: str, idempotency_key: str) -> SessionRecord | None:
        """The session that an earlier try of the same request made."""
        return self._database.find(
            _session, "SELECT * FROM sessions WHERE idempotency_key = ? AND owner = ?", (idempotency_key, owner)
        )

    def finish(self, session_id: str, reason: str, detail: str | None) -> None:
        """End a session; the first reason given stays."""
        self._database.run(
            "UPDATE sessions SET finished_reason = ?, finished_detail = ? "
            "WHERE session_id = ? AND finished_reason IS NULL",
            (reason, detail, session_id),
        )

    def ids(self, owner: str, limit: int, offset: int) -> list[str]:
        """Ids of the owner's sessions, newest first."""
        rows = self._database.all(
            "SELECT session_id FROM sessions WHERE owner = ? ORDER BY created_at DESC, rowid DESC LIMIT ? OFFSET ?",
            (owner, limit, offset),
        )
        return [row["session_id"] for row in rows]


def _session(row: Row) -> SessionRecord:
    metadata: Mapping[str, str] | None = unpacked(row["user_metadata"])
    return SessionRecord(
        session_id=row["session_id"],
        owner=row["owner"],
        created_at=from_text(row["created_at"]),
        user_metadata=metadata,
        display_name=row["display_name"],
        project_id=row["project_id"],
        idempotency_key=row["idempotency_key"],
        finished_reason=row["finished_reason"],
        finished_detail=row["finished_detail"],
    )
