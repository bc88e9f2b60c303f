"""Reads the Tinker service over its REST API, as its user would."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

import httpx

from playground.demonstration.errors import ServiceSilent

API_KEY = "tml-simulator"
_TIMEOUT_SECONDS = 10.0
_PAGE = 100
_REMEDY = "Read what the simulator says, above."

Json = dict[str, Any]


class TinkerService:
    """A client for simple questions; a context manager.

    Args:
        url: Base URL of the service.

    Raises:
        ServiceSilent: From every question, when the service does not answer it.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        # No proxy of the environment stands between us and loopback.
        self._client = httpx.Client(
            base_url=f"{url}/api/v1/", headers={"X-API-Key": API_KEY}, trust_env=False, timeout=_TIMEOUT_SECONDS
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def runs(self) -> tuple[Json, ...]:
        """Every training run; the demonstration makes far fewer than a page."""
        return tuple(self._get(f"training_runs?limit={_PAGE}")["training_runs"])

    def checkpoints(self, run_id: str) -> tuple[Json, ...]:
        """The checkpoints of a run, newest first."""
        found = self._get(f"training_runs/{run_id}/checkpoints")["checkpoints"]
        return tuple(sorted(found, key=lambda it: str(it["time"]), reverse=True))

    def newest(self, run_id: str) -> str:
        """Path of a run's newest checkpoint."""
        return str(self._get(f"training_runs/{run_id}")["last_checkpoint"]["tinker_path"])

    def is_session_alive(self, session_id: str) -> bool:
        """Whether a session goes on. A heartbeat is the question: the service answers 410 for a finished one."""
        answer = self._ask("POST", "session_heartbeat", {"session_id": session_id})
        if answer.status_code == httpx.codes.GONE:
            return False
        _answered(answer)
        return True

    def _get(self, path: str) -> Json:
        found: Json = _answered(self._ask("GET", path)).json()
        return found

    def _ask(self, method: str, path: str, body: Json | None = None) -> httpx.Response:
        try:
            return self._client.request(method, path, json=body)
        except httpx.TransportError as error:
            raise ServiceSilent(f"The service does not answer {path}: {error}.", _REMEDY) from error


def _answered(answer: httpx.Response) -> httpx.Response:
    if answer.is_success:
        return answer
    raise ServiceSilent(f"The service answers {answer.request.url.path} with {answer.status_code}.", _REMEDY)
