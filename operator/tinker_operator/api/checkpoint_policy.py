"""CheckpointPolicy: which checkpoints of which runs stay at the service, and which go.

Only training checkpoints are governed. Rules are ORed: a checkpoint that any rule or any protection keeps is kept.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field, StringConstraints

from tinker_operator.api.meta import GROUP, VERSION, ApiModel, Conditions, ObjectMeta
from tinker_operator.api.rules import keys_in_words, pattern_in_words, required_in_words, rule

SHOWN_LIMIT = 20
"""Checkpoints that each list of status shows, the newest first; the counts tell of all."""

LabelKey = Annotated[str, StringConstraints(min_length=1, max_length=317)]
LabelValue = Annotated[
    str,
    StringConstraints(max_length=63, pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$"),
    Field(
        json_schema_extra=pattern_in_words(
            "matchLabels: no object can carry this label value; write letters, digits, -, _ and ., "
            "with a letter or digit at both ends"
        )
    ),
]
LABEL_KEY_RULES = keys_in_words(
    rule(
        "self.all(k, k.size() <= 317 && "
        "k.matches(r'^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$'))",
        "matchLabels: no object can carry one of these label keys; write <name> or <domain>/<name>, "
        "the name of at most 63 letters, digits, -, _ and .",
    )
)


class RunSelector(ApiModel):
    """Which TrainingRuns of the namespace are governed."""

    model_config = ConfigDict(
        json_schema_extra=required_in_words(
            "matchLabels",
            "selector: matchLabels is missing; name the labels of the TrainingRuns, or write matchLabels: {} "
            "for every TrainingRun of the namespace",
        )
    )

    match_labels: dict[LabelKey, LabelValue] = Field(
        description="Labels that a TrainingRun of this namespace must carry; all of them. "
        "An empty map selects every TrainingRun of the namespace.",
        max_length=32,
        json_schema_extra=LABEL_KEY_RULES,
    )


class RetentionAction(StrEnum):
    """What is done with a checkpoint that nothing keeps."""

    REPORT = "Report"
    """It is shown in status and nothing is deleted."""
    DELETE = "Delete"
    """It is deleted, unless another policy that governs the run does not say so too."""


class Retention(ApiModel):
    """Which checkpoints stay."""

    action: RetentionAction = Field(
        default=RetentionAction.REPORT,
        description="Report: show what would go. Delete: delete it. Begin with Report and read status.due.",
    )
    keep_last: int = Field(
        description="Keep this many of the newest training checkpoints of each TrainingRun, over its whole lineage.",
        ge=1,
        le=10000,
    )
    minimum_good: int = Field(
        default=1,
        description="Floor: this many good training checkpoints (not empty, not expired, never refused by a load) "
        "stay whatever the rules say.",
        ge=1,
        le=10000,
    )


class CheckpointPolicySpec(ApiModel):
    """What the user wants."""

    selector: RunSelector = Field(description="Which TrainingRuns of this namespace are governed.")
    retention: Retention = Field(description="Which of their checkpoints stay.")
    suspend: bool = Field(default=False, description="Delete nothing; the plan is still shown.")


class KeepReason(StrEnum):
    """Why a checkpoint stays. Those after KeepLast are protections: no rule can take them away."""

    KEEP_LAST = "KeepLast"
    """One of the newest keepLast."""
    MINIMUM_GOOD = "MinimumGood"
    """Needed for the floor of good checkpoints."""
    NEWEST = "Newest"
    """The newest training checkpoint of its run."""
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
    PUBLISHED = "Published"
    """It is public: others may depend on it."""
    PINNED = "Pinned"
    """Its user_metadata says pinned."""
    FUTURE_TIME = "FutureTime"
    """Its time is in the future or unknown, so its age proves nothing."""
    OTHER_POLICY = "OtherPolicy"
    """Another policy that governs the run keeps it, or only reports."""


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
    conditions: Conditions = Field(default=(), description="Ready, Reconciling, Stalled and Synced.")
    training_runs: int = Field(default=0, description="TrainingRuns that the selector matches.")
    checkpoints: int = Field(default=0, description="Training checkpoints that they have.")
    kept_count: int = Field(default=0, description="How many of them stay.")
    due_count: int = Field(default=0, description="How many of them nothing keeps.")
    kept_bytes: int = Field(default=0, description="Bytes of those that stay, as far as the service tells sizes.")
    due_bytes: int = Field(default=0, description="Bytes of those that nothing keeps.")
    deleted_total: int = Field(default=0, description="Checkpoints that this policy has deleted; it only grows.")
    kept: tuple[KeptCheckpoint, ...] = Field(default=(), description="The newest twenty that stay, and why.")
    due: tuple[DueCheckpoint, ...] = Field(default=(), description="The newest twenty that nothing keeps.")
    deleting: tuple[DeletingCheckpoint, ...] = Field(
        default=(),
        description="At most ten that go next, written before the first of them goes; each is judged once more, "
        "and one that something keeps by then is dropped from here.",
    )
    deleted: tuple[DeletedCheckpoint, ...] = Field(default=(), description="The last twenty deleted, oldest first.")


class CheckpointPolicy(ApiModel):
    """A policy for the checkpoints of training runs."""

    api_version: str = f"{GROUP}/{VERSION}"
    kind: str = "CheckpointPolicy"
    metadata: ObjectMeta
    spec: CheckpointPolicySpec
    status: CheckpointPolicyStatus = CheckpointPolicyStatus()
