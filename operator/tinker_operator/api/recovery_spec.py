"""How a lost run comes back: `spec.recovery` of a TrainingRun."""

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field, StringConstraints

from tinker_operator.api.hook_spec import Hooks
from tinker_operator.api.meta import CHECKPOINT_PATTERN, ApiModel
from tinker_operator.api.rules import pattern_in_words, rule, rules

MAX_ATTEMPTS_LIMIT = 20
"""Upper bound of maxAttempts, which also bounds status.recovery.attemptTimes."""

CheckpointPath = Annotated[
    str,
    StringConstraints(max_length=1024, pattern=CHECKPOINT_PATTERN),
    Field(
        json_schema_extra=pattern_in_words(
            "checkpoint: not a path that training can resume from; write tinker://<run>/weights/<name>, "
            "as `tinker checkpoint list` shows it (sampler_weights cannot be trained)"
        )
    ),
]

MetricName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=63, pattern=r"^[A-Za-z_][A-Za-z0-9_.:/-]*$"),
    Field(
        json_schema_extra=pattern_in_words(
            "metric.name: not the name of a metric; write the key that the training loop saves, for example loss"
        )
    ),
]

NamePattern = Annotated[
    str,
    StringConstraints(min_length=1, max_length=253, pattern=r"^[A-Za-z0-9._*{}-]+$"),
    Field(
        json_schema_extra=pattern_in_words(
            "metric.namePattern: not a pattern of checkpoint names; write the name with {metric} where a number "
            "stands and * for anything, for example step-{step}-loss-{loss}"
        )
    ),
]


class RecoveryMode(StrEnum):
    """Who makes the successor of a lost run."""

    RECREATE = "Recreate"
    """The operator, in a session of its own."""
    RELAUNCH = "Relaunch"
    """The trainer Job, which the operator replaces by a new one."""
    HAND_OVER = "HandOver"
    """The user's own loop, which reads the hand-over."""


class BackoffType(StrEnum):
    """How the wait grows from one failed attempt to the next."""

    EXPONENTIAL = "Exponential"
    LINEAR = "Linear"
    CONSTANT = "Constant"


class Jitter(StrEnum):
    """Whether the waits of many runs that failed together are spread."""

    FULL = "Full"
    """Anything from nothing to the whole wait, fixed for each object and attempt."""
    NONE = "None"


class CheckpointStrategy(StrEnum):
    """Which checkpoint a recovery starts from."""

    LATEST = "Latest"
    BEST = "Best"
    SPECIFIC = "Specific"


class ValidationLevel(StrEnum):
    """How a checkpoint is proven before it is restored; each level includes those before it."""

    LISTED = "Listed"
    """The service lists it, not empty and not about to expire."""
    METADATA = "Metadata"
    """Base model and LoRA rank are the run's."""
    LOAD = "Load"
    """The service loads it. The load of mode Recreate is that proof; the other modes load it in a session apart."""
    ARCHIVE = "Archive"
    """It is exported, and its tensors are whole, of the right rank and finite."""


class OnMissing(StrEnum):
    """What is done about a run that complete listings of the service do not contain."""

    STALL = "Stall"
    RECOVER = "Recover"


class FailureClass(StrEnum):
    """Ways in which an attempt can fail."""

    CHECKPOINT_INVALID = "CheckpointInvalid"
    """No candidate could be restored."""
    BACKEND_UNAVAILABLE = "BackendUnavailable"
    """The service said that it failed itself."""
    TIMEOUT = "Timeout"
    """The service did not finish the load in time."""
    SESSION_LOST = "SessionLost"
    """The service ended the session of the attempt."""
    CONFLICT = "Conflict"
    """The successor is not what was asked for."""
    TRAINER_FAILED = "TrainerFailed"
    """The trainer Job failed."""


class MetricMode(StrEnum):
    """Which value is better."""

    MIN = "Min"
    MAX = "Max"


class Metric(ApiModel):
    """What makes one checkpoint better than another."""

    name: MetricName = Field(description="Key in the checkpoint's user_metadata, for example loss.")
    mode: MetricMode = Field(default=MetricMode.MIN, description="Min: the lowest value is best. Max: the highest.")
    name_pattern: NamePattern | None = Field(
        default=None,
        description="Where user_metadata has no such key: the value is read from the checkpoint's name, for example "
        "step-{step}-loss-{loss}. {word} stands for a number, * for anything.",
    )


class Recovery(ApiModel):
    """How a lost run comes back."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "self.checkpointStrategy != 'Specific' || has(self.checkpoint)",
                "checkpoint: checkpointStrategy Specific needs it; give tinker://<run>/weights/<name> or choose Latest",
                path=".checkpoint",
            ),
            rule(
                "self.checkpointStrategy == 'Specific' || !has(self.checkpoint)",
                "checkpoint: only checkpointStrategy Specific reads it; choose Specific, or remove checkpoint",
                path=".checkpoint",
            ),
            rule(
                "self.checkpointStrategy != 'Best' || has(self.metric)",
                "metric: checkpointStrategy Best needs it; give metric: {name: loss, mode: Min} or choose Latest",
                path=".metric",
            ),
            rule(
                "self.checkpointStrategy == 'Best' || !has(self.metric)",
                "metric: only checkpointStrategy Best reads it; choose Best, or remove metric",
                path=".metric",
            ),
            rule(
                "!has(self.metric) || !has(self.metric.namePattern) || "
                "self.metric.namePattern.contains('{' + self.metric.name + '}')",
                "metric.namePattern: does not hold the metric; write {<name of the metric>} where its value stands",
                path=".metric.namePattern",
            ),
            rule(
                "self.backoffSeconds <= self.maxBackoffSeconds",
                "backoffSeconds: above maxBackoffSeconds; lower it, or raise maxBackoffSeconds",
                path=".backoffSeconds",
            ),
        )
    )

    enabled: bool = Field(
        default=False, description="Restore the run when the service flags it as corrupted. Never restarted unasked."
    )
    mode: RecoveryMode = Field(
        default=RecoveryMode.RECREATE,
        description="Recreate: the operator makes the successor in a session of its own and hands the checkpoint over. "
        "Relaunch: it replaces the Job of spec.trainer, whose loop makes the successor. "
        "HandOver: it hands the checkpoint over and waits for your loop to make the successor.",
    )
    max_attempts: int = Field(
        default=3, description="Attempts within attemptWindowSeconds before it gives up.", ge=1, le=MAX_ATTEMPTS_LIMIT
    )
    retry_on: tuple[FailureClass, ...] = Field(
        default=tuple(FailureClass),
        description="Failures after which another attempt is made; any other one gives up at once.",
        max_length=len(FailureClass),
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    backoff_type: BackoffType = Field(
        default=BackoffType.EXPONENTIAL, description="How the wait between attempts grows."
    )
    backoff_seconds: int = Field(default=5, description="Wait after a failed attempt, in seconds.", ge=0, le=86400)
    max_backoff_seconds: int = Field(default=60, description="Longest wait, in seconds.", ge=0, le=86400)
    jitter: Jitter = Field(
        default=Jitter.FULL,
        description="Full: the wait is anything up to that, so that runs that failed together do not come back "
        "together. None: it is exactly that.",
    )
    attempt_window_seconds: int = Field(
        default=86400,
        description="Attempts older than this, in seconds, are no longer counted: a healthy run regains its budget.",
        ge=60,
        le=31536000,
    )
    checkpoint_strategy: CheckpointStrategy = Field(
        default=CheckpointStrategy.LATEST,
        description="Latest: the newest training checkpoint that proves good. Best: the best by `metric`, of equal "
        "ones the newer; where no checkpoint carries the metric, the latest. Specific: `checkpoint` only.",
    )
    checkpoint: CheckpointPath | None = Field(
        default=None, description="For Specific: the path, tinker://<run>/weights/<name>."
    )
    metric: Metric | None = Field(default=None, description="For Best: what makes a checkpoint better.")
    validation: ValidationLevel = Field(
        default=ValidationLevel.METADATA,
        description="How a checkpoint is proven before it is restored. Listed: the service lists it. Metadata: base "
        "model and rank are the run's. Load: the service loads it. Archive: it is exported and its tensors are whole "
        "and finite.",
    )
    restore_optimizer: bool = Field(
        default=True, description="Restore the optimizer state with the weights, so that training goes on as before."
    )
    on_missing: OnMissing = Field(
        default=OnMissing.STALL,
        description="A run that complete listings of the service do not contain. Stall: wait for a person. "
        "Recover: restore it like a corrupted one.",
    )
    on_recovery: Hooks = Field(default=(), description="Called after each recovery, when the hand-over is written.")
    on_failure: Hooks = Field(default=(), description="Called when recovery has given up.")
