"""When a loop saves, by the word of a CheckpointPolicy: what the hand-over says of it, and which word holds now.

Asked by the checkpointer at every step, so that a policy that changes takes effect in a loop that runs.
"""

import logging
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

_LOG: Final = logging.getLogger(__name__)


class Strategy(StrEnum):
    """What makes a save due."""

    STEPS = "Steps"
    """Every `save_every` steps."""
    EPOCH = "Epoch"
    """The end of every `save_every` epochs."""
    BEST = "Best"
    """A metric that is better than at every save before."""
    LAST = "Last"
    """The end of the training, or of the loop."""
    ALL = "All"
    """Every step."""


class BestMode(StrEnum):
    """Which way a metric gets better."""

    MIN = "Min"
    MAX = "Max"


class _Words(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True)


class ScheduleMetric(_Words):
    """What makes one state of the training better than another.

    Attributes:
        name: Name under which the loop tells it.
        mode: Which way it gets better.
    """

    name: str = Field(min_length=1)
    mode: BestMode = BestMode.MIN


class Schedule(_Words):
    """When a loop saves; fields that this release does not know are ignored.

    Attributes:
        strategy: What makes a save due.
        save_every: Steps or epochs from one save to the next.
        save_best: Whether a metric that is better than ever makes a save due too.
        metric: Which metric; there with strategy Best and with `save_best`.
        min_interval_seconds: Time from one save to the next at least, in seconds.
        ttl_seconds: How long the service keeps a checkpoint; None means as the loop itself says.
        save_sampler: Whether the weights for sampling are saved beside each checkpoint.
    """

    strategy: Strategy
    save_every: int = Field(default=100, ge=1)
    save_best: bool = False
    metric: ScheduleMetric | None = None
    min_interval_seconds: float = Field(default=0.0, ge=0.0, allow_inf_nan=False)
    ttl_seconds: int | None = Field(default=None, ge=1)
    save_sampler: bool = False

    @model_validator(mode="after")
    def _says_what_is_best(self) -> Self:
        if self.metric is None and (self.save_best or self.strategy is Strategy.BEST):
            raise ValueError("metric: it does not say what is best")
        return self


class ScheduleInForce:
    """The schedule that holds at the moment: the newest that was understood, else the loop's own.

    Args:
        own: What the loop asks for where nobody else says anything.
        look: The newest that the hand-over says, empty for nothing.
    """

    def __init__(self, own: Schedule, look: Callable[[], Mapping[str, Any]]) -> None:
        self.own = own
        self._look = look
        self._found: Mapping[str, Any] = {}
        self._held = own
        self._troubled = False

    def now(self) -> Schedule:
        """The schedule that holds now. One that cannot be read is logged once, and the last good one goes on."""
        found = self._look()
        if found != self._found:
            self._found = found
            self._held = self._read(found)
        return self._held

    def _read(self, found: Mapping[str, Any]) -> Schedule:
        try:
            read = Schedule.model_validate(found) if found else self.own
        except ValidationError as error:
            fault = error.errors(include_url=False, include_input=False)[0]
            if not self._troubled:
                where = ".".join(str(part) for part in fault["loc"])
                why = f"{where}: {fault['msg']}" if where else fault["msg"]
                _LOG.warning("The schedule of the hand-over is not understood, the last one goes on: %s", why)
            self._troubled = True
            return self._held
        self._troubled = False
        return read
