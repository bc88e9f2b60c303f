"""Ids and paths in the service's own forms, and the rule for checkpoint names."""

import re
from dataclasses import dataclass

from tinker_simulator.answers import ApiError
from tinker_simulator.records import Kind

# A name ends up in URLs that the SDK does not escape and in file names: what either would mangle is refused.
_NAME = re.compile(r"[A-Za-z0-9._-]{1,150}")
_RESERVED = frozenset({".", ".."})
_PATH = re.compile(r"tinker://(?P<run>[^/]+)/(?P<kind>[^/]+)/(?P<name>[^/]+)")


@dataclass(frozen=True, slots=True)
class CheckpointAddress:
    """The parts of a `tinker://` path."""

    run_id: str
    kind: str
    name: str


def model_id(session_id: str, model_seq_id: int) -> str:
    """The id of a run; clients that create from a checkpoint compute it themselves, so the form is fixed."""
    return f"{session_id}:train:{model_seq_id}"


def sampler_id(session_id: str, sampling_session_seq_id: int) -> str:
    """The id of a sampling session."""
    return f"{session_id}:sample:{sampling_session_seq_id}"


def request_id(subject: str, seq_id: int) -> str:
    """The id of a future: the same operation submitted twice gets the same one."""
    return f"{subject}:{seq_id}"


def checked_name(name: str) -> str:
    """`name` if it may name a checkpoint.

    Raises:
        ApiError: 400, it may not.
    """
    if not _NAME.fullmatch(name) or name in _RESERVED:
        raise ApiError(
            400,
            f"Invalid checkpoint name {name!r}. Use 1 to 150 letters, digits, dots, underscores and dashes, "
            "other than '.' and '..'.",
        )
    return name


def parsed_path(path: str) -> CheckpointAddress:
    """The parts of `path`.

    Raises:
        ApiError: 400, it is not of the form `tinker://<run>/<kind>/<name>`.
    """
    match = _PATH.fullmatch(path)
    if match is None or match["kind"] not in set(Kind):
        raise ApiError(400, f"Path is invalid: {path!r}. Use tinker://<training_run_id>/weights/<name>.")
    return CheckpointAddress(match["run"], match["kind"], match["name"])
