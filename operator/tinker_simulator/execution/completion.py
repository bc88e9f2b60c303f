"""How an operation ends: well, with a result and what it changes, or not, with whose fault it was."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tinker_simulator.answers import JSON, LOST, PROTOBUF
from tinker_simulator.records import FailureCategory


def nothing() -> None:
    """Change nothing."""


@dataclass(frozen=True, slots=True)
class Completion:
    """The end of an operation that went well.

    Attributes:
        content_type: Of the result.
        result: What polls of the future are answered with.
        keep: Stores what changed; called inside the transaction that stores the result.
        settle: Follows once that transaction is done: memory and files that nothing refers to any more.
    """

    content_type: str
    result: bytes
    keep: Callable[[], None] = nothing
    settle: Callable[[], None] = nothing


class OperationFailedError(Exception):
    """The operation ends the future with an error.

    Args:
        message: What happened and what to do.
        category: Whose fault it was.
    """

    def __init__(self, message: str, category: FailureCategory = FailureCategory.USER) -> None:
        super().__init__(message)
        self.message = message
        self.category = category

    def completion(self) -> Completion:
        """The failed future's result."""
        return json_completion({"error": self.message, "category": self.category})


def lost_completion(keep: Callable[[], None] = nothing, settle: Callable[[], None] = nothing) -> Completion:
    """An end whose result nobody will ever see."""
    return Completion(LOST, b"", keep, settle)


def json_completion(
    result: Mapping[str, Any], keep: Callable[[], None] = nothing, settle: Callable[[], None] = nothing
) -> Completion:
    """An end whose result is JSON."""
    return Completion(JSON, json.dumps(result).encode(), keep, settle)


def protobuf_completion(
    result: bytes, keep: Callable[[], None] = nothing, settle: Callable[[], None] = nothing
) -> Completion:
    """An end whose result is a serialized protobuf message."""
    return Completion(PROTOBUF, result, keep, settle)
