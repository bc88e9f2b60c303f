"""What was asked of the simulator: counts per route for "two calls, not two thousand", and every changing request."""

import json
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

_LOG_LENGTH = 20_000
_READS = frozenset({"GET", "HEAD"})
# They change nothing that a test could care about, and would push out what does.
_CHATTER = frozenset(
    f"/api/v1/{name}"
    for name in (
        "client/config",
        "client/dynamic_config",
        "telemetry",
        "session_heartbeat",
        "retrieve_future",
        "retrieve_futures",
        "get_info",
        "weights_info",
    )
)
_TELLING = (
    "session_id",
    "model_seq_id",
    "model_id",
    "seq_id",
    "base_model",
    "path",
    "optimizer",
    "overwrite",
    "ttl_seconds",
    "user_metadata",
)


@dataclass(frozen=True, slots=True)
class ChangingRequest:
    """One request that could change something, whether it was carried out or not."""

    method: str
    path: str
    route: str
    fields: Mapping[str, Any]


class Ledger:
    """Counts and remembers requests, in memory."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._changing: deque[ChangingRequest] = deque(maxlen=_LOG_LENGTH)

    def note(self, method: str, path: str, route: str, body: bytes) -> None:
        """Count a request by its route's template; keep it when it could change something."""
        self._counts[f"{method} {route}"] += 1
        if method not in _READS and route not in _CHATTER:
            self._changing.append(ChangingRequest(method, path, route, _telling(body)))

    def counts(self) -> dict[str, int]:
        """Requests by `METHOD /route/template`."""
        return dict(sorted(self._counts.items()))

    def changing(self) -> list[dict[str, Any]]:
        """The latest changing requests, oldest first."""
        return [asdict(request) for request in self._changing]

    def clear(self) -> None:
        """Start over."""
        self._counts.clear()
        self._changing.clear()


def _telling(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(document, dict):
        return {}
    return {name: document[name] for name in _TELLING if name in document}
