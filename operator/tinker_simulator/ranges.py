"""Which bytes of a file a request asks for, by the rules of HTTP (RFC 9110, sections 13 and 14)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime

from tinker_simulator.answers import ApiError

_ONE_RANGE = re.compile(r"bytes=(?P<first>\d*)-(?P<last>\d*)")


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a file, as caches and resumed downloads tell it from others."""

    size: int
    modified_ns: int

    @property
    def etag(self) -> str:
        """The strong validator."""
        return f'"{self.modified_ns:x}-{self.size:x}"'

    @property
    def last_modified(self) -> str:
        """The date, to the second."""
        return format_datetime(datetime.fromtimestamp(self.modified_ns // 10**9, UTC), usegmt=True)


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes `first` to `last`, both included; of an empty file `last` is -1."""

    first: int
    last: int

    @property
    def length(self) -> int:
        """How many bytes."""
        return self.last - self.first + 1


def is_known(headers: Mapping[str, str], version: Version) -> bool:
    """Whether the client says that it has this version already."""
    known = [tag.strip().removeprefix("W/") for tag in headers.get("If-None-Match", "").split(",")]
    return version.etag in known or "*" in known


def asked_part(headers: Mapping[str, str], version: Version) -> Part | None:
    """The part to send; None for the whole file.

    Several ranges at once, units other than bytes and what is no range are answered with the whole file, as the
    rules allow; so is a range of a version that is not there any more.

    Raises:
        ApiError: 416, the file has no such bytes.
    """
    match = _ONE_RANGE.fullmatch(headers.get("Range", ""))
    if match is None or not (match["first"] or match["last"]) or not _is_same(headers.get("If-Range"), version):
        return None
    first, last = _bounds(match["first"], match["last"], version.size)
    if match["first"] and match["last"] and int(match["last"]) < first:
        return None
    if first >= version.size:
        raise ApiError(
            416,
            f"The file has {version.size} bytes. Ask for some of them.",
            {"Content-Range": f"bytes */{version.size}"},
        )
    return Part(first, last)


def _bounds(first: str, last: str, size: int) -> tuple[int, int]:
    if not first:
        tail = int(last)
        return (max(0, size - tail) if tail else size), size - 1
    return int(first), min(int(last), size - 1) if last else size - 1


def _is_same(condition: str | None, version: Version) -> bool:
    return condition is None or condition in {version.etag, version.last_modified}
