"""What a refusal of the service means for a run that was to be made, or for a checkpoint that was to be used."""

from tinker_operator.controllers.translate import fault_of
from tinker_operator.core.world import BackendFailed, LoadRefused, Outcome, SessionLost, StillPending
from tinker_operator.tinker.errors import (
    BadRequest,
    CallNotPossible,
    Conflict,
    FutureCategory,
    FutureFailed,
    FuturePending,
    Gone,
    NotFound,
    TinkerError,
    Unprocessable,
)


def refusal(error: TinkerError) -> Outcome:
    """Tells whether it was the request, the service or the way there that failed; only the first is a verdict."""
    match error:
        case FuturePending():
            return StillPending()
        case FutureFailed(category=FutureCategory.USER):
            return LoadRefused(error.message)
        case FutureFailed() | Conflict():
            return BackendFailed(str(error))
        case Gone():
            return SessionLost(str(error))
        case BadRequest() | Unprocessable() | NotFound() | CallNotPossible():
            return LoadRefused(error.message)
        case _:
            return fault_of(error)
