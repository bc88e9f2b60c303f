"""What the service says of itself and of sessions, as frozen types; of the manner of `models`."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, SecretStr

from tinker_operator.tinker.models import Count, Metadata, Text, UtcTime, WireModel

Positive = Annotated[int, Field(ge=1)]


class ClientConfig(WireModel):
    """How the service wants to be spoken to; the defaults are those of the official client."""

    pjwt_auth_enabled: bool = False
    """Whether the key is to be exchanged for tokens."""
    fwdbwd_max_chunk_len: Positive = 1024
    """The most examples of one request."""
    fwdbwd_max_chunk_bytes_count: Positive = 5_000_000
    """The most bytes of one request."""
    sample_max_concurrent_requests: Positive = 2000
    """The most samples of one sampling client at a time."""


class DynamicConfig(WireModel):
    """Settings that the service may change while a client lives."""

    refresh_interval_sec: Count = 300
    sample_cancel_enabled: bool = False
    sample_cancel_max_batch_size: Count = 64


class SessionPage(WireModel):
    """One page of session ids."""

    sessions: tuple[Text, ...]


class Session(WireModel):
    """What was made in a session."""

    training_run_ids: tuple[str, ...]
    sampler_ids: tuple[str, ...]
    user_metadata: Metadata = Field(default_factory=dict)
    display_name: str | None = None


class SessionCause(WireModel):
    """What a session failed by, or why its client ended it; the field that the type names is set."""

    type: Text
    request_id: str | None = None
    request_type: str | None = None
    training_run_id: str | None = None
    sampling_session_id: str | None = None


class SessionStatus(WireModel):
    """How a session stands: `active`, `cancelled`, `client_finished` or `failed`."""

    type: Text
    reason: SessionCause | None = None
    category: str | None = None
    """Of a failure: `user` or `internal`."""
    message: str | None = None
    detail: str | None = None


class SessionSummary(WireModel):
    """A session as a search finds it."""

    session_id: Text
    created_at: UtcTime
    owner: str
    project_id: str
    status: SessionStatus | None = None
    """None when it is neither finished nor known to run."""
    checkpoints_count: Count = 0
    display_name: str | None = None
    user_metadata: Metadata = Field(default_factory=dict)
    checkpoint_storage_bytes: Count | None = None


class SessionsFound(WireModel):
    """One page of a search; the cursor goes back as it came."""

    sessions: tuple[SessionSummary, ...]
    next_cursor: dict[str, Any] | None = None


class ExportState(StrEnum):
    """How far the export of a trace is."""

    PENDING = "pending"
    READY = "ready"
    FAILED = "failed"


class TraceExport(WireModel):
    """Answer to `trace_export`."""

    status: Annotated[ExportState, Field(strict=False)]
    url: SecretStr | None = None
    error: str | None = None


class SamplingSessionMade(WireModel):
    """Answer to `create_sampling_session`, and the result of a save without a name."""

    sampling_session_id: Text


class SamplingSessionJoined(WireModel):
    """Answer to `join_sampling_session`."""

    client_counter: Count


class Sampler(WireModel):
    """What a sampling session draws from."""

    sampler_id: Text
    base_model: str
    model_path: str | None = None
