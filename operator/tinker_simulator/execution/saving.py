"""Checkpoints: with the optimizer's memory for training, without it for sampling, as files for other programs.

A save for sampling without a name makes no checkpoint: it opens a sampling session, which alone knows the content.
"""

from collections.abc import Mapping
from datetime import timedelta

from tinker_simulator import naming
from tinker_simulator.archive import training_of, weights_of
from tinker_simulator.execution.completion import Completion, OperationFailedError, json_completion
from tinker_simulator.execution.workbench import Workbench
from tinker_simulator.exports import write_export
from tinker_simulator.learning.adapter import Array
from tinker_simulator.records import CheckpointRecord, FutureRecord, Kind, RunRecord, SamplerRecord
from tinker_simulator.requests import SaveWeights, SaveWeightsExternal, SaveWeightsForSampler


async def save_weights(bench: Workbench, future: FutureRecord) -> Completion:
    """Store everything training goes on from."""
    asked = SaveWeights.model_validate_json(future.request)
    run = bench.run_of(future.owner, asked.model_id)
    file = file_of(run.run_id, Kind.WEIGHTS, asked.path, asked.seq_id)
    size = bench.archive.write(file, run.config, training_of(bench.models.state(run.run_id)))
    checkpoint = _checkpoint(bench, run, asked, (Kind.WEIGHTS, asked.path), (file, size))
    return _named(bench, checkpoint, {"path": checkpoint.tinker_path, "type": "save_weights"})


async def save_weights_for_sampler(bench: Workbench, future: FutureRecord) -> Completion:
    """Store what can be sampled from; without a name, only the sampling session that is made here knows it."""
    asked = SaveWeightsForSampler.model_validate_json(future.request)
    run = bench.run_of(future.owner, asked.model_id)
    arrays = weights_of(bench.models.state(run.run_id))
    if asked.path is None:
        return _ephemeral(bench, run, asked, arrays)
    file = file_of(run.run_id, Kind.SAMPLER_WEIGHTS, asked.path, asked.seq_id)
    size = bench.archive.write(file, run.config, arrays)
    checkpoint = _checkpoint(bench, run, asked, (Kind.SAMPLER_WEIGHTS, asked.path), (file, size))
    return _named(bench, checkpoint, {"path": checkpoint.tinker_path, "type": "save_weights_for_sampler"})


async def save_weights_external(bench: Workbench, future: FutureRecord) -> Completion:
    """Store the adapter as other programs read it; unless it is encrypted, it can be sampled from as well."""
    asked = SaveWeightsExternal.model_validate_json(future.request)
    run = bench.run_of(future.owner, asked.model_id)
    state, recipients = bench.models.state(run.run_id), asked.age_encryption_recipients
    file = file_of(run.run_id, Kind.EXTERNAL_WEIGHTS, asked.path, asked.seq_id)
    if recipients is None:
        bench.archive.write(file, run.config, weights_of(state))
    size = write_export(bench.archive.folder(file), state.factors, run.config.base_model, recipients)
    checkpoint = _checkpoint(bench, run, asked, (Kind.EXTERNAL_WEIGHTS, asked.path), (file, size))
    result = {"path": checkpoint.tinker_path, "size_bytes": size, "type": "save_weights_external"}
    return _named(bench, checkpoint, result)


def file_of(run_id: str, kind: str, name: str, seq_id: int) -> str:
    """Where content goes: an overwriting save has another file, so that a kill leaves one of the two whole."""
    return f"{run_id.replace(':', '_')}/{kind}/{name}@{seq_id}"


def _checkpoint(
    bench: Workbench,
    run: RunRecord,
    asked: SaveWeights | SaveWeightsForSampler | SaveWeightsExternal,
    named: tuple[Kind, str],
    stored: tuple[str, int],
) -> CheckpointRecord:
    (kind, name), (file, size), now = named, stored, bench.clock()
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


def _named(bench: Workbench, checkpoint: CheckpointRecord, result: Mapping[str, object]) -> Completion:
    replaced = bench.store.checkpoints.file_named(checkpoint)

    def settle() -> None:
        if replaced is not None:
            bench.drop_unused(replaced)

    return json_completion(result, keep=lambda: bench.store.checkpoints.put(checkpoint), settle=settle)


def _ephemeral(bench: Workbench, run: RunRecord, asked: SaveWeightsForSampler, arrays: dict[str, Array]) -> Completion:
    sampler_id = naming.sampler_id(run.session_id, asked.sampling_session_seq_id or 0)
    if bench.store.samplers.get(run.owner, sampler_id) is not None:
        raise OperationFailedError(f"Sampling session {sampler_id} exists already. Send the next number.")
    file = file_of(run.run_id, "ephemeral", "sampler", asked.seq_id)
    bench.archive.write(file, run.config, arrays)
    sampler = SamplerRecord(
        sampler_id=sampler_id,
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
