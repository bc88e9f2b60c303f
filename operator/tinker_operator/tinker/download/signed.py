"""What a service answers when it is asked for a checkpoint's files: addresses that open them to whoever knows them.

The addresses are secrets: they are kept as such from the moment they are read, and shown without their query.
"""

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import PurePosixPath, PureWindowsPath
from typing import Final, Protocol

import httpx
from pydantic import SecretStr

from tinker_operator.tinker.download.errors import ExportEmpty, UnsafeAddress, UnsafeFileName

MOST_FILES: Final = 10_000
_LONGEST_PART: Final = 200
"""In bytes: file systems take 255, and a name may get an ending while it is written."""
_LONGEST_NAME: Final = 1000
_DEEPEST_NAME: Final = 32


@dataclass(frozen=True, slots=True)
class SignedFiles:
    """The files of a checkpoint.

    Args:
        urls: File name relative to the checkpoint → address.
        expires: When the addresses end, aware; None when the service did not say.
        archive: Whether the one file is an archive (tar, tar.gz) of the checkpoint.
        total_bytes: What all files come to; None when the service did not say.

    Raises:
        ExportEmpty: There is no file.
        UnsafeFileName: A name would lie outside of the folder, or two names collide.
    """

    urls: Mapping[str, SecretStr] = field(repr=False)
    expires: datetime | None = None
    archive: bool = False
    total_bytes: int | None = None

    def __post_init__(self) -> None:
        if not self.urls:
            raise ExportEmpty("The service names no file of the checkpoint")
        if len(self.urls) > MOST_FILES:
            raise UnsafeFileName(f"The service names {len(self.urls)} files, more than {MOST_FILES}")
        for name in self.urls:
            checked_name(name)
        if (clash := _collision(self.urls)) is not None:
            raise UnsafeFileName(
                f"The service names {clash[:120]!a} and something that is the same on some file systems"
            )


class FileSource(Protocol):
    """Where signed addresses come from; asked again when they expire."""

    async def urls(self) -> SignedFiles:
        """Give the files under fresh addresses.

        Raises:
            TinkerError: The service refuses, or could not be asked.
        """


def checked_name(name: str) -> PurePosixPath:
    """Give the name of a file as a path that stays below its folder.

    Raises:
        UnsafeFileName: It does not, or could not be written everywhere.
    """
    if fault := name_fault(name):
        raise UnsafeFileName(f"The service names a file {name[:120]!a}, which {fault}")
    return PurePosixPath(name)


def name_fault(name: str) -> str | None:
    """Say why a name from outside cannot be written below a folder; None when it can."""
    if not name or len(name) > _LONGEST_NAME:
        return "is empty" if not name else "is too long"
    if not name.isprintable() or "\\" in name:
        return "holds a control character or a backslash"
    parts = name.split("/")
    if any(part in {"", ".", ".."} for part in parts):
        return "would lie outside of its folder" if ".." in parts or not parts[0] else "has an empty part"
    if any(PureWindowsPath(part).drive for part in parts):
        return "would lie outside of its folder"
    if len(parts) > _DEEPEST_NAME or any(len(part.encode("utf-8", "surrogatepass")) > _LONGEST_PART for part in parts):
        return "is too long"
    return None


def _collision(names: Iterable[str]) -> str | None:
    """Give a file or folder that would overwrite another where case, or the way accents are written, is nothing."""
    found: dict[str, str] = {}
    for name in names:
        parts = name.split("/")
        for end in range(1, len(parts) + 1):
            text = "/".join(parts[:end]) + "/" * (end < len(parts))
            folded = unicodedata.normalize("NFC", unicodedata.normalize("NFD", text).casefold()).rstrip("/")
            if found.setdefault(folded, text) != text:
                return text
    return None


def address_of(url: SecretStr) -> httpx.URL:
    """Read a signed address.

    Raises:
        UnsafeAddress: It is no address that files are fetched from.
    """
    try:
        address = httpx.URL(url.get_secret_value())
    except (httpx.InvalidURL, ValueError):
        address = httpx.URL()
    return checked_address(address)


def checked_address(address: httpx.URL) -> httpx.URL:
    """Give the address when it is http or https to some host.

    Raises:
        UnsafeAddress: It is not.
    """
    if address.scheme not in {"http", "https"} or not address.host:
        raise UnsafeAddress("The service gives an address for the download that is no http:// or https://")
    return address


def identity_of(address: httpx.URL) -> str:
    """Give what stays of an address when it is signed anew: no user, no query."""
    return f"{address.scheme}://{address.host}:{address.port or ''}{address.path}"
