"""What the operator knows of a CheckpointPolicy: `status`, and the words that it is told in."""

from datetime import datetime
from enum import StrEnum

from pydantic import Field

from tinker_operator.api.export_status import ExportRecord
from tinker_operator.api.meta import ApiModel, Conditions
from tinker_operator.api.validation_status import PolicyValidationStatus, PublishingStatus

SHOWN_LIMIT = 20
"""Checkpoints that each list of status shows, the newest first; the counts tell of all."""
MARKED_LIMIT = 500
"""Checkpoints that wait out their grace period at a time."""


class KeepReason(StrEnum):
    """Why a checkpoint stays. Those after KeepNames are protections: no rule and no budget can take them away."""

    KEEP_LAST = "KeepLast"
    """One of the newest keepLast."""
    KEEP_BEST = "KeepBest"
    """One of the best by the metric of keepBest."""
    KEEP_EVERY_STEPS = "KeepEverySteps"
    """Its step is a multiple of keepEverySteps."""
    KEEP_WITHIN = "KeepWithin"
    """Saved within keepWithinSeconds before the newest."""
    KEEP_HOURLY = "KeepHourly"
    """The newest of one of the last keepHourly hours, or the oldest of all while there are fewer."""
    KEEP_DAILY = "KeepDaily"
    """The newest of one of the last keepDaily days, likewise."""
    KEEP_WEEKLY = "KeepWeekly"
    """The newest of one of the last keepWeekly ISO weeks, likewise."""
    KEEP_NAMES = "KeepNames"
    """keepNames has its name."""
    MINIMUM_GOOD = "MinimumGood"
    """Needed for the floor of good checkpoints."""
    NOT_VALIDATED = "NotValidated"
    """Has no verdict yet, and may be needed for the floor."""
    NO_METRIC = "NoMetric"
    """keepBest cannot tell how good it is: it has no such metric."""
    NO_STEP = "NoStep"
    """keepEverySteps cannot tell its step."""
    NEWEST = "Newest"
    """The newest of its type of its run."""
    CORRUPTED_RUN = "CorruptedRun"
    """The last checkpoint of a run that is corrupted or being recovered."""
    RECOVERY_IN_FLIGHT = "RecoveryInFlight"
    """A candidate of a recovery under way."""
    RECOVERY_SOURCE = "RecoverySource"
    """The present run was restored from it."""
    HANDED_OVER = "HandedOver"
    """The hand-over tells the training loop to resume from it."""
    SPECIFIC = "Specific"
    """A TrainingRun names it in spec.recovery.checkpoint."""
    BEGUN_FROM = "BegunFrom"
    """A TrainingRun names it in spec.run.create.from."""
    EXPORTING = "Exporting"
    """It is being exported, or waits for it."""
    PUBLISHED = "Published"
    """It is public: others may depend on it."""
    PINNED = "Pinned"
    """Its user_metadata says pinned."""
    FUTURE_TIME = "FutureTime"
    """Its time is in the future or unknown, so its age proves nothing."""
    VALIDATING = "Validating"
    """It is being loaded for a proof."""
    OTHER_POLICY = "OtherPolicy"
    """Another policy that governs the run keeps it, or only reports."""


class DueRule(StrEnum):
    """Why a checkpoint goes."""

    NOT_KEPT = "NotKept"
    """No rule and no protection keeps it."""
    MAX_TOTAL_BYTES = "MaxTotalBytes"
    """Rules would keep it, and maxTotalBytes has no room for it."""


class KeptCheckpoint(ApiModel):
    """A checkpoint that stays, and why."""

    path: str = Field(description="Path at the service.")
    time: datetime | None = Field(default=None, description="When it was saved.")
    training_run: str = Field(description="Name of the TrainingRun that it belongs to.")
    because: tuple[KeepReason, ...] = Field(description="Every rule and protection that keeps it.")


class DueCheckpoint(ApiModel):
    """A checkpoint that nothing keeps."""

    path: str = Field(description="Path at the service.")
    time: datetime | None = Field(default=None, description="When it was saved.")
    training_run: str = Field(description="Name of the TrainingRun that it belongs to.")
    size_bytes: int | None = Field(default=None, description="Size in bytes, if the service tells.")
    rule: DueRule = Field(default=DueRule.NOT_KEPT, description="Why it goes.")
    due_since: datetime | None = Field(
        default=None, description="Since when nothing keeps it, while it waits out its grace period."
    )


class NextDeletion(ApiModel):
    """A checkpoint that goes, or would go, among the next."""

    path: str = Field(description="Path at the service.")
    time: datetime | None = Field(default=None, description="When it was saved.")
    training_run: str = Field(description="Name of the TrainingRun that it belongs to.")
    size_bytes: int | None = Field(default=None, description="Size in bytes, if the service tells.")
    rule: DueRule = Field(description="Why it goes.")
    not_before: datetime | None = Field(default=None, description="When its grace period ends, if it has one.")


class MarkedCheckpoint(ApiModel):
    """A checkpoint that waits out its grace period."""

    path: str = Field(description="Path at the service.")
    time: datetime | None = Field(default=None, description="When it was saved; another time is another checkpoint.")
    size_bytes: int | None = Field(default=None, description="Size in bytes, likewise.")
    training_run: str = Field(description="Name of the TrainingRun that it belongs to.")
    due_since: datetime = Field(description="Since when nothing keeps it.")


class ExpiringCheckpoint(ApiModel):
    """A checkpoint that stays by the policy and yet expires within a day."""

    path: str = Field(description="Path at the service.")
    training_run: str = Field(description="Name of the TrainingRun that it belongs to.")
    expires_at: datetime = Field(description="When the service deletes it by itself.")


class DeletionCount(ApiModel):
    """Deletions of one minute."""

    minute: datetime = Field(description="Beginning of the minute.")
    count: int = Field(description="Deletions in it.")


class DeletingCheckpoint(ApiModel):
    """A checkpoint that this policy is about to delete; it stands here before it goes."""

    path: str = Field(description="Path at the service.")
    time: datetime | None = Field(default=None, description="When it was saved; another time is another checkpoint.")
    training_run: str = Field(description="Name of the TrainingRun that it belongs to.")
    size_bytes: int | None = Field(default=None, description="Size in bytes, if the service tells.")


class DeletedCheckpoint(ApiModel):
    """A checkpoint that this policy deleted."""

    path: str = Field(description="Path that it had.")
    time: datetime | None = Field(default=None, description="When it had been saved.")
    training_run: str = Field(description="Name of the TrainingRun that it belonged to.")
    deleted_at: datetime = Field(description="When it was deleted.")


class CheckpointPolicyStatus(ApiModel):
    """What the operator knows."""

    observed_generation: int = Field(default=-1, description="metadata.generation that status was computed from.")
    conditions: Conditions = Field(
        default=(), description="Ready, Reconciling, Stalled, Synced, Conflicted, Validated, Published, Exported."
    )
    training_runs: int = Field(default=0, description="TrainingRuns that the selector matches.")
    checkpoints: int = Field(default=0, description="Checkpoints of the governed types that they have.")
    kept_count: int = Field(default=0, description="How many of them stay.")
    due_count: int = Field(default=0, description="How many of them nothing keeps.")
    kept_bytes: int = Field(default=0, description="Bytes of those that stay, as far as the service tells sizes.")
    due_bytes: int = Field(default=0, description="Bytes of those that nothing keeps.")
    kept_by_reason: dict[str, int] = Field(
        default_factory=dict, description="How many of those that stay each reason keeps; one may have several."
    )
    due_by_rule: dict[str, int] = Field(default_factory=dict, description="How many of the others go for each reason.")
    expiring_count: int = Field(default=0, description="How many of those that stay expire within a day.")
    deleted_total: int = Field(default=0, description="Checkpoints that this policy has deleted; it only grows.")
    kept: tuple[KeptCheckpoint, ...] = Field(default=(), description="The newest twenty that stay, and why.")
    due: tuple[DueCheckpoint, ...] = Field(default=(), description="The newest twenty that nothing keeps.")
    next_deletions: tuple[NextDeletion, ...] = Field(
        default=(), description="The twenty that go next, or would go, in their order."
    )
    marked: tuple[MarkedCheckpoint, ...] = Field(
        default=(), description="Those that wait out gracePeriodSeconds, at most five hundred."
    )
    expiring: tuple[ExpiringCheckpoint, ...] = Field(
        default=(), description="The newest twenty that stay by the policy and expire within a day."
    )
    recent_deletions: tuple[DeletionCount, ...] = Field(
        default=(), description="Deletions of the last hour that had any, by minute: maxDeletionsPerHour counts them."
    )
    deleting: tuple[DeletingCheckpoint, ...] = Field(
        default=(),
        description="At most ten that go next, written before the first of them goes; each is judged once more, "
        "and one that something keeps by then is dropped from here.",
    )
    exports: tuple[ExportRecord, ...] = Field(
        default=(), description="Exports under way, and those of checkpoints that the service still lists; at most 500."
    )
    deleted: tuple[DeletedCheckpoint, ...] = Field(default=(), description="The last twenty deleted, oldest first.")
    validation: PolicyValidationStatus | None = Field(default=None, description="What spec.validation has found.")
    publishing: PublishingStatus | None = Field(default=None, description="What spec.publish has made public.")
