"""How the checkpoints of a CheckpointPolicy are proven in the background: `spec.validation`."""

from pydantic import Field

from tinker_operator.api.meta import ApiModel
from tinker_operator.api.recovery_spec import ValidationLevel

SHORTEST_INTERVAL_SECONDS = 10
"""A load costs the service a base model's worth of memory: not more often than this, whatever is asked for."""
LONGEST_INTERVAL_SECONDS = 604_800


class CheckpointValidation(ApiModel):
    """How checkpoints are proven before anybody needs them."""

    level: ValidationLevel = Field(
        default=ValidationLevel.METADATA,
        description="Listed: the service lists it, not empty. Metadata: base model and rank are the run's. Load: the "
        "service loads it, in a session apart that is finished afterwards. Archive: it is exported and its tensors "
        "are whole and finite. Each includes those before it.",
    )
    interval_seconds: int = Field(
        default=300,
        description="Load and Archive: at least so many seconds from the beginning of one proof to the next. Listed "
        "and Metadata are cheap, and done at every look.",
        ge=SHORTEST_INTERVAL_SECONDS,
        le=LONGEST_INTERVAL_SECONDS,
    )
