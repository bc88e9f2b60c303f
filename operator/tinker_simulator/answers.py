"""Answers in the shapes clients of the service know: JSON bodies, and errors as `{"detail": ...}`.

A 400 without a body is taken by the SDK for a proxy's fault and retried, so every error here carries one.
"""

from collections.abc import Mapping
from typing import Any

from aiohttp import web

PROTOBUF = "application/x-protobuf"
JSON = "application/json"
# Never sent: what a future is stored with whose result was lost. Polls of it are answered 410.
LOST = "application/x-lost"


class ApiError(Exception):
    """An answer that is not 2xx.

    Args:
        status: HTTP status.
        detail: What happened and what to do; a list for field errors of a request that does not validate.
        headers: What the answer carries beside its body.
    """

    def __init__(
        self, status: int, detail: str | list[dict[str, Any]], headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers

    def response(self) -> web.Response:
        """The answer to send."""
        return error_response(self.status, self.detail, self.headers)


def error_response(
    status: int, detail: str | list[dict[str, Any]], headers: Mapping[str, str] | None = None
) -> web.Response:
    """An error in the service's form."""
    return web.json_response({"detail": detail}, status=status, headers=headers)


def missing(what: str, name: str) -> ApiError:
    """404 for a thing that is not there, or not the caller's: the two are not told apart."""
    return ApiError(404, f"{what} {name} not found")
