"""What the simulator remembers, as values: sessions, runs, checkpoints, futures and samplers.

Storage reads and writes them, the executor changes them, `wireform` shows them to clients.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from tinker_simulator.learning.adapter import AdapterConfig

DEFAULT_PROJECT = "default"


class Kind(StrEnum):
    """The middle part of a checkpoint's path."""

    WEIGHTS = "weights"
    SAMPLER_WEIGHTS = "sampler_weights"
    EXTERNAL_WEIGHTS = "external_weights"


class Operation(StrEnum):
    """What a future will do; the value is the result's `type` on the wire where it has one."""

    CREATE_MODEL = "create_model"
    CREATE_FROM_WEIGHTS = "create_from_weights"
    LOAD_WEIGHTS = "load_weights"
    FORWARD_BACKWARD = "forward_backward"
    OPTIM_STEP = "optim_step"
    SAVE_WEIGHTS = "save_weights"
    SAVE_WEIGHTS_FOR_SAMPLER = "save_weights_for_sampler"
    SAVE_WEIGHTS_EXTERNAL = "save_weights_external"
    SAMPLE = "sample"


class FailureCategory(StrEnum):
    """Whose fault a failed future is."""

    USER = "user"
    SERVER = "server"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """One client's connection to the service."""

    session_id: str
    owner: str
    created_at: datetime
    user_metadata: Mapping[str, str] | None = None
    display_name: str | None = None
    project_id: str = DEFAULT_PROJECT
    idempotency_key: str | None = None
    finished_reason: str | None = None
    finished_detail: str | None = None
    last_seen_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One training run (a model); `lost` runs exist for nobody any more."""

    run_id: str
    session_id: str
    model_seq_id: int
    owner: str
    config: AdapterConfig
    created_at: datetime
    last_request_time: datetime
    user_metadata: Mapping[str, str] | None = None
    corrupted: bool = False
    lost: bool = False


@dataclass(frozen=True, slots=True)
class CheckpointRecord:
    """One named checkpoint; `file` is relative to the archive and names the content, which may be broken."""

    run_id: str
    kind: Kind
    name: str
    owner: str
    created_at: datetime
    size_bytes: int
    file: str
    config: AdapterConfig
    public: bool = False
    user_metadata: Mapping[str, str] | None = None
    expires_at: datetime | None = None

    @property
    def checkpoint_id(self) -> str:
        """The id as the REST routes spell it, kind included."""
        return f"{self.kind}/{self.name}"

    @property
    def tinker_path(self) -> str:
        """The address by which it is loaded."""
        return f"tinker://{self.run_id}/{self.checkpoint_id}"


@dataclass(frozen=True, slots=True)
class CopyRecord:
    """A run that holds a copied checkpoint and nothing else: it cannot be trained."""

    run_id: str
    owner: str
    tinker_path: str
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class FutureRecord:
    """One submitted operation: `request` as it was received; `result` once it has ended, well or not."""

    request_id: str
    owner: str
    operation: Operation
    model_id: str | None
    seq_id: int
    request: bytes
    content_type: str | None = None
    result: bytes | None = None

    @property
    def ended(self) -> bool:
        """Whether the result is there."""
        return self.result is not None


@dataclass(frozen=True, slots=True)
class SamplerRecord:
    """One sampling session: what it draws from is a file of the archive, or the base model alone."""

    sampler_id: str
    session_id: str
    owner: str
    base_model: str
    model_path: str | None = None
    file: str | None = None
    config: AdapterConfig | None = None
