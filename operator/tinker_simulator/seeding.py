"""Many runs and checkpoints at once, for listings of the size that real users have.

Seeded runs have no live model; their checkpoints share one real file each for training and sampling, and load.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated

from pydantic import Field

from tinker_simulator import naming
from tinker_simulator.archive import training_of
from tinker_simulator.execution.workbench import Workbench
from tinker_simulator.learning.adapter import AdapterConfig, AdapterState
from tinker_simulator.records import CheckpointRecord, Kind, RunRecord
from tinker_simulator.requests import Body
from tinker_simulator.settings import BASE_MODELS, DEFAULT_OWNER
from tinker_simulator.storage.checkpoints import checkpoint_row
from tinker_simulator.storage.runs import run_row


class Seed(Body):
    """How much to make."""

    runs: Annotated[int, Field(ge=1, le=100_000)]
    checkpoints: Annotated[int, Field(ge=0, le=1_000)] = 0
    base_model: str = BASE_MODELS[1]
    rank: Annotated[int, Field(ge=1, le=256)] = 8
    owner: str = DEFAULT_OWNER
    user_metadata: dict[str, str] | None = None


def seed_runs(bench: Workbench, session_id: str, seed: Seed) -> list[str]:
    """Make the runs, each a second older than the one before, and return their ids."""
    config = AdapterConfig(seed.base_model, seed.rank, seed=0)
    file = f"{session_id}/seeded"
    size = bench.archive.write(file, config, training_of(AdapterState.fresh(config)))
    runs = list(_runs(bench, session_id, seed, config))
    database = bench.store.database
    with database.transaction():
        database.insert_many("runs", (run_row(run) for run in runs))
        database.insert_many(
            "checkpoints", (checkpoint_row(found) for run in runs for found in _checkpoints(run, seed, file, size))
        )
    return [run.run_id for run in runs]


def _runs(bench: Workbench, session_id: str, seed: Seed, config: AdapterConfig) -> Iterator[RunRecord]:
    now = bench.clock()
    for number in range(seed.runs):
        moment = now - timedelta(seconds=number)
        run_id = naming.model_id(session_id, number)
        yield RunRecord(run_id, session_id, number, seed.owner, config, moment, moment, seed.user_metadata)


def _checkpoints(run: RunRecord, seed: Seed, file: str, size: int) -> Iterator[CheckpointRecord]:
    for number in range(seed.checkpoints):
        age = timedelta(minutes=seed.checkpoints - number)
        yield CheckpointRecord(
            run_id=run.run_id,
            kind=Kind.WEIGHTS,
            name=f"step-{number + 1}",
            owner=run.owner,
            created_at=run.created_at - age,
            size_bytes=size,
            file=file,
            config=run.config,
            user_metadata={"step": str(number + 1), "loss": f"{4.0 / (number + 2):.4f}"},
        )
