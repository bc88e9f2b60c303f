"""One request as a value, and the few forms in which all of them are written; the families of calls build on it."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal
from urllib.parse import quote

from tinker_operator.tinker.errors import CallNotPossible
from tinker_operator.tinker.paths import TinkerPath, checked_segment

SPOKEN_VERSION: Final = "0.38.0"
"""The release of the official client whose wire this package speaks; services may ask for a minimum."""
PROTOBUF: Final = "application/x-protobuf"

_NAMED: Final = (
    (re.compile(r"^(training_runs|sessions|samplers)/(?!search$)[^/]+"), r"\1/{id}"),
    (re.compile(r"/checkpoints/([^/]+)/[^/]+"), r"/checkpoints/\1/{name}"),
)
"""Where a path names one run, session or checkpoint, and what stands there when calls are counted."""

AccessScope = Literal["owned", "accessible"]
"""Whose runs and sessions are meant: the key's owner's, or all that the key may see."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request, relative to `<base>/api/v1/`.

    Args:
        method: The HTTP method.
        route: The path, its segments already escaped.
        query: Names and values, not yet escaped.
        content: The body; None sends none. Not shown: it may hold a token.
        headers: Further headers; never the key. Not shown either.
        repeatable: Whether a repetition changes nothing that the first one did not.
        seconds: The longest an attempt may take; None is the transport's own.
        answers: Statuses that are an answer here, beside 2xx.
    """

    method: Literal["GET", "POST", "PUT", "DELETE", "OPTIONS"]
    route: str
    query: tuple[tuple[str, str], ...] = ()
    content: bytes | None = field(default=None, repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    repeatable: bool = True
    seconds: float | None = None
    answers: frozenset[int] = frozenset()

    @property
    def title(self) -> str:
        """The call as messages name it: method and path, no query."""
        return f"{self.method} {self.route}"

    @property
    def template(self) -> str:
        """The route without what it names: one of a closed list, so that it may be counted by."""
        found = self.route
        for pattern, form in _NAMED:
            found = pattern.sub(form, found)
        return found


def route(*segments: tuple[str, str] | str) -> str:
    """Join segments into a path; a pair is (value from outside, what it is) and is checked and escaped.

    Raises:
        CallNotPossible: A value cannot be one segment of a URL.
    """
    checked = (part if isinstance(part, str) else quote(checked_segment(*part), safe=":") for part in segments)
    return "/".join(checked)


def run_route(run_id: str, *more: tuple[str, str] | str) -> str:
    """Give the path of a run, or of what belongs to it.

    Raises:
        CallNotPossible: A value cannot be one segment of a URL.
    """
    return route("training_runs", (run_id, "The training run id"), *more)


def checkpoint_route(path: TinkerPath, *more: str) -> str:
    """Give the path of a checkpoint, or of what belongs to it."""
    return run_route(path.training_run_id, "checkpoints", path.kind.value, (path.name, "The name"), *more)


def posted(
    name: str,
    body: Mapping[str, Any],
    *,
    headers: tuple[tuple[str, str], ...] = (),
    repeatable: bool = True,
    seconds: float | None = None,
) -> Call:
    """Build the usual form: the body repeats the route's name as its type, and says nothing of what is None.

    Raises:
        CallNotPossible: A value is no JSON.
    """
    content = json_body({**stated(body), "type": name})
    return Call("POST", name, content=content, headers=headers, repeatable=repeatable, seconds=seconds)


def stated(body: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what is None, as the official client does."""
    return {name: value for name, value in body.items() if value is not None}


def json_body(body: Mapping[str, Any]) -> bytes:
    """Write a body; what JSON cannot say is the caller's mistake, not the service's.

    Raises:
        CallNotPossible: A value is no JSON.
    """
    try:
        return json.dumps(body, allow_nan=False).encode()
    except (TypeError, ValueError) as fault:
        cause = str(fault)
    raise CallNotPossible(f"The arguments cannot be written as JSON: {cause}")


def idempotency_header(key: str) -> tuple[str, str]:
    """Give the header by which a service knows that a call came before.

    Raises:
        CallNotPossible: The key cannot be a header's value.
    """
    if not (key.isascii() and key.isprintable() and key.strip()):
        raise CallNotPossible("The idempotency key is empty or no printable ASCII", "Give a UUID.")
    return ("X-Idempotency-Key", key)
