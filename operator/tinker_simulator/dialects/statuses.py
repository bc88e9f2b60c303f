"""The same outcome under another status: successes, failures of work, and things that are not there."""

import asyncio
import re
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from tinker_simulator.answers import error_response
from tinker_simulator.dialects.exchange import Proceed, document_of, route_of, said_in, saying
from tinker_simulator.dialects.missing import CHECKPOINT

_VOID = re.compile(rf"{CHECKPOINT}(/publish|/ttl)?|sessions/[^/]+/finish|session_heartbeat")
_WORK = re.compile(r"create_\w+|load_weights|save_weights\w*|optim_step|forward_backward")
_NO_CONTENT = 204


@dataclass(frozen=True, slots=True)
class SuccessAs:
    """Calls that change something succeed with one status.

    Attributes:
        status: 200, 201, 202 or 204; what a call has to tell it tells under any but the last.
    """

    status: int

    async def meet(self, proceed: Proceed, request: web.Request) -> web.StreamResponse:
        """Put a success under that status."""
        answer, route = await proceed(request), route_of(request)
        if request.method == "GET" or answer.status >= 300:  # noqa: PLR2004 - not a success
            return answer
        if _VOID.fullmatch(route):
            empty = self.status == _NO_CONTENT
            return web.Response(status=self.status) if empty else web.json_response({}, status=self.status)
        if _WORK.fullmatch(route) and self.status != _NO_CONTENT:
            answer.set_status(self.status)
        return answer


@dataclass(frozen=True, slots=True)
class FailureAs:
    """Work that failed is told in another form.

    Attributes:
        form: `status`: the poll itself is answered 400; `error`: 200 with the error and no category; `typed`: 200 with
            the type `request_failed`.
    """

    form: str

    async def meet(self, proceed: Proceed, request: web.Request) -> web.StreamResponse:
        """Put a failure into that form."""
        answer = await proceed(request)
        failed = said_in(answer) if route_of(request) == "retrieve_future" else None
        if failed is None or "error" not in failed:
            return answer
        if self.form == "status":
            return error_response(400, str(failed["error"]))
        if self.form == "error":
            return saying(answer, {"error": failed["error"]})
        request_id = (await document_of(request)).get("request_id")
        told = {"type": "request_failed", "request_id": request_id, "category": failed.get("category")}
        return saying(answer, {**told, "message": failed["error"]})


@dataclass(frozen=True, slots=True)
class MissingAs500:
    """What is not there is answered 500, and the connection is cut after it."""

    async def meet(self, proceed: Proceed, request: web.Request) -> web.StreamResponse:
        """Turn a 404 into a crash."""
        answer = await proceed(request)
        if answer.status != 404:  # noqa: PLR2004 - an HTTP status
            return answer
        told = {"error": "Internal Server Error", "message": "An unexpected error occurred"}
        return _CutAfter(request, told)


class _CutAfter(web.Response):
    """An answer that looks like any other, on a connection that is gone when the next request comes."""

    def __init__(self, request: web.Request, told: dict[str, Any]) -> None:
        super().__init__(text=web.json_response(told).text, status=500, content_type="application/json")
        self._cut = request.transport

    async def write_eof(self, data: bytes = b"") -> None:
        """Send, then cut."""
        await super().write_eof(data)
        if self._cut is not None:
            asyncio.get_running_loop().call_soon(self._cut.abort)
