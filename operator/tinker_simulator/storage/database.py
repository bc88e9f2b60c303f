"""The SQLite file, its schema, and transactions.

Killed at any moment, the file holds every transaction that was committed and nothing of one that was not.
"""

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar

from tinker_simulator.settings import SettingError

Row = sqlite3.Row
Record = TypeVar("Record")

# A change of the schema changes this number: the state of a simulator is not migrated.
SCHEMA_VERSION = 2
SCHEMA = f"""
PRAGMA user_version = {SCHEMA_VERSION};
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS sessions (
    session_id TEXT PRIMARY KEY, owner TEXT NOT NULL, created_at TEXT NOT NULL, user_metadata TEXT, display_name TEXT,
    project_id TEXT NOT NULL, idempotency_key TEXT, finished_reason TEXT, finished_detail TEXT,
    last_seen_at TEXT NOT NULL, trace_state TEXT, trace_file TEXT, UNIQUE (owner, idempotency_key));
CREATE INDEX IF NOT EXISTS sessions_by_time ON sessions (created_at DESC, session_id DESC);
CREATE TABLE IF NOT EXISTS deleted_keys (digest TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS copies (
    run_id TEXT PRIMARY KEY, owner TEXT NOT NULL, idempotency_key TEXT, tinker_path TEXT NOT NULL,
    UNIQUE (owner, idempotency_key));
CREATE TABLE IF NOT EXISTS runs (
    run_id TEXT PRIMARY KEY, session_id TEXT NOT NULL, model_seq_id INTEGER NOT NULL, owner TEXT NOT NULL,
    base_model TEXT NOT NULL, rank INTEGER NOT NULL, seed INTEGER NOT NULL, train_unembed INTEGER NOT NULL,
    train_mlp INTEGER NOT NULL, train_attn INTEGER NOT NULL, created_at TEXT NOT NULL, last_request_time TEXT NOT NULL,
    user_metadata TEXT, corrupted INTEGER NOT NULL, lost INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS runs_by_activity ON runs (owner, lost, last_request_time DESC, created_at DESC, run_id);
CREATE INDEX IF NOT EXISTS runs_by_session ON runs (session_id);
CREATE TABLE IF NOT EXISTS model_states (run_id TEXT PRIMARY KEY, content BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS checkpoints (
    run_id TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, owner TEXT NOT NULL, created_at TEXT NOT NULL,
    size_bytes INTEGER NOT NULL, file TEXT NOT NULL, public INTEGER NOT NULL, user_metadata TEXT, expires_at TEXT,
    PRIMARY KEY (run_id, kind, name));
CREATE INDEX IF NOT EXISTS checkpoints_by_time ON checkpoints (run_id, kind, created_at);
CREATE INDEX IF NOT EXISTS checkpoints_of_owner ON checkpoints (owner, created_at, expires_at);
CREATE INDEX IF NOT EXISTS checkpoints_by_file ON checkpoints (file);
CREATE TABLE IF NOT EXISTS futures (
    request_id TEXT PRIMARY KEY, owner TEXT NOT NULL, operation TEXT NOT NULL, model_id TEXT, seq_id INTEGER NOT NULL,
    request BLOB NOT NULL, content_type TEXT, result BLOB);
CREATE INDEX IF NOT EXISTS futures_of_model ON futures (model_id, seq_id);
CREATE TABLE IF NOT EXISTS samplers (
    sampler_id TEXT PRIMARY KEY, session_id TEXT NOT NULL, owner TEXT NOT NULL, base_model TEXT NOT NULL,
    model_path TEXT, file TEXT, config TEXT);
"""


class Database:
    """One connection to the state file; close it when done.

    Args:
        path: The file; made when it does not exist.

    Raises:
        SettingError: the file has another schema.
    """

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        if self.count("SELECT COUNT(*) FROM sqlite_master") and self.count("PRAGMA user_version") != SCHEMA_VERSION:
            self._connection.close()
            raise SettingError(f"{path.parent} was written by another version of the simulator. Give a new folder.")
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.executescript(SCHEMA)

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All statements inside are kept, or none of them when the block raises."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def run(self, statement: str, values: Sequence[Any] = ()) -> int:
        """Execute a statement and return the number of rows it changed."""
        return self._connection.execute(statement, values).rowcount

    def insert(self, table: str, row: Mapping[str, Any], *, replace: bool = False) -> None:
        """Insert a row by column names (which are the simulator's own, never a client's)."""
        verb = "INSERT OR REPLACE" if replace else "INSERT"
        marks = ", ".join("?" for _ in row)
        self.run(f"{verb} INTO {table} ({', '.join(row)}) VALUES ({marks})", tuple(row.values()))

    def insert_many(self, table: str, rows: Iterator[Mapping[str, Any]]) -> None:
        """Insert rows that all have the same columns."""
        for columns, batch in groupby(rows, key=tuple):
            marks = ", ".join("?" for _ in columns)
            self._connection.executemany(
                f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})",  # noqa: S608 (our own names)
                (tuple(row.values()) for row in batch),
            )

    def find(self, parse: Callable[[Row], Record], statement: str, values: Sequence[Any] = ()) -> Record | None:
        """The first row of a query as `parse` reads it, or None."""
        row = self.one(statement, values)
        return None if row is None else parse(row)

    def one(self, statement: str, values: Sequence[Any] = ()) -> Row | None:
        """The first row of a query, or None."""
        row: Row | None = self._connection.execute(statement, values).fetchone()
        return row

    def all(self, statement: str, values: Sequence[Any] = ()) -> list[Row]:
        """Every row of a query."""
        return self._connection.execute(statement, values).fetchall()

    def count(self, statement: str, values: Sequence[Any] = ()) -> int:
        """The number a `SELECT COUNT(*)` answers."""
        return int(self._connection.execute(statement, values).fetchone()[0])


def packed(mapping: Mapping[str, Any] | None) -> str | None:
    """A mapping as it is stored."""
    return None if mapping is None else json.dumps(dict(mapping))


def unpacked(text: str | None) -> dict[str, Any] | None:
    """The reverse of `packed`."""
    if text is None:
        return None
    mapping: dict[str, Any] = json.loads(text)
    return mapping
