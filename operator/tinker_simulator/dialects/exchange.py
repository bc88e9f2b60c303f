"""What every dialect is made of: a request that goes on towards the route, and an answer that comes back."""

import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Protocol

from aiohttp import web
from aiohttp.typedefs import Handler

from tinker_simulator.answers import JSON, ApiError, error_response

Proceed = Callable[[web.Request], Awaitable[web.StreamResponse]]
Document = dict[str, Any]

API = "/api/v1/"


class Dialect(Protocol):
    """One deviation."""

    async def meet(self, proceed: Proceed, request: web.Request) -> web.StreamResponse:
        """Answer a request, by proceeding to what lies behind or otherwise."""
        ...


async def answered(handler: Handler, request: web.Request) -> web.StreamResponse:
    """Ask the route itself; what it refuses is an answer here, so that dialects can put it into their own words."""
    try:
        return await handler(request)
    except ApiError as error:
        return error.response()
    except web.HTTPException as refused:
        allow = refused.headers.get("Allow")
        return error_response(refused.status, refused.reason, {"Allow": allow} if allow else None)


def route_of(request: web.Request) -> str:
    """The path below the API's root."""
    return request.path.removeprefix(API)


async def document_of(request: web.Request) -> Document:
    """The request's JSON object; empty when it carries none."""
    return _object(await request.read())


def said_in(answer: web.StreamResponse) -> Document | None:
    """The JSON object of a successful answer; None for any other."""
    if not isinstance(answer, web.Response) or answer.content_type != JSON or not _is_success(answer):
        return None
    return _object(answer.body if isinstance(answer.body, bytes) else b"")


def saying(answer: web.StreamResponse, document: Any) -> web.Response:
    """An answer of the same status that says something else."""
    return web.json_response(document, status=answer.status)


def replace_body(request: web.Request, body: bytes) -> None:
    """Let whoever reads the request from here on read another body."""
    request._read_bytes = body  # noqa: SLF001 - aiohttp has no public way to hand a changed body on


def rows_in(document: Any) -> Iterator[Document]:
    """Every object in a document, itself first."""
    if isinstance(document, dict):
        yield document
    inner = document.values() if isinstance(document, dict) else document if isinstance(document, list) else ()
    for part in inner:
        yield from rows_in(part)


def _is_success(answer: web.Response) -> bool:
    return 200 <= answer.status < 300  # noqa: PLR2004 - what 2xx means


def _object(body: bytes) -> Document:
    try:
        document = json.loads(body)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
