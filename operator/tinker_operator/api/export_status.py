"""What a CheckpointPolicy knows of its exports: `status.exports`."""

from datetime import datetime
from enum import StrEnum

from pydantic import Field

from tinker_operator.api.meta import ApiModel

EXPORTS_LIMIT = 500
"""Exports that status remembers. Those of checkpoints that the service does not list any more are forgotten."""


class ExportState(StrEnum):
    """How an export stands."""

    PENDING = "Pending"
    """Its Job is to be made."""
    RUNNING = "Running"
    """Its Job has been made and has not ended."""
    SUCCEEDED = "Succeeded"
    """It is at the target."""
    FAILED = "Failed"
    """Its Job failed; it is tried again at nextAttemptTime, if there is one."""


class ExportRecord(ApiModel):
    """The export of one checkpoint to one target."""

    path: str = Field(description="Path at the service.")
    time: datetime | None = Field(default=None, description="When it was saved; another time is another checkpoint.")
    size_bytes: int | None = Field(default=None, description="Size in bytes, likewise.")
    training_run: str = Field(description="Name of the TrainingRun that it belongs to.")
    target: str = Field(description="Where to; never a credential.")
    state: ExportState = Field(default=ExportState.PENDING, description="How it stands.")
    job: str = Field(description="Name of the Job of the present attempt.")
    attempt: int = Field(default=1, description="Number of the present attempt.")
    generation: int = Field(default=1, description="metadata.generation that the attempts count for.")
    message: str = Field(default="", description="What went wrong, and what to do.")
    next_attempt_time: datetime | None = Field(default=None, description="Before then it is not tried again.")
    finished_at: datetime | None = Field(default=None, description="When its end was seen.")
