"""What recovery has to remember: `status.recovery` of a TrainingRun."""

from datetime import datetime
from enum import StrEnum

from pydantic import Field

from tinker_operator.api.meta import ApiModel
from tinker_operator.api.recovery_spec import RecoveryMode

HISTORY_LIMIT = 10
"""Entries of status.recovery.history: a ring, the newest last."""
VERDICT_LIMIT = 20
"""Candidates that one attempt tries and tells of; ten such records must stay far below etcd's 1.5 MiB."""
VERDICT_MESSAGE_LIMIT = 300
"""Characters of a verdict's message that are kept."""


class Verdict(StrEnum):
    """What became of a candidate checkpoint."""

    GOOD = "Good"
    """It loaded, and the successor is what was asked for."""
    NO_METRIC = "NoMetric"
    """Strategy Best: it carries no value of the metric, or none that is a number."""
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
    UNSOUND = "Unsound"
    """Its export is cut short, of another shape than it says, or holds values that are not finite."""
    BACKEND_FAILED = "BackendFailed"
    """The service failed while loading it, which says nothing of the checkpoint."""


class CandidateVerdict(ApiModel):
    """One candidate, and why it was taken or passed over."""

    checkpoint: str = Field(description="Path of the candidate.")
    time: datetime | None = Field(default=None, description="When it was saved, by the service's clock.")
    size_bytes: int | None = Field(default=None, description="Its size in bytes, if the service tells.")
    verdict: Verdict = Field(description="Good, or why not.")
    message: str = Field(default="", description="What the service said.", max_length=1024)


class Cause(StrEnum):
    """Why a run had to be recovered."""

    CORRUPTED = "Corrupted"
    """The service flagged it."""
    MISSING = "Missing"
    """Complete listings of the service did not contain it."""
    TRAINER_FAILED = "TrainerFailed"
    """Its trainer Job failed, so that nothing trained it any more."""


class RecoveryResult(StrEnum):
    """How an attempt ended."""

    RECOVERED = "Recovered"
    NO_USABLE_CHECKPOINT = "NoUsableCheckpoint"
    BACKEND_FAILED = "BackendFailed"
    TIMED_OUT = "TimedOut"
    SESSION_LOST = "SessionLost"
    SUCCESSOR_MISMATCH = "SuccessorMismatch"
    TRAINER_FAILED = "TrainerFailed"
    TRAINER_GAVE_UP = "TrainerGaveUp"
    """The trainer Job failed, and its podFailurePolicy says not to try again."""
    ABANDONED = "Abandoned"


class Validation(ApiModel):
    """Journal of the proof of a checkpoint in a session apart, which is finished when the proof is made."""

    session_id: str | None = Field(default=None, description="Session that the checkpoint is loaded in.")
    model_seq_id: int = Field(default=0, description="Number of the next run in that session.")
    training_run_id: str | None = Field(default=None, description="The run that holds it, once it has loaded.")
    proven: str | None = Field(default=None, description="Checkpoint that has been proven.")


class InFlightRecovery(ApiModel):
    """Journal of an attempt: every field is in status before the call that it speaks of is made."""

    attempt: int = Field(description="Number of the attempt; it only grows.")
    cause: Cause = Field(default=Cause.CORRUPTED, description="Why the run has to be recovered.")
    cause_message: str = Field(default="", description="What there is to say about the cause.", max_length=1024)
    mode: RecoveryMode = Field(default=RecoveryMode.RECREATE, description="Who makes the successor.")
    asked: str = Field(default="", description="Digest of what spec.recovery asked of the checkpoint.")
    from_training_run_id: str = Field(description="The run that was lost.")
    started_at: datetime = Field(description="When the attempt began.")
    session_id: str | None = Field(default=None, description="Session that the successor is made in.")
    model_seq_id: int = Field(default=0, description="Number of the next run in that session.")
    checkpoint: str | None = Field(default=None, description="Candidate that is being restored; absent: to be chosen.")
    checkpoint_time: datetime | None = Field(default=None, description="When it was saved, by the service's clock.")
    checkpoint_size_bytes: int | None = Field(default=None, description="Its size in bytes, if the service tells.")
    note: str = Field(default="", description="What there is to say about the choice.", max_length=1024)
    pending_since: datetime | None = Field(
        default=None, description="Since when the service is at work on the load; absent: it has not accepted it yet."
    )
    validation: Validation | None = Field(default=None, description="Proof of the checkpoint in a session apart.")
    handed_over: bool = Field(default=False, description="The hand-over names the checkpoint and this attempt.")
    job: str | None = Field(default=None, description="Mode Relaunch: the Job that was made for this attempt.")
    candidates: tuple[CandidateVerdict, ...] = Field(default=(), description="Candidates judged so far.")
    failure: RecoveryResult | None = Field(
        default=None, description="Why the attempt has failed; its session is being finished."
    )
    failure_message: str = Field(default="", description="What there is to say about the failure.", max_length=1024)


class RecoveryRecord(ApiModel):
    """One finished attempt."""

    attempt: int = Field(description="Number of the attempt.")
    cause: Cause = Field(default=Cause.CORRUPTED, description="Why the run had to be recovered.")
    cause_message: str = Field(default="", description="What there is to say about the cause.", max_length=1024)
    mode: RecoveryMode = Field(default=RecoveryMode.RECREATE, description="Who made the successor.")
    from_training_run_id: str = Field(description="The run that was lost.")
    to_training_run_id: str | None = Field(default=None, description="The successor, if there is one.")
    checkpoint: str | None = Field(default=None, description="Checkpoint that it was restored from.")
    note: str = Field(default="", description="What there is to say about the choice.", max_length=1024)
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
