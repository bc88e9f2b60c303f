"""The calls of the Tinker API as values, built without sending anything; the client sends them.

Each says whether it may be repeated: reads may, and so may those that change something and that the service
recognises when they come again (by session and sequence number, by idempotency key, or because they set a state).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import quote

from tinker_operator.tinker.errors import CallNotPossible
from tinker_operator.tinker.models import LoraConfig
from tinker_operator.tinker.paths import TinkerPath, checked_segment

SPOKEN_VERSION: Final = "0.38.0"
"""The release of the official client whose wire this package speaks; services may ask for a minimum."""

FinishReason = Literal["success", "errored", "interrupted"]


@dataclass(frozen=True, slots=True)
class Call:
    """One request, relative to `<base>/api/v1/`.

    Args:
        method: The HTTP method.
        route: The path, its segments already escaped.
        query: Names and values, not yet escaped.
        content: The body; None sends none.
        headers: Further headers; never the key.
        repeatable: Whether a repetition changes nothing that the first one did not.
        seconds: The longest an attempt may take; None is the transport's own.
    """

    method: Literal["GET", "POST", "PUT", "DELETE"]
    route: str
    query: tuple[tuple[str, str], ...] = ()
    content: bytes | None = None
    headers: tuple[tuple[str, str], ...] = ()
    repeatable: bool = True
    seconds: float | None = None

    @property
    def title(self) -> str:
        """The call as messages name it: method and path, no query."""
        return f"{self.method} {self.route}"


def route(*segments: tuple[str, str] | str) -> str:
    """Join segments into a path; a pair is (value from outside, what it is) and is checked and escaped.

    Raises:
        CallNotPossible: A value cannot be one segment of a URL.
    """
    checked = (part if isinstance(part, str) else quote(checked_segment(*part), safe=":") for part in segments)
    return "/".join(checked)


def healthz() -> Call:
    """Ask whether the service lives."""
    return Call("GET", "healthz")


def server_capabilities() -> Call:
    """Ask what the service offers."""
    return Call("GET", "get_server_capabilities")


def training_runs(offset: int, limit: int) -> Call:
    """Ask for one page of the owner's runs."""
    query = (("limit", str(limit)), ("offset", str(offset)), ("access_scope", "owned"))
    return Call("GET", "training_runs", query)


def training_run(run_id: str) -> Call:
    """Ask for one run."""
    return Call("GET", route("training_runs", (run_id, "The training run id")), (("access_scope", "owned"),))


def checkpoints(run_id: str, offset: int) -> Call:
    """Ask for a run's checkpoints. Official services do not page them, so only a later page names its offset."""
    query = (("offset", str(offset)),) if offset else ()
    return Call("GET", route("training_runs", (run_id, "The training run id"), "checkpoints"), query)


def delete_checkpoint(path: TinkerPath) -> Call:
    """Delete one checkpoint; for good. Not repeated: another one may have been saved under the name meanwhile."""
    run = (path.training_run_id, "The training run id")
    there = route("training_runs", run, "checkpoints", path.kind.value, (path.name, "The name"))
    return Call("DELETE", there, repeatable=False)


def weights_info(path: TinkerPath) -> Call:
    """Ask what a checkpoint was trained as."""
    return Call("POST", "weights_info", content=_json({"tinker_path": str(path)}))


def get_info(model_id: str) -> Call:
    """Ask what a live model is."""
    return _posted("get_info", {"model_id": model_id})


def create_session(tags: tuple[str, ...], user_metadata: Mapping[str, str], idempotency_key: str) -> Call:
    """Open a session. The key is the only thing by which the service can know a repetition.

    Raises:
        CallNotPossible: The key cannot be a header's value.
    """
    if not (idempotency_key.isascii() and idempotency_key.isprintable() and idempotency_key.strip()):
        raise CallNotPossible("The idempotency key is empty or no printable ASCII", "Give a UUID.")
    body = {"tags": list(tags), "user_metadata": dict(user_metadata), "sdk_version": SPOKEN_VERSION}
    return _posted("create_session", body, headers=(("X-Idempotency-Key", idempotency_key),))


def heartbeat(session_id: str, seconds: float) -> Call:
    """Say that a session is alive. Not repeated: the next beat is the repetition."""
    return _posted("session_heartbeat", {"session_id": session_id}, repeatable=False, seconds=seconds)


def finish_session(session_id: str, reason: FinishReason, detail: str | None) -> Call:
    """Close a session; the first reason given stands."""
    body = _json({"reason": {"type": reason}, "detail": detail})
    return Call("POST", route("sessions", (session_id, "The session id"), "finish"), content=body)


def create_model(
    session_id: str, model_seq_id: int, base_model: str, lora: LoraConfig, user_metadata: Mapping[str, str]
) -> Call:
    """Make a fresh run; the service knows a repetition by (session_id, model_seq_id)."""
    body = {
        "session_id": session_id,
        "model_seq_id": model_seq_id,
        "base_model": base_model,
        "user_metadata": dict(user_metadata),
        "lora_config": lora.model_dump(mode="json", exclude_none=True),
        "optimizer_config": {"type": "adamw"},
    }
    return _posted("create_model", body)


def load_weights(
    session_id: str, model_seq_id: int, path: TinkerPath, optimizer: bool, user_metadata: Mapping[str, str]
) -> Call:
    """Make a run from a checkpoint; the service knows a repetition by (session_id, model_seq_id)."""
    body = {
        "session_id": session_id,
        "model_seq_id": model_seq_id,
        "path": str(path),
        "optimizer": optimizer,
        "user_metadata": dict(user_metadata),
    }
    return _posted("load_weights", body)


def retrieve_future(request_id: str, seconds: float) -> Call:
    """Ask for a result. Not repeated by the transport: polling has a law of its own."""
    body = _json({"request_id": request_id, "allow_metadata_only": False})
    return Call("POST", "retrieve_future", content=body, repeatable=False, seconds=seconds)


def _posted(
    name: str,
    body: Mapping[str, Any],
    *,
    headers: tuple[tuple[str, str], ...] = (),
    repeatable: bool = True,
    seconds: float | None = None,
) -> Call:
    """Build the usual form: the body repeats the route's name as its type."""
    content = _json({**body, "type": name})
    return Call("POST", name, content=content, headers=headers, repeatable=repeatable, seconds=seconds)


def _json(body: Mapping[str, Any]) -> bytes:
    """Write a body; what JSON cannot say is the caller's mistake, not the service's.

    Raises:
        CallNotPossible: A value is no JSON.
    """
    try:
        return json.dumps(body, allow_nan=False).encode()
    except (TypeError, ValueError) as fault:
        cause = str(fault)
    raise CallNotPossible(f"The arguments cannot be written as JSON: {cause}")
