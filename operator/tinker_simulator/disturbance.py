"""Carries out ordered faults on the wire: around every request but the administrator's own."""

import json

from aiohttp import web
from aiohttp.payload import Payload
from aiohttp.typedefs import Handler

from tinker_simulator.answers import error_response
from tinker_simulator.faults import FaultBook, FaultKind, FaultRule

_GARBAGE = b"<html><head><title>502</title></head><body>upstream\x00\xff said nothing</body></html>"
_LISTS = ("training_runs", "checkpoints", "sessions")


async def disturbed(book: FaultBook, request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer a request as the faults in force want it answered."""
    for rule in book.met_by(f"{request.method} {request.path}"):
        if rule.kind is FaultKind.LATENCY:
            await book.held_up(rule.delay or 0)
        else:
            return await _met(rule, request, handler)
    return await handler(request)


async def _met(rule: FaultRule, request: web.Request, handler: Handler) -> web.StreamResponse:
    match rule.kind:
        case FaultKind.HTTP:
            return _refused(rule)
        case FaultKind.GARBAGE:
            return web.Response(body=_GARBAGE, content_type="text/html")
        case FaultKind.DROP:
            return await _dropped(rule, request, handler)
        case FaultKind.HALF_BODY:
            answer = await _answered(request, handler)
            return _like(answer, _body(answer)[: len(_body(answer)) // 2])
        case _:
            answer = await _answered(request, handler)
            return _like(answer, _half_page(_body(answer)))


def _refused(rule: FaultRule) -> web.Response:
    headers = {} if rule.retry_after is None else {"Retry-After": f"{rule.retry_after:g}"}
    return error_response(rule.status or 500, "A fault was ordered for this request.", headers)


async def _dropped(rule: FaultRule, request: web.Request, handler: Handler) -> web.StreamResponse:
    if rule.when == "before":
        return _hung_up(request)
    answer = await _answered(request, handler)
    if rule.when == "after":
        return _hung_up(request)
    return await _cut_midway(request, answer)


async def _cut_midway(request: web.Request, answer: web.Response) -> web.StreamResponse:
    body = _body(answer)
    stream = web.StreamResponse(status=answer.status, headers={"Content-Type": answer.content_type})
    stream.content_length = len(body) + 1  # one byte never comes, even where the body is empty
    await stream.prepare(request)
    await stream.write(body[: len(body) // 2])
    _hung_up(request)
    return stream


def _hung_up(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.close()
    return web.Response()  # goes nowhere: the framework wants something to fail to send


async def _answered(request: web.Request, handler: Handler) -> web.Response:
    answer = await handler(request)
    if not isinstance(answer, web.Response):
        raise TypeError("every route of the simulator answers in one piece")
    if isinstance(answer.body, Payload):
        # A download: to cut it short it has to be read.
        answer.body = await answer.body.as_bytes()
    return answer


def _body(answer: web.Response) -> bytes:
    return answer.body if isinstance(answer.body, bytes) else b""


def _like(answer: web.Response, body: bytes) -> web.Response:
    return web.Response(body=body, status=answer.status, content_type=answer.content_type, charset=answer.charset)


def _half_page(body: bytes) -> bytes:
    try:
        page = json.loads(body)
    except ValueError:
        return body
    for name in _LISTS:
        if isinstance(page, dict) and isinstance(page.get(name), list):
            page[name] = page[name][: len(page[name]) // 2]
    return json.dumps(page).encode()
