"""The vocabulary of the decisions: what was observed, what may be asked, what may be done, what came of it.

The shell translates the service's and Kubernetes' answers into these values and performs the actions; every
branch in between is in this package. Trouble is an observation too (`Fault`), and never means that a run failed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from tinker_operator.api.reasons import Reason
from tinker_operator.api.run_status import HandOverStatus


@dataclass(frozen=True, slots=True)
class Fault:
    """An answer that could not be had, or could not be trusted.

    Attributes:
        reason: Cause, as conditions show it.
        message: What happened and what to do about it; never a key, a time or a counter.
        needs_user: True when it does not pass by itself (a wrong key, a missing Secret).
    """

    reason: Reason
    message: str
    needs_user: bool = False


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


# What a decision may ask before it is made. A question is also the key of its answer.


@dataclass(frozen=True, slots=True)
class CheckpointsOf:
    """Which checkpoints does this run have? Answered by a complete listing, Absent or a Fault."""

    run_id: str


@dataclass(frozen=True, slots=True)
class WeightsOf:
    """What are this checkpoint's weights? Answered by WeightsSeen, Absent or a Fault."""

    path: str


@dataclass(frozen=True, slots=True)
class RunById:
    """Does this run exist? Asked for a successor whose id was journalled before it was made."""

    run_id: str


@dataclass(frozen=True, slots=True)
class ReadHandOver:
    """What does the hand-over ConfigMap say? Answered by HandOverSeen or a Fault."""

    name: str


Question = CheckpointsOf | WeightsOf | RunById | ReadHandOver
Answer = tuple[ObservedCheckpoint, ...] | WeightsSeen | ObservedRun | HandOverSeen | Absent | Fault


# What may be done. Each action is idempotent, or carries what makes its repetition harmless.


@dataclass(frozen=True, slots=True)
class OpenSession:
    """Open a session at the service.

    Attributes:
        key: Idempotency key: the same attempt of the same object opens one session, however often it is asked.
        metadata: user_metadata of the session.
    """

    key: str
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class CreateRun:
    """Make the run that spec.run.create describes; deduplicated by the service on session and number."""

    session_id: str
    model_seq_id: int
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class RestoreRun:
    """Make a run from a checkpoint; deduplicated by the service on session and number."""

    session_id: str
    model_seq_id: int
    checkpoint: str
    restore_optimizer: bool
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ConfirmRun:
    """Ask the service what model lives under this run id."""

    run_id: str


@dataclass(frozen=True, slots=True)
class FinishSession:
    """Finish a session that is no longer wanted; finishing twice is not an error."""

    session_id: str
    success: bool
    detail: str


@dataclass(frozen=True, slots=True)
class WriteHandOver:
    """Make the hand-over ConfigMap say this.

    Attributes:
        states: What it says, in status' form.
        document: The same, as the training loop reads it.
        version: Version of the ConfigMap that was looked at; None to make it. Another one now is not overwritten.
    """

    states: HandOverStatus
    document: str
    version: str | None = None


@dataclass(frozen=True, slots=True)
class DeleteCheckpoint:
    """Delete a checkpoint, if it is still the one that was judged, and still due when it has been looked at again.

    Attributes:
        path: Its path.
        run_id: Run that it belongs to.
        expected_time: Its time when it was judged; another time now means another checkpoint: not deleted.
        expected_size: Its size in bytes when it was judged, likewise.
    """

    path: str
    run_id: str
    expected_time: datetime | None
    expected_size: int | None


Action = OpenSession | CreateRun | RestoreRun | ConfirmRun | FinishSession | WriteHandOver | DeleteCheckpoint


# What came of an action.


@dataclass(frozen=True, slots=True)
class SessionOpened:
    """The session is open."""

    session_id: str


@dataclass(frozen=True, slots=True)
class RunMade:
    """The run exists and answers."""

    run_id: str
    base_model: str | None
    lora_rank: int | None


@dataclass(frozen=True, slots=True)
class LoadRefused:
    """The service says that the checkpoint, or the request, is at fault; trying again changes nothing."""

    message: str


@dataclass(frozen=True, slots=True)
class BackendFailed:
    """The service says that it failed itself; the checkpoint may be good."""

    message: str


@dataclass(frozen=True, slots=True)
class SessionLost:
    """The session is finished or unknown at the service."""

    message: str


@dataclass(frozen=True, slots=True)
class StillPending:
    """The service accepted the request and has not finished it."""


@dataclass(frozen=True, slots=True)
class Done:
    """It is so."""


@dataclass(frozen=True, slots=True)
class PreconditionFailed:
    """The checkpoint is not the one that was judged, or not due any more, or gone: nothing was deleted."""

    message: str


Outcome = (
    SessionOpened
    | RunMade
    | LoadRefused
    | BackendFailed
    | SessionLost
    | StillPending
    | Done
    | PreconditionFailed
    | Fault
)


@dataclass(frozen=True, slots=True)
class Performed:
    """An action with its outcome."""

    action: Action
    outcome: Outcome
