"""New runs: from nothing, or from a checkpoint; and the older way, a checkpoint loaded into a run that exists."""

from functools import partial

from tinker_simulator import naming
from tinker_simulator.execution.completion import Completion, OperationFailedError, json_completion
from tinker_simulator.execution.workbench import Workbench
from tinker_simulator.learning.adapter import AdapterConfig, AdapterState, seed_from
from tinker_simulator.records import CheckpointRecord, FailureCategory, FutureRecord, RunRecord
from tinker_simulator.requests import CreateModel, LoadWeights


async def create_model(bench: Workbench, future: FutureRecord) -> Completion:
    """Start a run with a fresh adapter."""
    asked = CreateModel.model_validate_json(future.request)
    run_id = naming.model_id(asked.session_id, asked.model_seq_id)
    lora = asked.lora_config
    config = AdapterConfig(
        base_model=asked.base_model,
        rank=lora.rank,
        seed=seed_from(run_id) >> 1 if lora.seed is None else lora.seed,
        train_unembed=lora.train_unembed,
        train_mlp=lora.train_mlp,
        train_attn=lora.train_attn,
    )
    now = bench.clock()
    run = RunRecord(run_id, asked.session_id, asked.model_seq_id, future.owner, config, now, now, asked.user_metadata)
    return _begin(bench, run, AdapterState.fresh(config), {"model_id": run_id, "type": "create_model"})


async def create_from_weights(bench: Workbench, future: FutureRecord) -> Completion:
    """Start a run from a checkpoint, whose rank and trained parts it takes over."""
    asked = LoadWeights.model_validate_json(future.request)
    session_id, model_seq_id = asked.session_id or "", asked.model_seq_id or 0
    run_id = naming.model_id(session_id, model_seq_id)
    checkpoint, state = _loaded(bench, asked)
    now = bench.clock()
    run = RunRecord(run_id, session_id, model_seq_id, future.owner, checkpoint.config, now, now, asked.user_metadata)
    return _begin(bench, run, state, {"path": asked.path, "model_id": run_id, "type": "load_weights"})


async def load_weights(bench: Workbench, future: FutureRecord) -> Completion:
    """Put a checkpoint's content into a run that exists."""
    asked = LoadWeights.model_validate_json(future.request)
    run = bench.run_of(future.owner, asked.model_id or "")
    _, state = _loaded(bench, asked)
    return json_completion(
        {"path": asked.path, "model_id": run.run_id, "type": "load_weights"},
        keep=partial(bench.models.keep, run.run_id, state),
        settle=partial(bench.models.adopt, run.run_id, state),
    )


def _loaded(bench: Workbench, asked: LoadWeights) -> tuple[CheckpointRecord, AdapterState]:
    if bench.faults.fails_load(asked.path):
        raise OperationFailedError(f"Failed to load checkpoint {asked.path}: internal error.", FailureCategory.SERVER)
    address = naming.parsed_path(asked.path)
    checkpoint = bench.store.checkpoints.get(address.run_id, address.kind, address.name, bench.clock())
    if checkpoint is None:
        raise OperationFailedError(f"Checkpoint {asked.path} does not exist any more.")
    state = bench.stored_state(checkpoint.file, checkpoint.config, asked.path, optimizer=asked.optimizer)
    return checkpoint, state


def _begin(bench: Workbench, run: RunRecord, state: AdapterState, result: dict[str, str]) -> Completion:
    def keep() -> None:
        bench.store.runs.add(run)
        bench.models.keep(run.run_id, state)

    return json_completion(result, keep=keep, settle=partial(bench.models.adopt, run.run_id, state))
