"""What was observed, in the decisions' words. Trouble is an observation too, and never means that a run failed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from tinker_operator.api.reasons import Reason


@dataclass(frozen=True, slots=True)
class Fault:
    """An answer that could not be had, or could not be trusted.

    Attributes:
        reason: Cause, as conditions show it.
        message: What happened and what to do about it; never a key, a time or a counter.
        needs_user: True when it does not pass by itself (a wrong key, a missing Secret).
        retry_after: Seconds before which asking again is in vain; 0 when that is not known. Two faults that differ in
            nothing else are the same: what moves all the time is no news.
    """

    reason: Reason
    message: str
    needs_user: bool = False
    retry_after: float = field(default=0.0, compare=False)


class CheckpointKind(StrEnum):
    """What a checkpoint can be used for."""

    TRAINING = "training"
    SAMPLER = "sampler"
    EXTERNAL = "external"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ObservedCheckpoint:
    """A checkpoint as the service lists it.

    Attributes:
        path: tinker://<run>/<kind>/<name>; its identity.
        run_id: Run that it was listed under.
        kind: What it can be used for.
        time: When it was saved, timezone-aware; None if the service does not tell.
        size_bytes: Size in bytes; None if the service does not tell.
        public: Whether others can read it.
        expires_at: When the service deletes it by itself; None for never.
        metadata: What the training loop wrote beside it.
    """

    path: str
    run_id: str
    kind: CheckpointKind = CheckpointKind.TRAINING
    time: datetime | None = None
    size_bytes: int | None = None
    public: bool = False
    expires_at: datetime | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ObservedRun:
    """A run as the service describes it.

    Attributes:
        run_id: Opaque id.
        base_model: Base model's name.
        is_lora: Whether it trains an adapter.
        lora_rank: LoRA rank; None when it is no adapter.
        corrupted: The service's own statement; nothing else counts as failure.
        agreeing: How many observations in a row said the same of `corrupted`, this one included.
        last_request_time: When it was last used.
        last_checkpoint: Newest training checkpoint, if the service tells.
        last_sampler_checkpoint: Newest sampler checkpoint, if the service tells.
        metadata: user_metadata of the run.
    """

    run_id: str
    base_model: str
    is_lora: bool = True
    lora_rank: int | None = None
    corrupted: bool = False
    agreeing: int = 1
    last_request_time: datetime | None = None
    last_checkpoint: ObservedCheckpoint | None = None
    last_sampler_checkpoint: ObservedCheckpoint | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Absent:
    """A complete, healthy listing does not contain the run.

    Attributes:
        agreeing: How many such listings in a row.
    """

    agreeing: int = 1


RunView = ObservedRun | Absent | Fault | None
"""None: the service has not been asked yet."""


@dataclass(frozen=True, slots=True)
class WeightsSeen:
    """What the service says a checkpoint's weights are.

    Attributes:
        base_model: Base model that they belong to; None if the service does not tell.
        is_lora: Whether they are an adapter.
        lora_rank: LoRA rank, if the service tells.
    """

    base_model: str | None
    is_lora: bool
    lora_rank: int | None


@dataclass(frozen=True, slots=True)
class HandOverSeen:
    """The hand-over ConfigMap as it is.

    Attributes:
        document: Text of its key handover.json; None when the ConfigMap does not exist.
        foreign: True when it exists and does not belong to this TrainingRun.
        version: Its resourceVersion; None when it does not exist.
    """

    document: str | None
    foreign: bool = False
    version: str | None = None


class JobPhase(StrEnum):
    """How a Job stands."""

    RUNNING = "Running"
    """It may have pods, now or later."""
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    DELETING = "Deleting"
    """It is being deleted; its pods may still run."""


@dataclass(frozen=True, slots=True)
class JobSeen:
    """A trainer Job of the object, as the cluster has it.

    Attributes:
        name: Its name.
        uid: Its uid: what is deleted is this Job, not another of its name.
        attempt: The attempt that it was made for; -1 when it does not tell, and so belongs to none.
        phase: How it stands.
        reason: Why it failed, as the Job controller says: BackoffLimitExceeded, PodFailurePolicy, DeadlineExceeded.
        message: What there is to say about the failure: exit code, OOMKilled, Evicted.
        exit_code: Exit code of the container that failed last; None when none is known.
        finished_at: When it completed or failed; None while it has not.
    """

    name: str
    uid: str
    attempt: int
    phase: JobPhase
    reason: str = ""
    message: str = ""
    exit_code: int | None = None
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class JobsSeen:
    """The trainer Jobs of the object, those being deleted too.

    Attributes:
        jobs: All of them, in any order.
    """

    jobs: tuple[JobSeen, ...] = ()
