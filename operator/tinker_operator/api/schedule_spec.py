"""When training loops save: `spec.schedule` of a CheckpointPolicy.

Only a loop can save its run, so the operator puts the schedule into the hand-over, where the trainer library keeps it.
"""

from enum import StrEnum

from pydantic import ConfigDict, Field

from tinker_operator.api.meta import ApiModel
from tinker_operator.api.recovery_spec import MetricMode, MetricName
from tinker_operator.api.rules import rule, rules

SAVE_EVERY_LIMIT = 1_000_000_000
SHORTEST_TTL_SECONDS = 3600
"""The service takes no shorter time to live."""
SECONDS_LIMIT = 315_360_000
"""Ten years: the longest time to live that the service takes."""


class ScheduleStrategy(StrEnum):
    """What makes a save due."""

    STEPS = "Steps"
    """Every saveEvery steps."""
    EPOCH = "Epoch"
    """Every saveEvery epochs, at the end of the epoch."""
    BEST = "Best"
    """Whenever the metric is better than at every save before."""
    LAST = "Last"
    """Only the end of the training, or of the loop."""
    ALL = "All"
    """Every step."""


class ScheduleMetric(ApiModel):
    """What makes one state of the training better than another."""

    name: MetricName = Field(description="Name under which the training loop tells it, for example loss.")
    mode: MetricMode = Field(default=MetricMode.MIN, description="Min: lower is better. Max: higher is better.")


class Schedule(ApiModel):
    """When the training loops of the governed TrainingRuns save."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "has(self.metric) || !(self.strategy == 'Best' || self.saveBest)",
                "metric: what is best is not said; give metric with the name under which the training loop tells it, "
                "for example metric: {name: loss, mode: Min}",
            ),
            rule(
                "!has(self.metric) || self.metric.name != 'step'",
                "metric.name: step is how far the training is and not how good; name what the loop measures, "
                "for example loss",
                path=".metric.name",
            ),
            rule(
                "!has(self.ttlSeconds) || self.ttlSeconds > self.minIntervalSeconds",
                "ttlSeconds: a checkpoint would be gone before the next may be saved; make it longer than "
                "minIntervalSeconds",
                path=".ttlSeconds",
            ),
        )
    )

    strategy: ScheduleStrategy = Field(
        default=ScheduleStrategy.STEPS,
        description="Steps, Epoch: every saveEvery of them. Best: when the metric is better than ever. Last: at the "
        "end of the training, or of the loop. All: every step.",
    )
    save_every: int = Field(
        default=100,
        description="Steps, or epochs with strategy Epoch, from one checkpoint to the next. The other strategies do "
        "not read it.",
        ge=1,
        le=SAVE_EVERY_LIMIT,
    )
    save_best: bool = Field(default=False, description="Save whenever the metric is better than ever, too.")
    metric: ScheduleMetric | None = Field(
        default=None, description="What makes one better than another; NaN and infinity are never best."
    )
    min_interval_seconds: int = Field(
        default=0,
        description="Time from one save to the next at least. A save that is due too early is made at the first step "
        "after it.",
        ge=0,
        le=SECONDS_LIMIT,
    )
    ttl_seconds: int | None = Field(
        default=None,
        description="How long the service keeps a checkpoint, at least an hour; absent: as the loop itself says.",
        ge=SHORTEST_TTL_SECONDS,
        le=SECONDS_LIMIT,
    )
    save_sampler: bool = Field(
        default=False, description="Save the weights for sampling beside each checkpoint, under the same name."
    )
