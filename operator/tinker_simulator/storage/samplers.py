"""Sampling sessions."""

from dataclasses import asdict

from tinker_simulator.learning.adapter import AdapterConfig
from tinker_simulator.records import SamplerRecord
from tinker_simulator.storage.database import Database, packed, unpacked


class Samplers:
    """The sampling sessions of every owner."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, sampler: SamplerRecord) -> None:
        """Keep a new sampling session."""
        self._database.insert(
            "samplers",
            {
                "sampler_id": sampler.sampler_id,
                "session_id": sampler.session_id,
                "owner": sampler.owner,
                "base_model": sampler.base_model,
                "model_path": sampler.model_path,
                "file": sampler.file,
                "config": packed(asdict(sampler.config)) if sampler.config else None,
            },
        )

    def get(self, owner: str, sampler_id: str) -> SamplerRecord | None:
        """The owner's sampling session of that id."""
        row = self._database.one("SELECT * FROM samplers WHERE sampler_id = ? AND owner = ?", (sampler_id, owner))
        if row is None:
            return None
        config = unpacked(row["config"])
        return SamplerRecord(
            sampler_id=row["sampler_id"],
            session_id=row["session_id"],
            owner=row["owner"],
            base_model=row["base_model"],
            model_path=row["model_path"],
            file=row["file"],
            config=AdapterConfig(**config) if config else None,
        )

    def ids_of_session(self, session_id: str) -> list[str]:
        """Ids of the sampling sessions made in a session."""
        rows = self._database.all("SELECT sampler_id FROM samplers WHERE session_id = ? ORDER BY rowid", (session_id,))
        return [row["sampler_id"] for row in rows]

    def uses(self, file: str) -> bool:
        """Whether any sampling session still draws from this file of the archive."""
        return self._database.one("SELECT 1 FROM samplers WHERE file = ?", (file,)) is not None
