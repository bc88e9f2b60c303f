"""What the operator knows of a training run: `status` of a TrainingRun.

It is all that the operator needs to go on after a restart: the journal of an attempt in flight, the attempts counted
against the budget, the lineage.
"""

from datetime import datetime
from enum import StrEnum

from pydantic import Field

from tinker_operator.api.hook_status import HooksStatus
from tinker_operator.api.meta import ApiModel, Conditions
from tinker_operator.api.recovery_spec import RecoveryMode
from tinker_operator.api.recovery_status import RecoveryStatus

LINEAGE_LIMIT = 50
"""Runs that status.lineage remembers; the checkpoints of a run that fell out are no longer governed by a policy."""


class CheckpointSummary(ApiModel):
    """A checkpoint as the service lists it."""

    path: str = Field(description="tinker://<run>/weights/<name>.")
    time: datetime | None = Field(default=None, description="When it was saved, by the service's clock.")


class HeldSession(ApiModel):
    """A session at the service that the operator opened and keeps alive by heartbeat."""

    session_id: str = Field(description="Id of the session.")
    training_run_id: str | None = Field(default=None, description="The run that lives in it.")


class Creation(ApiModel):
    """Journal of the creation: written before the call, so that a crash cannot make two runs."""

    sessions: int = Field(default=1, description="Sessions opened for it so far; a lost one is replaced.")
    session_id: str | None = Field(default=None, description="Session that the run is made in.")
    pending: bool = Field(default=False, description="The service accepted the request and is at work on it.")
    refused_generation: int | None = Field(
        default=None, description="Generation that the service refused; a change of spec tries again."
    )
    refusal: str | None = Field(default=None, description="What the service said when it refused.")


class TrainerPhase(StrEnum):
    """How the trainer Job stands."""

    LAUNCHING = "Launching"
    """It is being made."""
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    GONE = "Gone"
    """It does not exist any more, and was not seen to finish."""


class TrainerStatus(ApiModel):
    """The trainer Job of mode Relaunch."""

    job: str = Field(description="Name of the Job.")
    attempt: int = Field(description="Attempt that it was made for; 0 before any recovery.")
    phase: TrainerPhase = Field(default=TrainerPhase.LAUNCHING, description="How it stands.")
    message: str = Field(default="", description="Why it failed: reason and exit code.", max_length=1024)


class HandOverStatus(ApiModel):
    """What the hand-over ConfigMap tells the training loop."""

    config_map: str = Field(description="Name of the ConfigMap; its key handover.json holds the document.")
    attempt: int = Field(description="Attempt that it belongs to; 0 before any recovery.")
    mode: RecoveryMode = Field(default=RecoveryMode.RECREATE, description="Who makes the successor of a lost run.")
    training_run_id: str = Field(description="The run that is current.")
    previous_training_run_id: str | None = Field(default=None, description="The run that was lost.")
    successor_training_run_id: str | None = Field(
        default=None, description="Run that the operator restored; the proof that the checkpoint loads."
    )
    checkpoint: str | None = Field(default=None, description="Checkpoint that a loop that starts now resumes from.")
    restore_optimizer: bool = Field(default=True, description="Whether to restore the optimizer state with it.")
    schedule_policy: str | None = Field(
        default=None, description="CheckpointPolicy whose schedule it carries; absent: the loop saves as it likes."
    )


class SeenCheckpoint(ApiModel):
    """A training checkpoint that appeared while a schedule was watched over."""

    time: datetime = Field(description="When it was saved, by the service's clock.")
    step: int | None = Field(default=None, description="Its step, if it says so.")


class FreshnessStatus(ApiModel):
    """What CheckpointFresh is told from: the checkpoints of one run under one schedule."""

    training_run_id: str = Field(description="The run that they are of.")
    cadence: str = Field(description="What makes a save due; another one begins anew.")
    up_to: datetime | None = Field(default=None, description="Checkpoints up to this time were there before.")
    seen_at: datetime | None = Field(
        default=None, description="Since when the next is waited for, by the operator's clock; absent: none is."
    )
    checkpoints: tuple[SeenCheckpoint, ...] = Field(default=(), description="The newest eight, oldest first.")


class TrainingRunStatus(ApiModel):
    """What the operator knows."""

    observed_generation: int = Field(default=-1, description="metadata.generation that status was computed from.")
    conditions: Conditions = Field(
        default=(),
        description="Ready, Reconciling, Stalled (kstatus), Synced, Corrupted and CheckpointFresh.",
    )
    origin: str | None = Field(
        default=None, description="What spec.run named when it was bound: a run id, create, or what was discovered."
    )
    training_run_id: str | None = Field(default=None, description="The run that is current at the service.")
    attempt: int = Field(default=0, description="Recovery attempt that the current run came from; 0 for none.")
    lost_training_run_id: str | None = Field(
        default=None, description="The run that was last confirmed to be corrupted or missing."
    )
    lineage: tuple[str, ...] = Field(
        default=(), description="Runs that this TrainingRun has followed, oldest first, the newest fifty."
    )
    base_model: str | None = Field(default=None, description="Base model of the run.")
    lora_rank: int | None = Field(default=None, description="LoRA rank of the run.")
    last_checkpoint: CheckpointSummary | None = Field(default=None, description="Newest training checkpoint.")
    last_request_time: datetime | None = Field(
        default=None,
        description="When the run was last used, by the service's clock. Renewed when something else changes.",
    )
    session: HeldSession | None = Field(default=None, description="Session that the operator keeps alive for the run.")
    creation: Creation | None = Field(default=None, description="Journal of the creation.")
    recoveries: int = Field(default=0, description="Recoveries that succeeded; it only grows.")
    failed_attempts: int = Field(default=0, description="Attempts that failed; it only grows.")
    recovery: RecoveryStatus = Field(default=RecoveryStatus(), description="Attempts, journal and history.")
    trainer: TrainerStatus | None = Field(default=None, description="The trainer Job of mode Relaunch.")
    hooks: HooksStatus | None = Field(default=None, description="Who is still to be told, and how that went.")
    hand_over: HandOverStatus | None = Field(default=None, description="What the hand-over ConfigMap says.")
    freshness: FreshnessStatus | None = Field(
        default=None, description="How far apart checkpoints appear, where a CheckpointPolicy says when to save."
    )
    last_handled_reconcile_at: str | None = Field(
        default=None,
        description="Value of the annotation tinker-operator.dev/reconcile-at that was acted on last.",
        max_length=253,
    )
