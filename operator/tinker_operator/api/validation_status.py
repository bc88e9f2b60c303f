"""What background validation and publishing have to remember: parts of the status of a CheckpointPolicy."""

from datetime import datetime

from pydantic import Field

from tinker_operator.api.meta import ApiModel
from tinker_operator.api.recovery_spec import ValidationLevel
from tinker_operator.api.recovery_status import Verdict

FINDINGS_LIMIT = 500
"""Verdicts that are remembered: of the newest checkpoint of each run, then of the newest of all."""
PUBLISHED_LIMIT = 500
"""TrainingRuns of which one policy has checkpoints public at a time."""


class Setback(ApiModel):
    """Trouble of the service, which says nothing about any checkpoint: what it is waited for with a growing pause."""

    reason: str = Field(description="Cause, as conditions show it.")
    message: str = Field(description="What happened and what to do about it.", max_length=1024)
    path: str | None = Field(default=None, description="Checkpoint that it met; it comes after the others next time.")
    failures: int = Field(default=1, description="How many times in a row; the pause grows with it.")
    retry_time: datetime = Field(description="Nothing is tried before.")


class CheckpointFinding(ApiModel):
    """A verdict on one checkpoint as it was saved at that time."""

    path: str = Field(description="Path at the service.")
    time: datetime | None = Field(default=None, description="When it was saved; another time is another checkpoint.")
    size_bytes: int | None = Field(default=None, description="Size in bytes, likewise.")
    training_run: str = Field(description="Name of the TrainingRun that it belongs to.")
    level: ValidationLevel = Field(description="How it was proven.")
    verdict: Verdict = Field(description="Good, or why not.")
    message: str = Field(default="", description="What the service said.", max_length=1024)


class CheckpointProof(ApiModel):
    """Journal of a proof that loads a checkpoint: each field is in status before the call that it speaks of."""

    number: int = Field(description="Number of the proof; the session's idempotency key is made of it.")
    path: str = Field(description="Checkpoint that is proven.")
    time: datetime | None = Field(default=None, description="When it was saved.")
    size_bytes: int | None = Field(default=None, description="Size in bytes, if the service tells.")
    training_run: str = Field(description="Name of the TrainingRun whose key is used.")
    level: ValidationLevel = Field(description="How it is proven.")
    started_at: datetime = Field(description="When the proof began.")
    session_id: str | None = Field(default=None, description="Session that it is loaded in, finished afterwards.")
    training_run_id: str | None = Field(default=None, description="The run that holds it, once it has loaded.")
    pending_since: datetime | None = Field(default=None, description="Since when the service is at work on it.")
    verdict: Verdict | None = Field(default=None, description="What came of it; the session is being finished.")
    message: str = Field(default="", description="What the service said.", max_length=1024)
    ended: bool = Field(default=False, description="There will be no verdict; the session is being finished.")


class PolicyValidationStatus(ApiModel):
    """What is known of the checkpoints that stay."""

    counts: dict[str, int] = Field(default_factory=dict, description="How many have each verdict.")
    unvalidated: int = Field(default=0, description="How many of those that stay have no verdict of this level yet.")
    verdicts: tuple[CheckpointFinding, ...] = Field(default=(), description="The verdicts, at most five hundred.")
    in_flight: CheckpointProof | None = Field(default=None, description="The proof under way.")
    proofs: int = Field(default=0, description="Proofs begun that load a checkpoint; it only grows.")
    last_proof_time: datetime | None = Field(default=None, description="When the newest of them began.")
    setback: Setback | None = Field(default=None, description="Trouble of the service that is being waited for.")


class PublishedCheckpoint(ApiModel):
    """A checkpoint that this policy made public, or is about to."""

    path: str = Field(description="Path at the service.")
    time: datetime | None = Field(default=None, description="When it was saved; another time is another checkpoint.")
    size_bytes: int | None = Field(default=None, description="Size in bytes, likewise.")
    training_run: str = Field(description="Name of the TrainingRun that it belongs to.")
    public: bool = Field(default=False, description="False: announced; it stands here before it becomes public.")


class PublishingStatus(ApiModel):
    """What this policy has public at the service."""

    checkpoints: tuple[PublishedCheckpoint, ...] = Field(
        default=(), description="What it published, or is about to; nothing else is ever taken back."
    )
    setback: Setback | None = Field(default=None, description="Trouble of the service that is being waited for.")
