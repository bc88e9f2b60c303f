"""What a user wants of a training run: `spec` of a TrainingRun. The operator never writes it."""

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field, StringConstraints

from tinker_operator.api.meta import CHECKPOINT_PATTERN, GROUP, RUN_ID_PATTERN, SUBDOMAIN_PATTERN, ApiModel
from tinker_operator.api.rules import keys_in_words, pattern_in_words, rule, rules

MAX_ATTEMPTS_LIMIT = 20
"""Upper bound of maxAttempts, which also bounds status.recovery.attemptTimes."""

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


class RunSource(ApiModel):
    """Which run this is: exactly one form."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "[has(self.trainingRunId), has(self.create)].filter(x, x).size() == 1",
                "run: give exactly one of trainingRunId (adopt a run that exists) and create (the operator makes it)",
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


class RecoveryMode(StrEnum):
    """Who makes the successor of a corrupted run."""

    RECREATE = "Recreate"
    """The operator, in a session of its own."""


class BackoffType(StrEnum):
    """How the wait grows from one failed attempt to the next."""

    EXPONENTIAL = "Exponential"
    LINEAR = "Linear"
    CONSTANT = "Constant"


class CheckpointStrategy(StrEnum):
    """Which checkpoint a recovery starts from."""

    LATEST = "Latest"
    SPECIFIC = "Specific"


class Recovery(ApiModel):
    """How a corrupted run comes back."""

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
        description="Recreate: the operator makes the successor in a session of its own and hands the checkpoint over.",
    )
    max_attempts: int = Field(
        default=3, description="Attempts within attemptWindowSeconds before it gives up.", ge=1, le=MAX_ATTEMPTS_LIMIT
    )
    backoff_type: BackoffType = Field(
        default=BackoffType.EXPONENTIAL, description="How the wait between attempts grows."
    )
    backoff_seconds: int = Field(default=5, description="Wait after a failed attempt, in seconds.", ge=0, le=86400)
    max_backoff_seconds: int = Field(default=60, description="Longest wait, in seconds.", ge=0, le=86400)
    attempt_window_seconds: int = Field(
        default=86400,
        description="Attempts older than this, in seconds, are no longer counted: a healthy run regains its budget.",
        ge=60,
        le=31536000,
    )
    checkpoint_strategy: CheckpointStrategy = Field(
        default=CheckpointStrategy.LATEST,
        description="Latest: the newest training checkpoint that proves good. Specific: `checkpoint` only.",
    )
    checkpoint: CheckpointPath | None = Field(
        default=None, description="For Specific: the path, tinker://<run>/weights/<name>."
    )
    restore_optimizer: bool = Field(
        default=True, description="Restore the optimizer state with the weights, so that training goes on as before."
    )


class TrainingRunSpec(ApiModel):
    """What the user wants."""

    credentials_ref: CredentialsRef | None = Field(
        default=None, description="Secret with the key for the service. Absent: the operator's own key."
    )
    run: RunSource = Field(description="Which run this is: adopt one that exists, or create one.")
    recovery: Recovery = Field(default=Recovery(), description="How a corrupted run comes back.")
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
