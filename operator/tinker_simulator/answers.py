"""Answers in the shapes clients of the service know: JSON bodies, and errors as `{"detail": ...}`.

A 400 without a body is taken by the SDK for a proxy's fault and retried, so every error here carries one.
"""

from collections.abc import Mapping
from typing import Any

from aiohttp import web

PROTOBUF = "application/x-protobuf"
JSON = "application/json"


class ApiError(Exception):
    """An answer that is not 2xx.

    Args:
        status: HTTP status.
        detail: What happened and what to do; a list for field errors of a request that does not validate.
    """

    def __init__(self, status: int, detail: str | list[dict[str, Any]]) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail

    def response(self) -> web.Response:
        """The answer to send."""
        return error_response(self.status, self.detail)


def error_response(
    status: int, detail: str | list[dict[str, Any]], headers: Mapping[str, str] | None = None
) -> web.Response:
    """An error in the service's form."""
    return web.json_response({"detail": detail}, status=status, headers=headers)


def missing(what: str, name: str) -> ApiError:
    """404 for a thing that is not there, or not the caller's: the two are not told apart."""
    return ApiError(404, f"{what} {name} not found")
