"""What a store's answer to a request for a file, or for the rest of one, means; pure, so that each case has a name."""

import re
from dataclasses import dataclass, field
from enum import Enum, auto
from http import HTTPStatus
from typing import Final

import httpx

from tinker_operator.tinker.download.digests import promise_of
from tinker_operator.tinker.download.part import Version
from tinker_operator.tinker.faults import retry_after

_RANGE: Final = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")
_EXPIRED: Final = frozenset({400, 401, 403, 404, 410})
"""How stores say that a signature has ended, or that what it opened is gone: the service knows which."""
_PASSING: Final = frozenset({408, 425, 429})


class Meaning(Enum):
    """What to do with an answer."""

    WHOLE = auto()
    """The body is the file from its first byte."""
    REST = auto()
    """The body goes on where we are."""
    CHANGED = auto()
    """What we have is of no use: ask for the whole."""
    EXPIRED = auto()
    """The address has to be signed anew."""
    PASSING = auto()
    """Ask again later."""
    REFUSED = auto()
    """Nothing helps."""


@dataclass(frozen=True, slots=True)
class Offer:
    """An answer, understood.

    Args:
        meaning: What to do.
        status: The HTTP status.
        version: Which content the body is of.
        retry_after: Seconds the store asks us to wait; None when it did not say.
    """

    meaning: Meaning
    status: int
    version: Version = field(default_factory=Version)
    retry_after: float | None = None


def understood(response: httpx.Response, offset: int, have: Version) -> Offer:
    """Say what an answer means.

    Args:
        response: Its head is read; its body is not touched.
        offset: The first byte that was asked for; 0 when the whole was.
        have: The version that is on disk up to there.
    """
    status = response.status_code
    if status == HTTPStatus.OK and _is_plain(response.headers):
        return Offer(Meaning.WHOLE, status, _whole_version(response.headers))
    if status == HTTPStatus.PARTIAL_CONTENT and _is_plain(response.headers):
        version = _rest_version(response.headers, offset, have)
        return Offer(Meaning.CHANGED, status) if version is None else Offer(Meaning.REST, status, version)
    if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        return Offer(Meaning.CHANGED, status)
    if status in _EXPIRED:
        return Offer(Meaning.EXPIRED, status)
    if status in _PASSING or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Offer(Meaning.PASSING, status, retry_after=retry_after(response.headers))
    return Offer(Meaning.REFUSED, status)


def _is_plain(headers: httpx.Headers) -> bool:
    """Refuse a body that was compressed for the journey: neither ranges nor lengths would be the file's."""
    return headers.get("content-encoding", "identity").strip().lower() in {"", "identity"}


def _whole_version(headers: httpx.Headers) -> Version:
    size = _number(headers.get("content-length", ""))
    return Version(_strong(headers), headers.get("last-modified"), size, promise_of(headers, whole=True))


def _rest_version(headers: httpx.Headers, offset: int, have: Version) -> Version | None:
    """Give the version, completed by what this answer says, when the range is the one asked for and of one content."""
    match = _RANGE.fullmatch(headers.get("content-range", "").strip())
    if not offset or match is None or int(match[1]) != offset:
        return None
    size = None if match[3] == "*" else int(match[3])
    if size is not None and (int(match[2]) != size - 1 or have.size not in {None, size}):
        return None
    if not _may_be_same(headers, have):
        return None
    promise = promise_of(headers, whole=False) or have.promise
    return Version(have.etag, have.last_modified, have.size if have.size is not None else size, promise)


def _may_be_same(headers: httpx.Headers, have: Version) -> bool:
    """Compare what both say: stores that do not know `If-Range` send the rest of whatever they have now."""
    etag, dated = headers.get("etag", "").removeprefix("W/"), headers.get("last-modified", "")
    if have.etag is not None and etag:
        return bool(etag == have.etag)
    return have.last_modified is None or dated in {"", have.last_modified}


def _strong(headers: httpx.Headers) -> str | None:
    """Give the tag when it stands for one sequence of bytes; a weak one stands for several."""
    tag = headers.get("etag", "")
    return tag if tag.startswith('"') and tag.endswith('"') and len(tag) > len('""') else None


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None  # noqa: PLR2004 - 64 bits
