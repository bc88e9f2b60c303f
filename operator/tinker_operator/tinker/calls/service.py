"""Calls about the service itself, and about sessions, which own the runs that are made."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from tinker_operator.tinker.calls.call import (
    SPOKEN_VERSION,
    AccessScope,
    Call,
    idempotency_header,
    json_body,
    posted,
    route,
    stated,
)

FinishReason = Literal["success", "errored", "interrupted"]


def healthz() -> Call:
    """Ask whether the service lives."""
    return Call("GET", "healthz")


def server_capabilities() -> Call:
    """Ask what the service offers."""
    return Call("GET", "get_server_capabilities")


def client_config() -> Call:
    """Ask how the service wants to be spoken to."""
    return Call("POST", "client/config", content=json_body({"sdk_version": SPOKEN_VERSION}))


def dynamic_config() -> Call:
    """Ask for the settings that the service may change while a client lives."""
    return Call("POST", "client/dynamic_config", content=json_body({"sdk_version": SPOKEN_VERSION}))


def auth_token() -> Call:
    """Exchange the key, which goes as on every call, for a token of a short life."""
    return Call("POST", "auth/token", content=b"{}")


def create_session(
    tags: Sequence[str],
    user_metadata: Mapping[str, str],
    idempotency_key: str,
    project_id: str | None = None,
    display_name: str | None = None,
) -> Call:
    """Open a session. The key is the only thing by which the service can know a repetition.

    Raises:
        CallNotPossible: The key cannot be a header's value.
    """
    body = {
        "tags": list(tags),
        "user_metadata": dict(user_metadata),
        "sdk_version": SPOKEN_VERSION,
        "project_id": project_id,
        "display_name": display_name,
    }
    return posted("create_session", body, headers=(idempotency_header(idempotency_key),))


def heartbeat(session_id: str, seconds: float) -> Call:
    """Say that a session is alive. Not repeated: the next beat is the repetition."""
    return posted("session_heartbeat", {"session_id": session_id}, repeatable=False, seconds=seconds)


def finish_session(session_id: str, reason: FinishReason, detail: str | None) -> Call:
    """Close a session; the first reason given stands."""
    body = json_body({"reason": {"type": reason}, "detail": detail})
    return Call("POST", _session(session_id, "finish"), content=body)


def sessions(offset: int, limit: int, access_scope: AccessScope) -> Call:
    """Ask for one page of session ids, newest first."""
    query = (("limit", str(limit)), ("offset", str(offset)), ("access_scope", access_scope))
    return Call("GET", "sessions", query)


def session(session_id: str, access_scope: AccessScope) -> Call:
    """Ask what was made in a session."""
    return Call("GET", _session(session_id), (("access_scope", access_scope),))


def search_sessions(body: Mapping[str, Any]) -> Call:
    """Ask for one page of the sessions that match."""
    return Call("POST", "sessions/search", content=json_body(stated(body)))


def assign_session_project(session_id: str, project_id: str) -> Call:
    """Put a session into a project; again changes nothing."""
    return Call("PUT", _session(session_id, "project"), content=json_body({"project_id": project_id}))


def trace_export(session_id: str) -> Call:
    """Ask for the export of a session's trace, which the first asking begins."""
    return Call("GET", _session(session_id, "trace_export"))


def _session(session_id: str, *more: str) -> str:
    return route("sessions", (session_id, "The session id"), *more)
