"""One request and its whole answer, in a time; the transport decides what is sent and what becomes of it."""

import asyncio
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, nullcontext
from typing import Final, TypeAlias

import httpx
from pydantic import SecretStr

from tinker_operator.tinker.calls import Call
from tinker_operator.tinker.errors import InvalidResponse, TinkerError
from tinker_operator.tinker.faults import CAUGHT, Answer, fault_error
from tinker_operator.tinker.redaction import Redaction
from tinker_operator.tinker.unheard import unheard

LARGEST_ANSWER: Final = 64 * 1024 * 1024

CallWatch: TypeAlias = Callable[[Call], AbstractContextManager[Callable[[Answer | TinkerError], None]]]
"""Is entered before each request, is told what came of it, and is left after that; if it is not told, nothing came."""


def unwatched(_call: Call) -> AbstractContextManager[Callable[[Answer | TinkerError], None]]:
    """Returns a watch that does nothing."""
    return nullcontext(lambda _outcome: None)


class _KeyHeader(httpx.Auth):
    """Adds what proves the owner to a request as it leaves; nothing that lives longer holds it in clear."""

    def __init__(self, credential: SecretStr) -> None:
        self._credential = credential

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Set the header on the one request that leaves."""
        request.headers["X-API-Key"] = self._credential.get_secret_value()
        yield request


async def exchanged(
    http: httpx.AsyncClient, base_url: str, call: Call, credential: SecretStr, *, seconds: float, redaction: Redaction
) -> Answer | TinkerError:
    """Make one request.

    An error is returned instead of raised: raised here it would carry the request, and with it the key, in its context.

    Args:
        http: What carries it.
        base_url: Where calls begin.
        call: What to ask.
        credential: The key, or what stands for it.
        seconds: The longest until the last byte of the answer.
        redaction: Cleans what an error says.
    """
    answering = False
    try:
        with unheard():
            async with (
                asyncio.timeout(seconds),
                http.stream(
                    call.method,
                    f"{base_url}/api/v1/{call.route}",
                    params=call.query or None,
                    content=call.content,
                    headers=_headers(call),
                    auth=_KeyHeader(credential),
                ) as response,
            ):
                answering = True
                body = await _whole_body(response)
    except CAUGHT as fault:
        return fault_error(call, fault, redaction, answering=answering)
    if body is None:
        return InvalidResponse(f"The answer to {call.title} is larger than {LARGEST_ANSWER} bytes")
    return Answer(call, response.status_code, response.headers, body)


def _headers(call: Call) -> dict[str, str]:
    """All but reads say JSON, with or without a body, as the official client does, unless the call says otherwise."""
    return ({} if call.method == "GET" else {"Content-Type": "application/json"}) | dict(call.headers)


async def _whole_body(response: httpx.Response) -> bytes | None:
    """Read to the end; None when the answer is larger than any the API gives."""
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > LARGEST_ANSWER:
            return None
    return bytes(body)
