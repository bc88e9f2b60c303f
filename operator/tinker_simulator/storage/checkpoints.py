"""Checkpoints by name. An expired one is gone for every reader here; its row waits for the next purge."""

from datetime import datetime
from typing import Any

from tinker_simulator.clock import from_text, to_text
from tinker_simulator.records import CheckpointRecord, Kind
from tinker_simulator.storage.database import Database, Row, packed, unpacked
from tinker_simulator.storage.runs import config_of

_SELECT = (
    "SELECT c.*, r.base_model, r.rank, r.seed, r.train_unembed, r.train_mlp, r.train_attn "
    "FROM checkpoints c JOIN runs r ON r.run_id = c.run_id "
)
_ALIVE = "(c.expires_at IS NULL OR c.expires_at > ?)"


class Checkpoints:
    """The checkpoints of every owner."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, checkpoint: CheckpointRecord) -> None:
        """Keep a checkpoint, in place of one of the same name."""
        self._database.insert("checkpoints", checkpoint_row(checkpoint), replace=True)

    def get(self, run_id: str, kind: str, name: str, now: datetime) -> CheckpointRecord | None:
        """The checkpoint of that address, whoever owns it."""
        return self._database.find(
            _checkpoint,
            f"{_SELECT} WHERE c.run_id = ? AND c.kind = ? AND c.name = ? AND {_ALIVE}",
            (run_id, kind, name, to_text(now)),
        )

    def delete(self, checkpoint: CheckpointRecord) -> None:
        """Forget a checkpoint; its content is the archive's concern."""
        self._database.run(
            "DELETE FROM checkpoints WHERE run_id = ? AND kind = ? AND name = ?",
            (checkpoint.run_id, checkpoint.kind, checkpoint.name),
        )

    def of_run(self, run_id: str, now: datetime) -> list[CheckpointRecord]:
        """The run's checkpoints, newest first."""
        rows = self._database.all(
            f"{_SELECT} WHERE c.run_id = ? AND {_ALIVE} ORDER BY c.created_at DESC, c.rowid DESC",
            (run_id, to_text(now)),
        )
        return [_checkpoint(row) for row in rows]

    def newest(self, run_id: str, kind: Kind, now: datetime) -> CheckpointRecord | None:
        """The run's newest checkpoint of one kind."""
        return self._database.find(
            _checkpoint,
            f"{_SELECT} WHERE c.run_id = ? AND c.kind = ? AND {_ALIVE} ORDER BY c.created_at DESC, c.rowid DESC",
            (run_id, kind, to_text(now)),
        )

    def page(self, owner: str, limit: int, offset: int, now: datetime) -> list[CheckpointRecord]:
        """The owner's checkpoints over all runs, newest first."""
        # The index alone decides which rows: skipping many of them must not read each.
        chosen = (
            f"SELECT c.rowid FROM checkpoints c WHERE c.owner = ? AND {_ALIVE} "  # noqa: S608 (constants only)
            "ORDER BY c.created_at DESC, c.rowid DESC LIMIT ? OFFSET ?"
        )
        rows = self._database.all(
            f"{_SELECT} WHERE c.rowid IN ({chosen}) ORDER BY c.created_at DESC, c.rowid DESC",
            (owner, to_text(now), limit, offset),
        )
        return [_checkpoint(row) for row in rows]

    def count(self, owner: str, now: datetime) -> int:
        """How many checkpoints the owner has."""
        return self._database.count(
            f"SELECT COUNT(*) FROM checkpoints c WHERE c.owner = ? AND {_ALIVE}",  # noqa: S608 (constants only)
            (owner, to_text(now)),
        )

    def expired(self, now: datetime) -> list[CheckpointRecord]:
        """What no reader sees any more."""
        rows = self._database.all(f"{_SELECT} WHERE c.expires_at IS NOT NULL AND c.expires_at <= ?", (to_text(now),))
        return [_checkpoint(row) for row in rows]

    def file_named(self, checkpoint: CheckpointRecord) -> str | None:
        """The file behind this name at present, of an expired checkpoint as well."""
        row = self._database.one(
            "SELECT file FROM checkpoints WHERE run_id = ? AND kind = ? AND name = ?",
            (checkpoint.run_id, checkpoint.kind, checkpoint.name),
        )
        return None if row is None else str(row["file"])

    def uses(self, file: str) -> bool:
        """Whether any checkpoint still names this file of the archive."""
        return self._database.one("SELECT 1 FROM checkpoints WHERE file = ?", (file,)) is not None


def checkpoint_row(checkpoint: CheckpointRecord) -> dict[str, Any]:
    """A checkpoint as it is stored; its config is its run's."""
    return {
        "run_id": checkpoint.run_id,
        "kind": checkpoint.kind,
        "name": checkpoint.name,
        "owner": checkpoint.owner,
        "created_at": to_text(checkpoint.created_at),
        "size_bytes": checkpoint.size_bytes,
        "file": checkpoint.file,
        "public": checkpoint.public,
        "user_metadata": packed(checkpoint.user_metadata),
        "expires_at": checkpoint.expires_at and to_text(checkpoint.expires_at),
    }


def _checkpoint(row: Row) -> CheckpointRecord:
    return CheckpointRecord(
        run_id=row["run_id"],
        kind=Kind(row["kind"]),
        name=row["name"],
        owner=row["owner"],
        created_at=from_text(row["created_at"]),
        size_bytes=row["size_bytes"],
        file=row["file"],
        config=config_of(row),
        public=bool(row["public"]),
        user_metadata=unpacked(row["user_metadata"]),
        expires_at=row["expires_at"] and from_text(row["expires_at"]),
    )
