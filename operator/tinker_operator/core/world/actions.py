"""What may be done. Each action is idempotent, or carries what makes its repetition harmless."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from tinker_operator.api.hook_spec import Hook
from tinker_operator.api.run_status import HandOverStatus


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


@dataclass(frozen=True, slots=True)
class SetCheckpointTtl:
    """Say how long a checkpoint lives; saying it twice does no harm.

    Attributes:
        path: Its path.
        seconds: From now on; None for ever.
    """

    path: str
    seconds: int | None


@dataclass(frozen=True, slots=True)
class ReadWeights:
    """Read what a checkpoint was trained as, to judge it.

    Attributes:
        path: Its path.
        run_id: Run that it belongs to.
        expected_time: Its time; one that is not listed with it any more is another checkpoint.
        expected_size: Its size in bytes, likewise.
    """

    path: str
    run_id: str
    expected_time: datetime | None
    expected_size: int | None


@dataclass(frozen=True, slots=True)
class PublishCheckpoint:
    """Let everybody read a checkpoint, if it is still the one that was chosen, private, and wanted still.

    Attributes:
        path: Its path.
        run_id: Run that it belongs to.
        expected_time: Its time when it was chosen; another time now means another checkpoint: not published.
        expected_size: Its size in bytes, likewise.
    """

    path: str
    run_id: str
    expected_time: datetime | None
    expected_size: int | None


@dataclass(frozen=True, slots=True)
class UnpublishCheckpoint:
    """Take a checkpoint back that this policy made public, if it is still that one.

    Attributes:
        path: Its path.
        run_id: Run that it belongs to.
        expected_time: Its time when it was published; another time now means another checkpoint: left as it is.
        expected_size: Its size in bytes, likewise.
    """

    path: str
    run_id: str
    expected_time: datetime | None
    expected_size: int | None


@dataclass(frozen=True, slots=True)
class InspectExport:
    """Export the run that holds a checkpoint, look into the tensors, delete the export.

    Attributes:
        run_id: The run that was loaded for the proof.
        checkpoint: What it holds.
        base_model: What the weights have to be of; None when not known.
        lora_rank: Likewise.
    """

    run_id: str
    checkpoint: str
    base_model: str | None
    lora_rank: int | None


@dataclass(frozen=True, slots=True)
class CreateTrainerJob:
    """Make the trainer Job of an attempt; one of that name that is this object's already is the same Job.

    Attributes:
        name: Name of the Job, which follows from the object and the attempt.
        attempt: Number of the attempt.
    """

    name: str
    attempt: int


@dataclass(frozen=True, slots=True)
class DeleteTrainerJob:
    """Delete a trainer Job with its pods; it stays listed until the last of them has ended.

    Attributes:
        name: Name of the Job.
        uid: Its uid; another one now means another Job: not deleted.
    """

    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class SetFinalizer:
    """Make the object's deletion wait for its checkpoints, or not wait.

    Attributes:
        present: Whether it is to wait.
    """

    present: bool


@dataclass(frozen=True, slots=True)
class CallHook:
    """Tell a hook; at least once.

    Attributes:
        id: The same for every repetition.
        hook: Whom to tell.
        body: What, as JSON.
    """

    id: str
    hook: Hook
    body: str


Action = (
    OpenSession
    | CreateRun
    | RestoreRun
    | ConfirmRun
    | FinishSession
    | WriteHandOver
    | DeleteCheckpoint
    | SetCheckpointTtl
    | ReadWeights
    | PublishCheckpoint
    | UnpublishCheckpoint
    | InspectExport
    | CreateTrainerJob
    | DeleteTrainerJob
    | SetFinalizer
    | CallHook
)
