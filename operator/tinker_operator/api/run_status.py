"""What the operator knows of a training run: `status` of a TrainingRun.

It is all that the operator needs to go on after a restart: the journal of an attempt in flight, the attempts counted
against the budget, the lineage.
"""

from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import Field

from tinker_operator.api.meta import ApiModel, Conditions

HISTORY_LIMIT = 10
"""Entries of status.recovery.history: a ring, the newest last."""

LINEAGE_LIMIT = 50
"""Runs that status.lineage remembers; the checkpoints of a run that fell out are no longer governed by a policy."""

VERDICT_LIMIT = 20
"""Candidates that one attempt tries and tells of; ten such records must stay far below etcd's 1.5 MiB."""
VERDICT_MESSAGE_LIMIT = 300
"""Characters of a verdict's message that are kept."""


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


class Verdict(StrEnum):
    """What became of a candidate checkpoint."""

    GOOD = "Good"
    """It loaded, and the successor is what was asked for."""
    NOT_LOADABLE = "NotLoadable"
    """The service could not load it."""
    EXPIRED = "Expired"
    """It is past its expires_at, or so close to it that it would be gone before it loads."""
    EMPTY = "Empty"
    """The service lists it with zero bytes."""
    MISSING = "Missing"
    """It is listed or named, but the service does not have it."""
    BASE_MODEL_MISMATCH = "BaseModelMismatch"
    """It was trained on another base model than the run."""
    RANK_MISMATCH = "RankMismatch"
    """Its LoRA rank is not the run's."""
    NOT_LORA = "NotLora"
    """It is not a LoRA checkpoint."""
    BACKEND_FAILED = "BackendFailed"
    """The service failed while loading it, which says nothing of the checkpoint."""


class CandidateVerdict(ApiModel):
    """One candidate, and why it was taken or passed over."""

    checkpoint: str = Field(description="Path of the candidate.")
    verdict: Verdict = Field(description="Good, or why not.")
    message: str = Field(default="", description="What the service said.", max_length=1024)


class RecoveryResult(StrEnum):
    """How an attempt ended."""

    RECOVERED = "Recovered"
    NO_USABLE_CHECKPOINT = "NoUsableCheckpoint"
    BACKEND_FAILED = "BackendFailed"
    SESSION_LOST = "SessionLost"
    SUCCESSOR_MISMATCH = "SuccessorMismatch"
    ABANDONED = "Abandoned"


class InFlightRecovery(ApiModel):
    """Journal of an attempt: every field is in status before the call that it speaks of is made."""

    attempt: int = Field(description="Number of the attempt; it only grows.")
    from_training_run_id: str = Field(description="The corrupted run.")
    started_at: datetime = Field(description="When the attempt began.")
    session_id: str | None = Field(default=None, description="Session that the successor is made in.")
    model_seq_id: int = Field(default=0, description="Number of the next run in that session.")
    checkpoint: str | None = Field(default=None, description="Candidate that is being loaded; absent: to be chosen.")
    pending_since: datetime | None = Field(
        default=None, description="Since when the service is at work on the load; absent: it has not accepted it yet."
    )
    candidates: tuple[CandidateVerdict, ...] = Field(default=(), description="Candidates judged so far.")
    failure: RecoveryResult | None = Field(
        default=None, description="Why the attempt has failed; its session is being finished."
    )
    failure_message: str = Field(default="", description="What there is to say about the failure.", max_length=1024)


class RecoveryRecord(ApiModel):
    """One finished attempt."""

    attempt: int = Field(description="Number of the attempt.")
    cause: Literal["Corrupted"] = Field(default="Corrupted", description="Why the run had to be recovered.")
    from_training_run_id: str = Field(description="The run that was lost.")
    to_training_run_id: str | None = Field(default=None, description="The successor, if there is one.")
    checkpoint: str | None = Field(default=None, description="Checkpoint that it was restored from.")
    candidates: tuple[CandidateVerdict, ...] = Field(default=(), description="Every candidate looked at, best first.")
    started_at: datetime = Field(description="When the attempt began.")
    completed_at: datetime = Field(description="When it ended.")
    result: RecoveryResult = Field(description="How it ended.")
    message: str = Field(default="", description="What there is to say about it.", max_length=1024)


class RecoveryStatus(ApiModel):
    """All that recovery has to remember."""

    attempt: int = Field(default=0, description="Number of the newest attempt; it only grows.")
    attempt_times: tuple[datetime, ...] = Field(
        default=(), description="Starts of the attempts that count against maxAttempts, oldest first."
    )
    budget_generation: int | None = Field(
        default=None, description="Generation that attemptTimes counts for; a change of spec starts a new budget."
    )
    exhausted_generation: int | None = Field(
        default=None, description="Generation whose budget is used up; a change of spec starts a new one."
    )
    next_attempt_time: datetime | None = Field(default=None, description="Earliest start of the next attempt.")
    in_flight: InFlightRecovery | None = Field(default=None, description="The attempt under way.")
    restored_from: str | None = Field(
        default=None, description="Checkpoint that the present run was restored from. No policy deletes it."
    )
    history: tuple[RecoveryRecord, ...] = Field(default=(), description="The last ten attempts, oldest first.")


class HandOverStatus(ApiModel):
    """What the hand-over ConfigMap tells the training loop."""

    config_map: str = Field(description="Name of the ConfigMap; its key handover.json holds the document.")
    attempt: int = Field(description="Attempt that it belongs to; 0 before any recovery.")
    training_run_id: str = Field(description="The run that is current.")
    previous_training_run_id: str | None = Field(default=None, description="The run that was lost.")
    successor_training_run_id: str | None = Field(
        default=None, description="Run that the operator restored; the proof that the checkpoint loads."
    )
    checkpoint: str | None = Field(default=None, description="Checkpoint that a loop that starts now resumes from.")
    restore_optimizer: bool = Field(default=True, description="Whether to restore the optimizer state with it.")


class TrainingRunStatus(ApiModel):
    """What the operator knows."""

    observed_generation: int = Field(default=-1, description="metadata.generation that status was computed from.")
    conditions: Conditions = Field(
        default=(), description="Ready, Reconciling, Stalled (kstatus), Synced and Corrupted."
    )
    origin: str | None = Field(default=None, description="What spec.run named when it was bound: a run id, or create.")
    training_run_id: str | None = Field(default=None, description="The run that is current at the service.")
    attempt: int = Field(default=0, description="Recovery attempt that the current run came from; 0 for none.")
    lost_training_run_id: str | None = Field(
        default=None, description="The run that was last confirmed to be corrupted."
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
    recovery: RecoveryStatus = Field(default=RecoveryStatus(), description="Attempts, journal and history.")
    hand_over: HandOverStatus | None = Field(default=None, description="What the hand-over ConfigMap says.")
