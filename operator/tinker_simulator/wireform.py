"""Records as clients see them on the wire."""

from typing import Any

from tinker_simulator.clock import to_text
from tinker_simulator.records import CheckpointRecord, Kind, RunRecord
from tinker_simulator.requests import PageQuery

_TYPES = {Kind.WEIGHTS: "training", Kind.SAMPLER_WEIGHTS: "sampler"}

Json = dict[str, Any]


def checkpoint_form(checkpoint: CheckpointRecord) -> Json:
    """A checkpoint in a listing."""
    return {
        "checkpoint_id": checkpoint.checkpoint_id,
        "checkpoint_type": _TYPES[checkpoint.kind],
        "time": to_text(checkpoint.created_at),
        "tinker_path": checkpoint.tinker_path,
        "size_bytes": checkpoint.size_bytes,
        "public": checkpoint.public,
        "user_metadata": checkpoint.user_metadata,
        "expires_at": checkpoint.expires_at and to_text(checkpoint.expires_at),
    }


def run_form(
    run: RunRecord, last_checkpoint: CheckpointRecord | None, last_sampler_checkpoint: CheckpointRecord | None
) -> Json:
    """A training run, with the checkpoints that speak for it."""
    return {
        "training_run_id": run.run_id,
        "base_model": run.config.base_model,
        "model_owner": run.owner,
        "is_lora": True,
        "lora_rank": run.config.rank,
        "corrupted": run.corrupted,
        "last_request_time": to_text(run.last_request_time),
        "last_checkpoint": last_checkpoint and checkpoint_form(last_checkpoint),
        "last_sampler_checkpoint": last_sampler_checkpoint and checkpoint_form(last_sampler_checkpoint),
        "user_metadata": run.user_metadata,
    }


def cursor_form(page: PageQuery, total_count: int) -> Json:
    """Where a page stands in its listing."""
    return {"offset": page.offset, "limit": page.limit, "total_count": total_count}


def info_form(run: RunRecord) -> Json:
    """What `get_info` says of a model."""
    base_model = run.config.base_model
    return {
        "type": "get_info",
        "model_id": run.run_id,
        "model_data": {"arch": "simulated", "model_name": base_model, "tokenizer_id": base_model},
        "is_lora": True,
        "lora_rank": run.config.rank,
        "model_name": base_model,
        "optimizer_config": {"type": "adamw"},
    }


def weights_form(checkpoint: CheckpointRecord) -> Json:
    """What `weights_info` says of a checkpoint, read from its record, so that broken content answers as well."""
    config = checkpoint.config
    return {
        "base_model": config.base_model,
        "is_lora": True,
        "lora_rank": config.rank,
        "train_unembed": config.train_unembed,
        "train_mlp": config.train_mlp,
        "train_attn": config.train_attn,
        "optimizer_config": {"type": "adamw"},
    }
