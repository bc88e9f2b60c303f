"""Many runs and checkpoints at once, for listings of the size that real users have.

Seeded runs have no live model; the checkpoints of one order share one real file, and load.
"""

import asyncio
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import Field

from tinker_simulator import naming
from tinker_simulator.archive import training_of
from tinker_simulator.clock import to_text
from tinker_simulator.execution.workbench import Workbench
from tinker_simulator.learning.adapter import AdapterConfig, AdapterState
from tinker_simulator.records import CheckpointRecord, Kind, RunRecord, SessionRecord
from tinker_simulator.requests import Body
from tinker_simulator.settings import BASE_MODELS, DEFAULT_OWNER
from tinker_simulator.storage.checkpoints import checkpoint_row
from tinker_simulator.storage.database import packed
from tinker_simulator.storage.runs import run_row

_RUNS_AT_ONCE = 200
_BETWEEN_CHECKPOINTS = timedelta(minutes=1)

Rows = Iterator[dict[str, Any]]


class Seed(Body):
    """How much to make, and of what kind.

    Attributes:
        runs: How many runs.
        checkpoints: How many checkpoints each of them has, a minute apart.
        base_model: Of all runs.
        rank: Of all adapters.
        owner: Whose they are.
        user_metadata: Of every run.
        metadata: What the metadata of a checkpoint tells.
        corrupted: The part of the runs that is corrupted.
        age_days: Over how long the runs are spread; 0: the last request of each is a second before the next one's.
        seed: Decides which runs are corrupted, how old each is and what loss it tells.
    """

    runs: Annotated[int, Field(ge=1, le=100_000)]
    checkpoints: Annotated[int, Field(ge=0, le=1_000)] = 0
    base_model: str = BASE_MODELS[1]
    rank: Annotated[int, Field(ge=1, le=256)] = 8
    owner: str = DEFAULT_OWNER
    user_metadata: dict[str, str] | None = None
    metadata: tuple[Literal["step", "loss"], ...] = ("step", "loss")
    corrupted: Annotated[float, Field(ge=0, le=1)] = 0.0
    age_days: Annotated[float, Field(ge=0, le=3650)] = 0.0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class _Template:
    run: dict[str, Any]
    checkpoint: dict[str, Any]


async def seed_runs(bench: Workbench, session_id: str, seed: Seed) -> list[str]:
    """Make the runs, latest first, and return their ids.

    A kill in between leaves runs that have all of their checkpoints, and the rest not at all; other requests are
    answered meanwhile.
    """
    rows, database = _Rows(bench, session_id, seed), bench.store.database
    bench.store.sessions.add(
        SessionRecord(session_id, seed.owner, rows.moments[-1], display_name="seeded", finished_reason="success")
    )
    for first in range(0, seed.runs, _RUNS_AT_ONCE):
        numbers = range(first, min(first + _RUNS_AT_ONCE, seed.runs))
        with database.transaction():
            database.insert_many("runs", rows.runs(numbers))
            database.insert_many("checkpoints", rows.checkpoints(numbers))
        await asyncio.sleep(0)
    return rows.run_ids


class _Rows:
    """Makes rows as they are stored: by the hundred thousand, a record for each would cost more than its storage."""

    def __init__(self, bench: Workbench, session_id: str, seed: Seed) -> None:
        self._seed = seed
        self._draw = random.Random(seed.seed)  # noqa: S311 (an order is repeatable, not secret)
        self.moments = self._spread(bench.clock())
        self._corrupted = set(self._draw.sample(range(seed.runs), round(seed.corrupted * seed.runs)))
        self.run_ids = [naming.model_id(session_id, number) for number in range(seed.runs)]
        self._template = _template(bench, session_id, seed)

    def runs(self, numbers: range) -> Rows:
        for number in numbers:
            moment = to_text(self.moments[number])
            yield {
                **self._template.run,
                "run_id": self.run_ids[number],
                "model_seq_id": number,
                "created_at": moment,
                "last_request_time": moment,
                "corrupted": number in self._corrupted,
            }

    def checkpoints(self, numbers: range) -> Rows:
        count = self._seed.checkpoints
        for number in numbers:
            lowest = self._draw.uniform(0.5, 2.0)
            for step in range(1, count + 1):
                told = {"step": str(step), "loss": f"{lowest + 4.0 / (step + 1):.4f}"}
                yield {
                    **self._template.checkpoint,
                    "run_id": self.run_ids[number],
                    "name": f"step-{step}",
                    "created_at": to_text(self.moments[number] - (count - step + 1) * _BETWEEN_CHECKPOINTS),
                    "user_metadata": packed({name: told[name] for name in self._seed.metadata} or None),
                }

    def _spread(self, now: datetime) -> list[datetime]:
        runs, days = self._seed.runs, self._seed.age_days
        if not days:
            return [now - timedelta(seconds=number) for number in range(runs)]
        return [now - timedelta(days=age) for age in sorted(self._draw.uniform(0, days) for _ in range(runs))]


def _template(bench: Workbench, session_id: str, seed: Seed) -> _Template:
    now, config = bench.clock(), AdapterConfig(seed.base_model, seed.rank, seed=seed.seed)
    file = f"{session_id}/seeded"
    size = bench.archive.write(file, config, training_of(AdapterState.fresh(config)))
    run = RunRecord(session_id, session_id, 0, seed.owner, config, now, now, seed.user_metadata)
    checkpoint = CheckpointRecord(session_id, Kind.WEIGHTS, "", seed.owner, now, size, file, config)
    return _Template(run_row(run), checkpoint_row(checkpoint))
