"""Calls that draw tokens."""

from collections.abc import Mapping
from typing import Any, Final

from tinker_operator.tinker.calls.call import Call, json_body, posted, route, stated
from tinker_operator.tinker.errors import CallNotPossible

_BACK_PRESSURE: Final = ("X-Tinker-Sampling-Backpressure", "1")
"""Says that this client takes 429 for "later", not for an error."""


def create_sampling_session(
    session_id: str, sampling_session_seq_id: int, model_path: str | None, base_model: str | None
) -> Call:
    """Open a sampling session; the service knows a repetition by (session_id, sampling_session_seq_id).

    Raises:
        CallNotPossible: Neither a checkpoint nor a base model is given.
    """
    if model_path is None and base_model is None:
        raise CallNotPossible("There is nothing to sample from", "Give model_path or base_model.")
    body = {
        "session_id": session_id,
        "sampling_session_seq_id": sampling_session_seq_id,
        "model_path": model_path,
        "base_model": base_model,
    }
    return posted("create_sampling_session", body)


def join_sampling_session(sampling_session_id: str) -> Call:
    """Ask for a number of one's own in a sampling session. Not repeated: each time gives another."""
    return posted("join_sampling_session", {"sampling_session_id": sampling_session_id}, repeatable=False)


def sampler(sampling_session_id: str) -> Call:
    """Ask what a sampling session draws from."""
    return Call("GET", route("samplers", (sampling_session_id, "The sampling session id")))


def asample(body: Mapping[str, Any]) -> Call:
    """Draw; the service knows a repetition by (sampling_session_id, seq_id). Whoever calls waits out its 429."""
    content = json_body({**stated(body), "type": "sample"})
    return Call("POST", "asample", content=content, headers=(_BACK_PRESSURE,), repeatable=False)
