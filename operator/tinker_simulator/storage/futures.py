"""Submitted operations. They are stored before they are answered, so a kill loses none of them."""

from tinker_simulator.records import FutureRecord, Operation
from tinker_simulator.storage.database import Database, Row


class Futures:
    """The futures of every owner, ended or not."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, future: FutureRecord) -> None:
        """Keep a newly submitted operation."""
        self._database.insert(
            "futures",
            {
                "request_id": future.request_id,
                "owner": future.owner,
                "operation": future.operation,
                "model_id": future.model_id,
                "seq_id": future.seq_id,
                "request": future.request,
            },
        )

    def get(self, owner: str, request_id: str) -> FutureRecord | None:
        """The owner's future of that id."""
        return self._database.find(
            _future, "SELECT * FROM futures WHERE request_id = ? AND owner = ?", (request_id, owner)
        )

    def end(self, request_id: str, content_type: str, result: bytes) -> None:
        """Keep the result; the request itself is not needed any more."""
        self._database.run(
            "UPDATE futures SET content_type = ?, result = ?, request = x'' WHERE request_id = ?",
            (content_type, result, request_id),
        )

    def pending(self) -> list[FutureRecord]:
        """What was submitted and has not ended, in order."""
        return [
            _future(row)
            for row in self._database.all("SELECT * FROM futures WHERE result IS NULL ORDER BY model_id, seq_id")
        ]

    def pending_of(self, model_id: str, operation: Operation) -> list[FutureRecord]:
        """What one model still has to do of one kind."""
        rows = self._database.all(
            "SELECT * FROM futures WHERE model_id = ? AND operation = ? AND result IS NULL", (model_id, operation)
        )
        return [_future(row) for row in rows]

    def next_seq(self, model_id: str) -> int:
        """The number after the highest that has ended for this model; 0 when none has."""
        return self._database.count(
            "SELECT COALESCE(MAX(seq_id) + 1, 0) FROM futures WHERE model_id = ? AND result IS NOT NULL", (model_id,)
        )


def _future(row: Row) -> FutureRecord:
    return FutureRecord(
        request_id=row["request_id"],
        owner=row["owner"],
        operation=Operation(row["operation"]),
        model_id=row["model_id"],
        seq_id=row["seq_id"],
        request=bytes(row["request"]),
        content_type=row["content_type"],
        result=row["result"],
    )
