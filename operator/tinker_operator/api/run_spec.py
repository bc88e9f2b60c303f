"""What a user wants of a training run: `spec` of a TrainingRun. The operator never writes it."""

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field, StringConstraints

from tinker_operator.api.hook_spec import JobTemplate
from tinker_operator.api.meta import GROUP, RUN_ID_PATTERN, SUBDOMAIN_PATTERN, ApiModel
from tinker_operator.api.recovery_spec import CheckpointPath, Recovery
from tinker_operator.api.rules import keys_in_words, pattern_in_words, rule, rules

RunId = Annotated[
    str,
    StringConstraints(max_length=253, pattern=RUN_ID_PATTERN),
    Field(
        json_schema_extra=pattern_in_words(
            "trainingRunId: not the id of a run; write it as `tinker run list` shows it, "
            "without tinker://, slashes or spaces"
        )
    ),
]

SecretName = Annotated[
    str,
    StringConstraints(max_length=253, pattern=SUBDOMAIN_PATTERN),
    Field(
        json_schema_extra=pattern_in_words(
            "credentialsRef.name: not the name of a Secret; write lower case letters, digits, - and ., "
            "and no namespace: the Secret is read from the TrainingRun's own"
        )
    ),
]


class CredentialsRef(ApiModel):
    """Where the key for the service lies."""

    name: SecretName = Field(
        description=(
            "Name of a Secret of this namespace with TINKER_API_KEY, and optionally TINKER_BASE_URL and ca.crt. "
            "It is read again at every poll, so a rotated key needs no restart."
        )
    )


class Lora(ApiModel):
    """Which LoRA adapter is trained."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "self.trainMLP || self.trainAttention || self.trainUnembed",
                "lora: trainMLP, trainAttention and trainUnembed are all false, so nothing would train; "
                "set one to true",
            )
        )
    )

    rank: int = Field(description="LoRA rank: the inner dimension of the adapter.", ge=1, le=1024)
    seed: int | None = Field(default=None, description="Seed of the adapter's initial weights; random if absent.")
    train_mlp: bool = Field(default=True, alias="trainMLP", description="Adapt the MLP layers.")
    train_attention: bool = Field(default=True, description="Adapt the attention layers.")
    train_unembed: bool = Field(default=True, description="Adapt the unembedding layer.")


MetadataKey = Annotated[str, StringConstraints(min_length=1, max_length=253)]

MetadataValue = Annotated[str, StringConstraints(max_length=1024)]

UserMetadata = Annotated[
    dict[MetadataKey, MetadataValue],
    Field(
        max_length=32,
        json_schema_extra=keys_in_words(
            rule(
                "self.all(k, k.size() >= 1 && k.size() <= 253)",
                "userMetadata: a key is empty or longer than 253 characters; choose another key",
            ),
            rule(
                f"self.all(k, !k.startsWith('{GROUP}/'))",
                f"userMetadata: keys that start with {GROUP}/ are the operator's; choose another key",
            ),
        ),
    ),
]


class RestoreSource(ApiModel):
    """A checkpoint that a new run begins with."""

    checkpoint: CheckpointPath = Field(description="The path, tinker://<run>/weights/<name>. No policy deletes it.")
    restore_optimizer: bool = Field(default=True, description="Restore the optimizer state with the weights.")


class CreateRun(ApiModel):
    """A run that the operator makes."""

    base_model: Annotated[str, StringConstraints(min_length=1, max_length=253)] = Field(
        description="Base model as the service names it, for example Qwen/Qwen3-8B."
    )
    lora: Lora = Field(description="The adapter to train.")
    user_metadata: UserMetadata | None = Field(
        default=None,
        description="Metadata that the run carries at the service, beside the operator's own keys.",
    )
    source: RestoreSource | None = Field(
        default=None,
        alias="from",
        description="Begin with a checkpoint instead of fresh weights. It must be of this base model and rank.",
    )


class DiscoverRun(ApiModel):
    """A run that somebody else makes, known by its metadata at the service."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "self.userMetadata.size() > 0",
                "discover.userMetadata: empty, which every run matches; name at least one key that only this run has",
                path=".userMetadata",
            )
        )
    )

    user_metadata: UserMetadata = Field(
        description="Metadata that the run carries at the service; all of it. Of several runs the one used last."
    )


class RunSource(ApiModel):
    """Which run this is: exactly one form."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "[has(self.trainingRunId), has(self.create), has(self.discover)].filter(x, x).size() == 1",
                "run: give exactly one of trainingRunId (adopt a run that exists), create (the operator makes it) and "
                "discover (the newest run with this metadata)",
            )
        )
    )

    training_run_id: RunId | None = Field(
        default=None,
        description="Adopt: watch and recover the run with this id, as `tinker run list` shows it, "
        "for example 3f2a…:train:0. Change it to follow another run.",
    )
    create: CreateRun | None = Field(
        default=None, description="Create: the operator makes the run. Immutable once the run exists."
    )
    discover: DiscoverRun | None = Field(
        default=None,
        description="Discover: watch and recover the newest run that carries this metadata. A newer one is followed "
        "when the present one is lost, or has not been used for ten minutes.",
    )


class Trainer(ApiModel):
    """The training loop as a Job."""

    template: JobTemplate = Field(
        description="A batch/v1 JobTemplateSpec. Its containers get the hand-over as a file, the number of the attempt "
        "and the key from the Secret; completions and parallelism must be 1."
    )


class ManagementPolicy(StrEnum):
    """What the operator may do."""

    FULL = "Full"
    OBSERVE_ONLY = "ObserveOnly"


class DeletionPolicy(StrEnum):
    """What is left at the service when the TrainingRun is deleted."""

    RETAIN = "Retain"
    DELETE = "Delete"


class TrainingRunSpec(ApiModel):
    """What the user wants."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "!has(self.recovery) || self.recovery.mode != 'Relaunch' || has(self.trainer)",
                "trainer: recovery.mode Relaunch needs it; give the training loop as trainer.template, or choose "
                "another mode",
                path=".trainer",
            ),
            rule(
                "!has(self.trainer) || (has(self.recovery) && self.recovery.mode == 'Relaunch')",
                "trainer: only recovery.mode Relaunch reads it; choose Relaunch, or remove trainer",
                path=".trainer",
            ),
        )
    )

    credentials_ref: CredentialsRef | None = Field(
        default=None, description="Secret with the key for the service. Absent: the operator's own key."
    )
    run: RunSource = Field(description="Which run this is: adopt one that exists, create one, or discover one.")
    recovery: Recovery = Field(default=Recovery(), description="How a lost run comes back.")
    trainer: Trainer | None = Field(default=None, description="For Relaunch: the training loop, run by Kubernetes.")
    poll_interval_seconds: int = Field(
        default=30,
        description="How often, in seconds, the service is asked about the run. "
        "Runs that share a key share the question, at the shortest interval of them.",
        ge=1,
        le=3600,
    )
    suspend: bool = Field(
        default=False, description="Hold every action back. The run is still observed, and its session kept alive."
    )
    management_policy: ManagementPolicy = Field(
        default=ManagementPolicy.FULL,
        description="Full: the run is kept alive. ObserveOnly: nothing is ever done, not even a hand-over written; "
        "status tells what is seen.",
    )
    deletion_policy: DeletionPolicy = Field(
        default=DeletionPolicy.RETAIN,
        description="When this TrainingRun is deleted. Retain: everything at the service stays. Delete: the training "
        "checkpoints of its runs go, but for published, pinned and referenced ones; deletion waits for that.",
    )
