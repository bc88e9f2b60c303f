"""What came of an action."""

from dataclasses import dataclass

from tinker_operator.core.world.actions import Action
from tinker_operator.core.world.observations import Fault, WeightsSeen


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
    """The checkpoint is not the one that was judged, or not due any more, or gone: nothing was done."""

    message: str


@dataclass(frozen=True, slots=True)
class WeightsRead:
    """This is what the checkpoint was trained as."""

    weights: WeightsSeen


@dataclass(frozen=True, slots=True)
class CheckpointMissing:
    """It is listed, and the service says that it does not have it."""


@dataclass(frozen=True, slots=True)
class NotWanted:
    """It was planned, and nobody wants it any more; nothing was done."""


@dataclass(frozen=True, slots=True)
class Unsound:
    """The export is no usable checkpoint."""

    message: str


@dataclass(frozen=True, slots=True)
class HookFailed:
    """The hook could not be told; the recovery stands all the same."""

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
    | WeightsRead
    | CheckpointMissing
    | NotWanted
    | Unsound
    | HookFailed
    | Fault
)


@dataclass(frozen=True, slots=True)
class Performed:
    """An action with its outcome."""

    action: Action
    outcome: Outcome
