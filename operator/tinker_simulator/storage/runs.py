"""Training runs and the live state of their models."""

from datetime import datetime
from typing import Any

from tinker_simulator.clock import from_text, to_text
from tinker_simulator.learning.adapter import AdapterConfig
from tinker_simulator.records import RunRecord
from tinker_simulator.storage.database import Database, Row, packed, unpacked


class Runs:
    """The runs of every owner. A lost run is kept, but only `named` still finds it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, run: RunRecord) -> None:
        """Keep a new run."""
        self._database.insert("runs", run_row(run))

    def get(self, owner: str | None, run_id: str) -> RunRecord | None:
        """The run of that id, if it is the owner's (None: whoever owns it), unless it is lost."""
        return self._database.find(
            run_of,
            "SELECT * FROM runs WHERE run_id = ?1 AND (?2 IS NULL OR owner = ?2) AND lost = 0",
            (run_id, owner),
        )

    def named(self, run_id: str) -> RunRecord | None:
        """The run of that id, whoever owns it and whether it is lost or not."""
        return self._database.find(run_of, "SELECT * FROM runs WHERE run_id = ?", (run_id,))

    def page(self, owner: str | None, limit: int, offset: int, project_id: str | None = None) -> list[RunRecord]:
        """The owner's runs (None: everybody's), of one project or of all, latest request first."""
        chosen, values = _chosen(owner, project_id)
        rows = self._database.all(
            f"SELECT * FROM runs WHERE {chosen} "  # noqa: S608 (constants only)
            "ORDER BY last_request_time DESC, created_at DESC, run_id LIMIT ? OFFSET ?",
            (*values, limit, offset),
        )
        return [run_of(row) for row in rows]

    def count(self, owner: str | None, project_id: str | None = None) -> int:
        """How many runs `page` goes through."""
        chosen, values = _chosen(owner, project_id)
        return self._database.count(f"SELECT COUNT(*) FROM runs WHERE {chosen}", values)  # noqa: S608 (constants only)

    def ids_of_session(self, session_id: str) -> list[str]:
        """Ids of the runs made in a session."""
        rows = self._database.all(
            "SELECT run_id FROM runs WHERE session_id = ? AND lost = 0 ORDER BY model_seq_id", (session_id,)
        )
        return [row["run_id"] for row in rows]

    def touch(self, run_id: str, moment: datetime) -> None:
        """Note a request to the run's model."""
        self._database.run("UPDATE runs SET last_request_time = ? WHERE run_id = ?", (to_text(moment), run_id))

    def corrupt(self, run_id: str) -> None:
        """Flag the run; nothing ever takes the flag back."""
        self._database.run("UPDATE runs SET corrupted = 1 WHERE run_id = ?", (run_id,))

    def lose(self, run_id: str) -> None:
        """Make the run unknown to its owner."""
        self._database.run("UPDATE runs SET lost = 1 WHERE run_id = ?", (run_id,))

    def state(self, run_id: str) -> bytes | None:
        """The live state of the run's model, as the archive encodes it."""
        row = self._database.one("SELECT content FROM model_states WHERE run_id = ?", (run_id,))
        return None if row is None else bytes(row["content"])

    def keep_state(self, run_id: str, content: bytes) -> None:
        """Replace the live state of the run's model."""
        self._database.insert("model_states", {"run_id": run_id, "content": content}, replace=True)


def _chosen(owner: str | None, project_id: str | None) -> tuple[str, tuple[str, ...]]:
    terms, values = ["lost = 0"], list[str]()
    if owner is not None:
        terms.append("owner = ?")
        values.append(owner)
    if project_id is not None:
        terms.append("session_id IN (SELECT session_id FROM sessions WHERE project_id = ?)")
        values.append(project_id)
    return " AND ".join(terms), tuple(values)


def run_row(run: RunRecord) -> dict[str, Any]:
    """A run as it is stored."""
    return {
        "run_id": run.run_id,
        "session_id": run.session_id,
        "model_seq_id": run.model_seq_id,
        "owner": run.owner,
        "base_model": run.config.base_model,
        "rank": run.config.rank,
        "seed": run.config.seed,
        "train_unembed": run.config.train_unembed,
        "train_mlp": run.config.train_mlp,
        "train_attn": run.config.train_attn,
        "created_at": to_text(run.created_at),
        "last_request_time": to_text(run.last_request_time),
        "user_metadata": packed(run.user_metadata),
        "corrupted": run.corrupted,
        "lost": run.lost,
    }


def config_of(row: Row) -> AdapterConfig:
    """The adapter of a row that carries a run's columns."""
    return AdapterConfig(
        base_model=row["base_model"],
        rank=row["rank"],
        seed=row["seed"],
        train_unembed=bool(row["train_unembed"]),
        train_mlp=bool(row["train_mlp"]),
        train_attn=bool(row["train_attn"]),
    )


def run_of(row: Row) -> RunRecord:
    """The reverse of `run_row`."""
    return RunRecord(
        run_id=row["run_id"],
        session_id=row["session_id"],
        model_seq_id=row["model_seq_id"],
        owner=row["owner"],
        config=config_of(row),
        created_at=from_text(row["created_at"]),
        last_request_time=from_text(row["last_request_time"]),
        user_metadata=unpacked(row["user_metadata"]),
        corrupted=bool(row["corrupted"]),
        lost=bool(row["lost"]),
    )
