"""Which checkpoints stay: `spec.retention` of a CheckpointPolicy.

Rules are ORed: a checkpoint that any of them keeps is kept. `maxTotalBytes` and the floor are no rules: the one lets go
of what rules alone keep, the other holds whatever the rules say.
"""

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field, StringConstraints

from tinker_operator.api.meta import ApiModel
from tinker_operator.api.recovery_spec import Metric
from tinker_operator.api.rules import pattern_in_words, rule, rules

COUNT_LIMIT = 10000
"""Upper bound of every count: more checkpoints of one run than anybody has."""
SECONDS_LIMIT = 315_360_000
"""Upper bound of every duration: ten years."""
STEPS_LIMIT = 1_000_000_000_000
BYTES_LIMIT = 2**53
"""The largest size that every JSON reader takes for what it is."""
NAMES_LIMIT = 32

NameGlob = Annotated[
    str,
    StringConstraints(min_length=1, max_length=253, pattern=r"^[A-Za-z0-9._*?-]+$"),
    Field(
        json_schema_extra=pattern_in_words(
            "keepNames: no checkpoint can have such a name; write the name, with * for anything and ? for one "
            "character, for example final*"
        )
    ),
]

StepPattern = Annotated[
    str,
    StringConstraints(min_length=1, max_length=253, pattern=r"^[A-Za-z0-9._*{}-]*\{step\}[A-Za-z0-9._*{}-]*$"),
    Field(
        json_schema_extra=pattern_in_words(
            "namePattern: does not tell where the step stands; write the name with {step} there and * for anything, "
            "for example step-{step}"
        )
    ),
]


class RetentionAction(StrEnum):
    """What is done with a checkpoint that nothing keeps."""

    REPORT = "Report"
    """It is shown in status and nothing is deleted."""
    DELETE = "Delete"
    """It is deleted, unless another policy that governs the run does not say so too."""


class CheckpointType(StrEnum):
    """What a checkpoint can be used for; one of a type that the service alone knows is never governed."""

    TRAINING = "Training"
    """Training can resume from it: weights and optimizer state."""

    SAMPLER = "Sampler"
    """Weights to sample from."""

    EXTERNAL = "External"
    """Weights that were saved to be taken elsewhere."""


class KeepBest(ApiModel):
    """The best stay."""

    count: int = Field(description="How many of the best stay.", ge=1, le=COUNT_LIMIT)
    metric: Metric = Field(
        description="What makes one better than another. NaN and infinity are never best; a checkpoint without the "
        "metric stays, because nothing tells how good it is."
    )


RULE_FIELDS = (
    "keepLast",
    "keepBest",
    "keepEverySteps",
    "keepWithinSeconds",
    "keepHourly",
    "keepDaily",
    "keepWeekly",
    "keepNames",
)
"""Fields that keep something; a policy has one of them at least."""


class Retention(ApiModel):
    """Which checkpoints stay."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                " || ".join(f"has(self.{name})" for name in RULE_FIELDS),
                "retention: keeps nothing but the floor; give at least one rule: keepLast, keepBest, keepEverySteps, "
                "keepWithinSeconds, keepHourly, keepDaily, keepWeekly or keepNames",
            ),
            rule(
                "!has(self.namePattern) || has(self.keepEverySteps)",
                "namePattern: only keepEverySteps reads it; add keepEverySteps, or write keepBest.metric.namePattern",
                path=".namePattern",
            ),
        )
    )

    action: RetentionAction = Field(
        default=RetentionAction.REPORT,
        description="Report: show what would go. Delete: delete it. Begin with Report and read status.due.",
    )
    checkpoint_types: Annotated[
        tuple[CheckpointType, ...], Field(json_schema_extra={"x-kubernetes-list-type": "set"})
    ] = Field(
        default=(CheckpointType.TRAINING,),
        description="Which types of checkpoints are governed; what is of another type is never touched. Rules count "
        "each type by itself, so that a sampler checkpoint never takes the place of a training checkpoint.",
        min_length=1,
        max_length=len(CheckpointType),
    )
    keep_last: int | None = Field(
        default=None,
        description="Keep this many of the newest checkpoints of each type of each TrainingRun, over its whole "
        "lineage, as all rules count.",
        ge=1,
        le=COUNT_LIMIT,
    )
    keep_best: KeepBest | None = Field(default=None, description="Keep the best by a metric.")
    keep_every_steps: int | None = Field(
        default=None,
        description="Keep every checkpoint whose step is a multiple of this. The step is user_metadata step, else what "
        "namePattern finds; a checkpoint without a step stays.",
        ge=1,
        le=STEPS_LIMIT,
    )
    name_pattern: StepPattern | None = Field(
        default=None,
        description="Where user_metadata has no step: the name with {step} where it stands and * for anything, for "
        "example step-{step}. Default: metric.namePattern of keepBest.",
    )
    keep_within_seconds: int | None = Field(
        default=None,
        description="Keep what was saved within this time before the newest checkpoint, so that a run that stands "
        "still keeps its own.",
        ge=1,
        le=SECONDS_LIMIT,
    )
    keep_hourly: int | None = Field(
        default=None,
        description="Keep the newest of each of the last so many hours (UTC) that have a checkpoint; while there are "
        "fewer hours than that, the oldest checkpoint too.",
        ge=1,
        le=COUNT_LIMIT,
    )
    keep_daily: int | None = Field(
        default=None,
        description="Keep the newest of each of the last so many days (UTC) that have a checkpoint, likewise.",
        ge=1,
        le=COUNT_LIMIT,
    )
    keep_weekly: int | None = Field(
        default=None,
        description="Keep the newest of each of the last so many ISO weeks (UTC) that have a checkpoint, likewise.",
        ge=1,
        le=COUNT_LIMIT,
    )
    keep_names: Annotated[tuple[NameGlob, ...], Field(json_schema_extra={"x-kubernetes-list-type": "set"})] | None = (
        Field(
            default=None,
            description="Keep checkpoints with these names; * is anything, ? one character.",
            min_length=1,
            max_length=NAMES_LIMIT,
        )
    )
    max_total_bytes: int | None = Field(
        default=None,
        description="Upper bound of the bytes that this policy keeps of a TrainingRun, over all its "
        "checkpointTypes. Beyond it what rules alone keep goes, other types before training checkpoints, oldest "
        "first; never what is protected, nor the floor. An unknown size counts as nothing.",
        ge=1,
        le=BYTES_LIMIT,
    )
    minimum_good: int = Field(
        default=1,
        description="Floor: this many good training checkpoints (not empty, not expired, never refused by a load) "
        "stay whatever the rules say.",
        ge=1,
        le=COUNT_LIMIT,
    )
    grace_period_seconds: int = Field(
        default=0,
        description="A checkpoint goes when nothing has kept it for this long; until then it is shown in "
        "status.marked, and a change that keeps it again takes the mark away. At most 500 are marked at a time.",
        ge=0,
        le=SECONDS_LIMIT,
    )
    max_deletions_per_hour: int = Field(
        default=50,
        description="At most so many deletions within any hour, counted over all TrainingRuns of the policy.",
        ge=1,
        le=1_000_000,
    )
    extend_ttl: bool = Field(
        default=False,
        description="Take away the expiry of a checkpoint that stays, within the last day before it. Only with action "
        "Delete; Report changes nothing at the service.",
        alias="extendTTL",
    )
