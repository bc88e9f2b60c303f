"""CheckpointPolicy: which checkpoints of which runs stay at the service, which go, and when there are new ones.

Training checkpoints are governed, and other types where `checkpointTypes` names them. Rules are ORed: a checkpoint that
any rule or any protection keeps is kept.
"""

from typing import Annotated

from pydantic import ConfigDict, Field, StringConstraints

from tinker_operator.api.export_spec import BEST_EXPORT_NEEDS_A_METRIC, EXPORT_NEEDS_TRAINING, Export
from tinker_operator.api.meta import GROUP, VERSION, ApiModel, ObjectMeta
from tinker_operator.api.policy_status import CheckpointPolicyStatus
from tinker_operator.api.publish_spec import BEST_NEEDS_A_METRIC, PUBLISH_NEEDS_TRAINING, Publish
from tinker_operator.api.retention_spec import Retention
from tinker_operator.api.rules import keys_in_words, pattern_in_words, required_in_words, rule, rules
from tinker_operator.api.schedule_spec import Schedule
from tinker_operator.api.validation_spec import CheckpointValidation

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


class CheckpointPolicySpec(ApiModel):
    """What the user wants."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            BEST_NEEDS_A_METRIC, BEST_EXPORT_NEEDS_A_METRIC, EXPORT_NEEDS_TRAINING, PUBLISH_NEEDS_TRAINING
        )
    )

    selector: RunSelector = Field(description="Which TrainingRuns of this namespace are governed.")
    retention: Retention = Field(description="Which of their checkpoints stay.")
    schedule: Schedule | None = Field(
        default=None,
        description="When their training loops save, through the hand-over. Of several policies with a schedule the "
        "oldest decides. Absent: as each loop itself says.",
    )
    validation: CheckpointValidation | None = Field(
        default=None, description="Prove checkpoints in the background, before anybody needs them. Absent: do not."
    )
    publish: Publish = Field(
        default=Publish.NONE,
        description="Which training checkpoint of each TrainingRun everybody may read, load and sample from. Best: the "
        "best by retention.keepBest.metric. Latest: the newest. None: this policy publishes nothing, and takes back "
        "what it published.",
    )
    export: Export | None = Field(default=None, description="Which checkpoints are exported, and where to.")
    suspend: bool = Field(
        default=False,
        description="Delete, prove and publish nothing, and take nothing back; the plan is still shown, and the "
        "schedule still holds.",
    )


class CheckpointPolicy(ApiModel):
    """A policy for the checkpoints of training runs."""

    api_version: str = f"{GROUP}/{VERSION}"
    kind: str = "CheckpointPolicy"
    metadata: ObjectMeta
    spec: CheckpointPolicySpec
    status: CheckpointPolicyStatus = CheckpointPolicyStatus()
