"""The service's words in the core's: wire models become observations, errors become faults.

The core knows neither httpx nor pydantic's wire models, so this is the one place where a new field or a new error
has to be thought about.
"""

from tinker_operator.api.reasons import Reason
from tinker_operator.core.world import CheckpointKind, Fault, ObservedCheckpoint, ObservedRun, WeightsSeen
from tinker_operator.engine.kube_errors import KubeError, KubeUnavailable
from tinker_operator.tinker.budget import LONGEST_PAUSE
from tinker_operator.tinker.errors import (
    BillingRequired,
    Forbidden,
    HeldBack,
    RateLimited,
    StatusError,
    TinkerError,
    Unauthorized,
)
from tinker_operator.tinker.models import Checkpoint, TrainingRun, WeightsInfo

KEY_OR_PACE = (Unauthorized, Forbidden, BillingRequired, RateLimited)
"""Refusals that speak of the key or of the pace, and so say nothing about what was asked."""


def observed_run(run: TrainingRun) -> ObservedRun:
    """Returns the run as an observation; agreement is counted by the inventory."""
    last, sampler = run.last_checkpoint, run.last_sampler_checkpoint
    return ObservedRun(
        run_id=run.training_run_id,
        base_model=run.base_model,
        is_lora=run.is_lora,
        lora_rank=run.lora_rank,
        corrupted=run.corrupted,
        last_request_time=run.last_request_time,
        last_checkpoint=observed_checkpoint(last, run.training_run_id) if last else None,
        last_sampler_checkpoint=observed_checkpoint(sampler, run.training_run_id) if sampler else None,
        metadata=run.user_metadata,
    )


def observed_checkpoint(checkpoint: Checkpoint, run_id: str) -> ObservedCheckpoint:
    """Returns the checkpoint as an observation of the run that it was listed under."""
    return ObservedCheckpoint(
        path=checkpoint.tinker_path,
        run_id=run_id,
        kind=CheckpointKind(checkpoint.checkpoint_type.value),
        time=checkpoint.time,
        size_bytes=checkpoint.size_bytes,
        public=checkpoint.public,
        expires_at=checkpoint.expires_at,
        metadata=checkpoint.user_metadata,
    )


def weights_seen(info: WeightsInfo) -> WeightsSeen:
    """Returns what the service says that a checkpoint was trained as."""
    return WeightsSeen(base_model=info.base_model, is_lora=info.is_lora, lora_rank=info.lora_rank)


def fault_of(error: TinkerError) -> Fault:
    """Returns the service's trouble as a fault; one that does not pass by itself asks for the user."""
    known = set(Reason)
    name = error.because if isinstance(error, HeldBack) else error.reason
    reason = Reason(name) if name in known else Reason.UNEXPECTED_STATUS
    return Fault(reason, str(error), needs_user=not error.transient, retry_after=_retry_after(error))


def _retry_after(error: TinkerError) -> float:
    if isinstance(error, HeldBack):
        return error.next_try
    asked = error.retry_after if isinstance(error, StatusError) else None
    return min(asked or 0.0, LONGEST_PAUSE)


def kube_fault(error: KubeError) -> Fault:
    """Returns the API server's trouble as a fault."""
    asked = error.retry_after if isinstance(error, KubeUnavailable) else 0.0
    return Fault(Reason.KUBERNETES_FAULT, str(error), needs_user=not error.transient, retry_after=asked)
