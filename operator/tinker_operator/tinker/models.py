"""What the Tinker service says, as frozen types; read by the client, handed to everybody else.

Tolerant where a dialect is harmless: unknown fields are ignored, absent optional ones have a default, a timestamp
without a zone is UTC, a metadata value that is no text becomes its JSON text. Strict where a wrong reading would cause
a wrong act: a field of another type than the wire's is an error, above all `corrupted`, on which recovery hangs.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator

MAX_INTEGER: Final = 2**63 - 1


class CheckpointType(StrEnum):
    """What the service says a checkpoint is for."""

    TRAINING = "training"
    SAMPLER = "sampler"
    EXTERNAL = "external"
    UNKNOWN = "unknown"
    """Absent, or a word this version does not know: kept, never trained from, never deleted."""


_TYPES: Final = {str(known): known for known in CheckpointType}


def _known_type(value: object) -> object:
    """Read an unknown word as UNKNOWN; leave what is no word to be refused."""
    if value is None:
        return CheckpointType.UNKNOWN
    if isinstance(value, str):
        return _TYPES.get(value, CheckpointType.UNKNOWN)
    return value


def in_utc(value: datetime) -> datetime:
    """Read a time without a zone as UTC, and any other in UTC."""
    if value.tzinfo is None:
        return value.replace(tzinfo=UTC)
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("lies outside the calendar") from None


def _as_text_mapping(value: object) -> object:
    """Read null as empty and a value that is no text as its JSON text; leave what is no mapping to be refused."""
    if value is None:
        return {}
    if isinstance(value, Mapping):
        return {key: item if isinstance(item, str) else json.dumps(item) for key, item in value.items()}
    return value


Text = Annotated[str, Field(min_length=1)]
Count = Annotated[int, Field(ge=0, le=MAX_INTEGER)]
UtcTime = Annotated[datetime, AfterValidator(in_utc)]
Metadata = Annotated[dict[str, str], BeforeValidator(_as_text_mapping)]
KnownType = Annotated[CheckpointType, BeforeValidator(_known_type)]


class WireModel(BaseModel):
    """Frozen, ignoring fields it does not know, coercing nothing."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, protected_namespaces=())


class Checkpoint(WireModel):
    """A stored checkpoint. The service has no call for a single one: list the run and select."""

    checkpoint_id: Text
    checkpoint_type: KnownType = CheckpointType.UNKNOWN
    time: UtcTime | None = None
    tinker_path: Text
    size_bytes: Count | None = None
    public: bool = False
    user_metadata: Metadata = Field(default_factory=dict)
    expires_at: UtcTime | None = None
    """When the service will drop it; None is never."""


class TrainingRun(WireModel):
    """A run at the service. `corrupted` is either a JSON boolean or the answer is refused."""

    training_run_id: Text
    base_model: str
    model_owner: str = ""
    is_lora: bool
    lora_rank: Count | None = None
    corrupted: bool = False
    last_request_time: UtcTime | None = None
    last_checkpoint: Checkpoint | None = None
    """The newest that training can go on from."""
    last_sampler_checkpoint: Checkpoint | None = None
    user_metadata: Metadata = Field(default_factory=dict)


class ModelInfo(WireModel):
    """What a live model is; None where the service does not say."""

    model_id: Text
    base_model: str | None = None
    is_lora: bool | None = None
    lora_rank: Count | None = None


class WeightsInfo(WireModel):
    """What a checkpoint was trained as; None where the service does not say."""

    base_model: str
    is_lora: bool
    lora_rank: Count | None = None
    train_unembed: bool | None = None
    train_mlp: bool | None = None
    train_attn: bool | None = None


class LoraConfig(WireModel):
    """The adapter to train; the defaults are those of the official client."""

    rank: Annotated[int, Field(ge=1, le=MAX_INTEGER)]
    seed: int | None = None
    train_unembed: bool = True
    train_mlp: bool = True
    train_attn: bool = True


class SupportedModel(WireModel):
    """A base model that the service offers; None where it does not say."""

    model_name: str | None = None
    max_context_length: Count | None = None
    trainable: bool | None = None
    sampleable: bool | None = None


class ServerCapabilities(WireModel):
    """What the service offers."""

    supported_models: tuple[SupportedModel, ...]


class Health(WireModel):
    """The service's word about itself."""

    status: Text


class Cursor(WireModel):
    """Where a page stands in its listing. A count of 0 or None is a dialect's way not to say."""

    offset: Count | None = None
    limit: Count | None = None
    total_count: Count | None = None


class TrainingRunPage(WireModel):
    """One page of runs."""

    training_runs: tuple[TrainingRun, ...]
    cursor: Cursor | None = None


class CheckpointPage(WireModel):
    """The checkpoints of a run, which official services give whole."""

    checkpoints: tuple[Checkpoint, ...]
    cursor: Cursor | None = None


class SessionMade(WireModel):
    """Answer to `create_session`."""

    session_id: Text


class TokenMade(WireModel):
    """Answer to `auth/token`."""

    jwt: Annotated[SecretStr, Field(min_length=1)]


class FutureSubmitted(WireModel):
    """Answer to a call whose work takes time."""

    request_id: Text
    model_id: str | None = None
    sample_sequence_ids: tuple[str, ...] | None = None


class ModelMade(WireModel):
    """Result of `create_model`."""

    model_id: Text


class WeightsLoaded(WireModel):
    """Result of `load_weights`; the official client computes the id itself, other services answer one."""

    model_id: str | None = None
    path: str | None = None


class FutureAnswer(WireModel):
    """What an answer to a poll may say beside the result itself; not shown, since the text is not yet cleaned."""

    type: Any = None
    status: Any = None
    error: Any = Field(default=None, repr=False)
    category: Any = Field(default=None, repr=False)

    @model_validator(mode="before")
    @classmethod
    def _failure_in_other_words(cls, answer: Any) -> Any:
        """Read the cause of a failure that is told by its type alone; a result may well have a message."""
        if isinstance(answer, dict) and answer.get("type") == "request_failed" and answer.get("error") is None:
            return {**answer, "error": answer.get("message") or answer.get("detail")}
        return answer


class ModelDescription(WireModel):
    """The inner part of `get_info`; its `model_name` is the base model."""

    model_name: str | None = None


class ModelInfoAnswer(WireModel):
    """Answer to `get_info` as it stands on the wire."""

    model_id: Text
    model_data: ModelDescription = Field(default_factory=ModelDescription)
    model_name: str | None = None
    is_lora: bool | None = None
    lora_rank: Count | None = None

    def read(self) -> ModelInfo:
        """Flatten to what callers ask for."""
        return ModelInfo(
            model_id=self.model_id,
            base_model=self.model_data.model_name or self.model_name,
            is_lora=self.is_lora,
            lora_rank=self.lora_rank,
        )
