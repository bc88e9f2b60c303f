"""A transport that remembers which calls its service has; every connection stands on one.

A service that lacks a call answers 404 with the bare words of its framework, and some say the same of a missing run.
Such an answer therefore proves something only where the call names no run and no checkpoint; 405 proves it anywhere.
"""

import re
from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final

from tinker_operator.tinker.calls import Call
from tinker_operator.tinker.dialects.capabilities import Knowledge, Support
from tinker_operator.tinker.errors import Conflict, Gone, NotFound, RouteMissing, StatusError, Unprocessable
from tinker_operator.tinker.faults import Answer
from tinker_operator.tinker.transport import Transport

_CHECKPOINT: Final = r"training_runs/[^/]+/checkpoints/[^/]+/[^/]+"
CALLS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "list_runs": ("GET", r"training_runs"),
        "get_run": ("GET", r"training_runs/[^/]+"),
        "list_checkpoints": ("GET", r"training_runs/[^/]+/checkpoints"),
        "list_user_checkpoints": ("GET", r"checkpoints"),
        "delete": ("DELETE", _CHECKPOINT),
        "publish": ("POST", rf"{_CHECKPOINT}/publish"),
        "ttl": ("PUT", rf"{_CHECKPOINT}/ttl"),
        "archive": ("GET", rf"{_CHECKPOINT}/archive"),
        "sessions": ("GET", r"sessions"),
        "client_config": ("POST", r"client/config"),
    }
)
"""Method and path of each capability that is a route of its own."""

_SPEAKS_OF_A_THING: Final = (NotFound, Conflict, Gone, Unprocessable)


class LearningTransport(Transport):
    """Sends as its parent does, and remembers what the answers prove; constructed as its parent is."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.known: Final = Knowledge()

    async def send(self, call: Call) -> Answer:
        """Send a call as `Transport.send` does; what its answer proves is remembered.

        Raises:
            TinkerError: As `Transport.send`.
        """
        name = _capability(call)
        try:
            answer = await super().send(call)
        except StatusError as error:
            if name is not None:
                self.known.learn(name, _shown_by(error, call))
            raise
        if name is not None:
            self.known.learn(name, Support.SUPPORTED)
        return answer


def _capability(call: Call) -> str | None:
    fits = (name for name, (method, path) in CALLS.items() if call.method == method and re.fullmatch(path, call.route))
    return next(fits, None)


def _shown_by(error: StatusError, call: Call) -> Support:
    if isinstance(error, _SPEAKS_OF_A_THING):
        return Support.SUPPORTED
    names_a_thing = call.route.startswith("training_runs/")
    if isinstance(error, RouteMissing) and (error.status == HTTPStatus.METHOD_NOT_ALLOWED or not names_a_thing):
        return Support.MISSING
    return Support.UNKNOWN
