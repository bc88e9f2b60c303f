"""Checkpoints: with the optimizer's memory for training, without it for sampling, unnamed for one sampling session."""

from datetime import timedelta

from tinker_simulator import naming
from tinker_simulator.archive import training_of, weights_of
from tinker_simulator.execution.completion import Completion, json_completion
from tinker_simulator.execution.workbench import Workbench
from tinker_simulator.learning.adapter import Array
from tinker_simulator.records import CheckpointRecord, FutureRecord, Kind, RunRecord, SamplerRecord
from tinker_simulator.requests import SaveWeights, SaveWeightsForSampler


async def save_weights(bench: Workbench, future: FutureRecord) -> Completion:
    """Store everything training goes on from."""
    asked = SaveWeights.model_validate_json(future.request)
    run = bench.run_of(future.owner, asked.model_id)
    arrays = training_of(bench.models.state(run.run_id))
    checkpoint = _stored(bench, run, asked, kind=Kind.WEIGHTS, name=asked.path, arrays=arrays)
    return _named(bench, checkpoint, "save_weights")


async def save_weights_for_sampler(bench: Workbench, future: FutureRecord) -> Completion:
    """Store what can be sampled from; without a name, only the sampling session that is made here knows it."""
    asked = SaveWeightsForSampler.model_validate_json(future.request)
    run = bench.run_of(future.owner, asked.model_id)
    arrays = weights_of(bench.models.state(run.run_id))
    if asked.path is None:
        return _ephemeral(bench, run, asked, arrays)
    checkpoint = _stored(bench, run, asked, kind=Kind.SAMPLER_WEIGHTS, name=asked.path, arrays=arrays)
    return _named(bench, checkpoint, "save_weights_for_sampler")


def file_of(run_id: str, kind: str, name: str, seq_id: int) -> str:
    """Where content goes: an overwriting save has another file, so that a kill leaves one of the two whole."""
    return f"{run_id.replace(':', '_')}/{kind}/{name}@{seq_id}"


def _stored(
    bench: Workbench,
    run: RunRecord,
    asked: SaveWeights | SaveWeightsForSampler,
    *,
    kind: Kind,
    name: str,
    arrays: dict[str, Array],
) -> CheckpointRecord:
    file = file_of(run.run_id, kind, name, asked.seq_id)
    size = bench.archive.write(file, run.config, arrays)
    now = bench.clock()
    return CheckpointRecord(
        run_id=run.run_id,
        kind=kind,
        name=name,
        owner=run.owner,
        created_at=now,
        size_bytes=size,
        file=file,
        config=run.config,
        user_metadata=asked.user_metadata,
        expires_at=None if asked.ttl_seconds is None else now + timedelta(seconds=asked.ttl_seconds),
    )


def _named(bench: Workbench, checkpoint: CheckpointRecord, result_type: str) -> Completion:
    replaced = bench.store.checkpoints.file_named(checkpoint)

    def settle() -> None:
        if replaced is not None:
            bench.drop_unused(replaced)

    return json_completion(
        {"path": checkpoint.tinker_path, "type": result_type},
        keep=lambda: bench.store.checkpoints.put(checkpoint),
        settle=settle,
    )


def _ephemeral(bench: Workbench, run: RunRecord, asked: SaveWeightsForSampler, arrays: dict[str, Array]) -> Completion:
    file = file_of(run.run_id, "ephemeral", "sampler", asked.seq_id)
    bench.archive.write(file, run.config, arrays)
    sampler = SamplerRecord(
        sampler_id=naming.sampler_id(run.session_id, asked.sampling_session_seq_id or 0),
        session_id=run.session_id,
        owner=run.owner,
        base_model=run.config.base_model,
        file=file,
        config=run.config,
    )
    return json_completion(
        {"sampling_session_id": sampler.sampler_id, "type": "save_weights_for_sampler"},
        keep=lambda: bench.store.samplers.add(sampler),
    )
