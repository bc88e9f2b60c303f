"""Who is still to be told of a recovery: `status.hooks` of a TrainingRun."""

from datetime import datetime
from enum import StrEnum

from pydantic import Field

from tinker_operator.api.meta import ApiModel

PENDING_LIMIT = 20
"""Calls that wait at once; beyond it the oldest is given up."""


class Occasion(StrEnum):
    """What a hook is told of."""

    RECOVERED = "Recovered"
    """A recovery is complete: onRecovery."""
    GAVE_UP = "GaveUp"
    """Recovery has given up: onFailure."""


class PendingHook(ApiModel):
    """One call that is still to be made; it stands here before it is made."""

    id: str = Field(description="Same for every repetition: the receiver may see it more than once.")
    hook: str = Field(description="Name of the hook in spec.")
    occasion: Occasion = Field(description="Recovered or GaveUp.")
    attempt: int = Field(description="Attempt that it tells of.")
    since: datetime = Field(description="When it became due.")
    tries: int = Field(default=0, description="Calls that failed so far.")
    next_try_time: datetime | None = Field(default=None, description="Earliest time of the next call.")
    message: str = Field(default="", description="What went wrong in the last one.", max_length=1024)


class HooksStatus(ApiModel):
    """Calls of the hooks."""

    pending: tuple[PendingHook, ...] = Field(default=(), description="Calls still to be made, oldest first.")
    delivered: int = Field(default=0, description="Calls that succeeded; it only grows.")
    given_up: int = Field(default=0, description="Calls that were given up after a day; it only grows.")
    last_failure: str | None = Field(default=None, description="Why the last one was given up.", max_length=1024)
