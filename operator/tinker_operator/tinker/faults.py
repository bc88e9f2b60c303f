"""From what httpx raises and what a service answers to exactly one class of the error tree.

Two tables, so that a test can hold them against every exception of httpx and every status of HTTP.
"""

import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from math import isfinite
from types import MappingProxyType
from typing import Final

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

from tinker_operator.tinker.calls import Call
from tinker_operator.tinker.errors import (
    BadRequest,
    BillingRequired,
    CallNotPossible,
    Conflict,
    Forbidden,
    Gone,
    InvalidResponse,
    NotFound,
    RateLimited,
    RequestTimeout,
    RouteMissing,
    ServerFault,
    ServiceTimeout,
    ServiceUnreachable,
    StatusError,
    TinkerError,
    TlsFault,
    Unauthorized,
    UnexpectedStatus,
    Unprocessable,
)
from tinker_operator.tinker.redaction import Redaction

CAUGHT: Final = (httpx.HTTPError, httpx.InvalidURL, httpx.CookieConflict, httpx.StreamError, OSError)
"""All that sending a request may raise; OSError because a broken TLS record and our own deadline are some."""

FAULTS: Final[Mapping[type[BaseException], type[TinkerError]]] = MappingProxyType(
    {
        httpx.TimeoutException: ServiceTimeout,
        httpx.NetworkError: ServiceUnreachable,
        httpx.RemoteProtocolError: ServiceUnreachable,
        httpx.ProxyError: ServiceUnreachable,
        httpx.LocalProtocolError: CallNotPossible,
        httpx.UnsupportedProtocol: CallNotPossible,
        httpx.InvalidURL: CallNotPossible,
        httpx.DecodingError: InvalidResponse,
        httpx.TooManyRedirects: InvalidResponse,
        httpx.HTTPStatusError: InvalidResponse,
        httpx.CookieConflict: InvalidResponse,
        httpx.StreamError: InvalidResponse,
        TimeoutError: ServiceTimeout,
        ssl.SSLError: TlsFault,
        OSError: ServiceUnreachable,
    }
)

STATUSES: Final[Mapping[int, type[StatusError]]] = MappingProxyType(
    {
        HTTPStatus.BAD_REQUEST: BadRequest,
        HTTPStatus.UNAUTHORIZED: Unauthorized,
        HTTPStatus.PAYMENT_REQUIRED: BillingRequired,
        HTTPStatus.FORBIDDEN: Forbidden,
        HTTPStatus.NOT_FOUND: NotFound,
        HTTPStatus.METHOD_NOT_ALLOWED: RouteMissing,
        HTTPStatus.REQUEST_TIMEOUT: RequestTimeout,
        HTTPStatus.CONFLICT: Conflict,
        HTTPStatus.GONE: Gone,
        HTTPStatus.UNPROCESSABLE_ENTITY: Unprocessable,
        HTTPStatus.TOO_MANY_REQUESTS: RateLimited,
    }
)

_SAID_BY_ANY_SERVER: Final = frozenset({"", "not found"})


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for a call, whole.

    Args:
        call: What was asked.
        status: The HTTP status.
        headers: As they came.
        body: Decoded from its transfer and content encoding.
    """

    call: Call
    status: int
    headers: httpx.Headers = field(repr=False)
    body: bytes = field(repr=False)


class _Refusal(BaseModel):
    """The fields in which services explain an error status."""

    model_config = ConfigDict(extra="ignore")

    detail: object = None
    message: object = None
    error: object = None


def fault_error(call: Call, fault: BaseException, redaction: Redaction, *, answering: bool) -> TinkerError:
    """Name the class of what sending raised.

    Args:
        call: What was asked.
        fault: What was raised; the error made from it does not refer to it, because it holds the request.
        redaction: Cleans the text.
        answering: Whether the head of an answer had arrived, so that its body was cut short.
    """
    kind = _fault_class(fault)
    if answering and kind is ServiceUnreachable:
        return InvalidResponse(f"The answer to {call.title} was cut short")
    if kind is ServiceTimeout:
        return ServiceTimeout(f"{call.title} got no whole answer in time")
    text = redaction.clean(str(fault)) or type(fault).__name__
    return kind(f"{call.title} failed: {text}")


def status_error(answer: Answer, redaction: Redaction) -> StatusError:
    """Name the class of an answer that is not 2xx."""
    said = _explanation(answer.body)
    kind = _status_class(answer.status, said)
    message = f"{answer.call.title} was answered {_titled(answer.status)}"
    return kind(
        f"{message}: {redaction.clean(said)}" if said else message,
        status=answer.status,
        retry_after=retry_after(answer.headers),
        should_retry={"true": True, "false": False}.get(answer.headers.get("x-should-retry", "").lower()),
        said=redaction.clean(said) if said else "",
    )


def exchange_error(refusal: StatusError) -> TinkerError:
    """Give the error of a key that could not be exchanged, to be raised by the call that it was exchanged for.

    What the refusal seems to say of a resource, a route or an argument is said of the exchange: whoever made the call
    would take a 404 for the absence of a run. What speaks of the key, of the pace or of the service stays.
    """
    if isinstance(refusal, Unauthorized | Forbidden | BillingRequired) or refusal.transient:
        return refusal
    return UnexpectedStatus(
        refusal.message, "Connect without tokens, or see the log of the Tinker service.", status=refusal.status
    )


def retry_after(headers: httpx.Headers) -> float | None:
    """Read how many seconds the service asks us to wait; a date counts from the answer's own `Date`, not our clock."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        seconds = _number(headers.get(name, ""))
        if seconds is not None:
            return seconds * unit
    until, now = _date(headers.get("retry-after", "")), _date(headers.get("date", ""))
    return None if until is None or now is None else max(0.0, until - now)


def _fault_class(fault: BaseException) -> type[TinkerError]:
    if any(isinstance(cause, ssl.SSLError) for cause in _causes(fault)):
        return TlsFault
    return next((FAULTS[kind] for kind in type(fault).__mro__ if kind in FAULTS), ServiceUnreachable)


def _causes(fault: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while fault is not None and id(fault) not in seen:
        seen.add(id(fault))
        yield fault
        fault = fault.__cause__ or fault.__context__


def _status_class(status: int, said: str | None) -> type[StatusError]:
    """Take a 404 for a missing resource only when it speaks of one: any web server says the bare words."""
    if status == HTTPStatus.NOT_FOUND and (said or "").rstrip(".").lower() in _SAID_BY_ANY_SERVER:
        return RouteMissing
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return ServerFault
    return STATUSES.get(status, UnexpectedStatus)


def _titled(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _explanation(body: bytes) -> str | None:
    """Find what the service says in its own JSON; a page of HTML explains nothing about a Tinker resource."""
    try:
        refusal = _Refusal.model_validate_json(body)
    except ValidationError:
        return None
    said = next((part for part in (refusal.detail, refusal.message, refusal.error) if part), None)
    if isinstance(said, list):
        return "; ".join(_field_fault(item) for item in said)
    return None if said is None else str(said)


def _field_fault(item: object) -> str:
    """Render one entry of a validation error: where and what, without the refused input."""
    if not isinstance(item, dict):
        return str(item)
    where = item.get("loc")
    named = ".".join(str(part) for part in where) if isinstance(where, list) else "request"
    return f"{named}: {item.get('msg', 'refused')}"


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if isfinite(number) and number >= 0 else None


def _date(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
