"""Copied checkpoints: which runs hold nothing else, and which request made them."""

from tinker_simulator.records import CopyRecord
from tinker_simulator.storage.database import Database, Row


class Copies:
    """The copies of every owner."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, copy: CopyRecord) -> None:
        """Keep a new copy."""
        self._database.insert(
            "copies",
            {
                "run_id": copy.run_id,
                "owner": copy.owner,
                "idempotency_key": copy.idempotency_key,
                "tinker_path": copy.tinker_path,
            },
        )

    def asked_with(self, owner: str, idempotency_key: str) -> CopyRecord | None:
        """The copy that an earlier try of the same request made."""
        return self._database.find(
            _copy, "SELECT * FROM copies WHERE idempotency_key = ? AND owner = ?", (idempotency_key, owner)
        )

    def in_run(self, run_id: str) -> CopyRecord | None:
        """The copy that this run was made to hold."""
        return self._database.find(_copy, "SELECT * FROM copies WHERE run_id = ?", (run_id,))


def _copy(row: Row) -> CopyRecord:
    return CopyRecord(row["run_id"], row["owner"], row["tinker_path"], row["idempotency_key"])
