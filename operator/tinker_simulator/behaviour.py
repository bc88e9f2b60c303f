"""How the service answers where its clients have to live with more than one answer; an administrator chooses.

The official SDK knows two ways of being told "not yet", results that are announced before they are sent, and a
handful of flags. Which of them the real service uses at a given moment is its own affair, so each can be had here.
"""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

FlagValue = bool | int | float | str


class QueueState(StrEnum):
    """Why an operation has not ended yet."""

    ACTIVE = "active"
    PAUSED_CAPACITY = "paused_capacity"
    PAUSED_RATE_LIMIT = "paused_rate_limit"


class Behaviour(BaseModel):
    """The choices; the defaults are what makes the official SDK log nothing.

    Attributes:
        hold_seconds: How long a poll of an unfinished operation is held; None for what the simulator began with.
        pending: What it is answered after that: status 408, or 200 with `type: "try_again"`.
        queue_state: What such an answer says of the queue.
        queue_state_reason: And why.
        inline_bytes: A result larger than this is announced by its size first, where the poll allows it.
        corrupted: Operations on a corrupted run are refused with 400, or taken in and fail.
        sample_queue: How many samples may be under way; the next is answered 429.
        client_config: Flags that replace those of `client/config`.
        dynamic_config: Flags that replace those of `client/dynamic_config`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    hold_seconds: Annotated[float, Field(ge=0, le=40)] | None = None
    pending: Literal["408", "try-again"] = "408"
    queue_state: QueueState = QueueState.ACTIVE
    queue_state_reason: str | None = None
    inline_bytes: Annotated[int, Field(ge=0)] | None = None
    corrupted: Literal["refuse", "fail"] = "refuse"
    sample_queue: Annotated[int, Field(ge=0)] = 512
    client_config: dict[str, FlagValue] = {}
    dynamic_config: dict[str, FlagValue] = {}
