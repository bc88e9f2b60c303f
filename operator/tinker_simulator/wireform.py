"""Records as clients see them on the wire."""

from typing import Any

from tinker_simulator.clock import to_text
from tinker_simulator.credentials import urn_of
from tinker_simulator.records import CheckpointRecord, Kind, RunRecord
from tinker_simulator.rest_requests import PageQuery
from tinker_simulator.storage.search import Fate, FoundSession

_TYPES = {Kind.WEIGHTS: "training", Kind.SAMPLER_WEIGHTS: "sampler", Kind.EXTERNAL_WEIGHTS: "external"}

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


def found_session_form(found: FoundSession) -> Json:
    """A session that was searched for; without a status when it neither ended nor shows signs of life."""
    session = found.session
    return {
        "session_id": session.session_id,
        "created_at": to_text(session.created_at),
        "owner": urn_of(session.owner),
        "project_id": session.project_id,
        "status": _status_form(found),
        "checkpoints_count": found.checkpoints_count,
        "display_name": session.display_name,
        "user_metadata": session.user_metadata,
        "checkpoint_storage_bytes": found.checkpoint_bytes,
    }


def _status_form(found: FoundSession) -> Json | None:
    session = found.session
    match found.fate:
        case Fate.FAILED:
            return {
                "type": "failed",
                "category": "internal",
                "reason": {"type": "training_run", "training_run_id": found.failed_run},
                "message": f"Training run {found.failed_run} is in a corrupted state.",
            }
        case Fate.CLIENT_FINISHED:
            reason = {"type": session.finished_reason}
            return {"type": "client_finished", "reason": reason, "detail": session.finished_detail}
        case Fate.CANCELLED:
            return {"type": "cancelled", "detail": session.finished_detail}
        case Fate.ACTIVE:
            return {"type": "active"}
        case _:
            return None


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
