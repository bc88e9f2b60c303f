"""What a connection is made of, checked before anything is sent; used by the transport and by who reads settings."""

import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Final

import httpx
from pydantic import SecretStr

from tinker_operator.tinker.errors import CallNotPossible

KEY_BEGINNINGS: Final = ("tml-", "eyJ")


@dataclass(frozen=True, slots=True)
class Timeouts:
    """The longest that things may take, in seconds; the defaults are those of the official client.

    Args:
        attempt: One attempt of a call, from the first byte sent to the last byte read.
        connect: Making a connection.
        heartbeat: One heartbeat.
        poll: One poll for a result, which the service may hold open.
    """

    attempt: float = 60.0
    connect: float = 5.0
    heartbeat: float = 10.0
    poll: float = 45.0


@dataclass(frozen=True, slots=True)
class SessionTerms:
    """What the session of a client is opened with.

    Args:
        tags: Words to find it by.
        user_metadata: Kept by the service.
        project_id: The project that it and its runs belong to.
        display_name: What people see.
    """

    tags: tuple[str, ...] = ()
    user_metadata: Mapping[str, str] = field(default_factory=dict)
    project_id: str | None = None
    display_name: str | None = None


def checked_key(api_key: SecretStr) -> SecretStr:
    """Give the key without surrounding space (files end with a line break) when it can be one.

    Raises:
        CallNotPossible: It cannot; the message does not hold it.
    """
    if fault := _key_fault(api_key.get_secret_value().strip()):
        raise CallNotPossible(*fault)
    return SecretStr(api_key.get_secret_value().strip())


def _key_fault(key: str) -> tuple[str, str] | None:
    """Judge in a frame that raises nothing, so that no traceback shows the key among its variables."""
    if not key.startswith(KEY_BEGINNINGS):
        return (
            "The Tinker API key is empty or begins neither with tml- (key) nor with eyJ (token)",
            "Set TINKER_API_KEY to a key from the Tinker console.",
        )
    if not (key.isascii() and key.isprintable()) or " " in key:
        return (
            "The Tinker API key contains a space, a line break or a character that is no ASCII",
            "Set TINKER_API_KEY to the key alone, on one line.",
        )
    return None


def checked_base_url(base_url: str) -> str:
    """Give the address without trailing slashes when calls can be appended to it.

    Raises:
        CallNotPossible: It cannot; a user or a query in it is not repeated in the message.
    """
    remedy = "Set TINKER_BASE_URL to http(s)://host[:port][/prefix]."
    try:
        url = httpx.URL(base_url.strip())
    except (httpx.InvalidURL, ValueError):
        url = httpx.URL()
    if url.scheme not in {"http", "https"} or not url.host:
        raise CallNotPossible("The base URL is no http:// or https:// address", remedy)
    if url.userinfo or url.query or url.fragment:
        raise CallNotPossible("The base URL holds a user, a query or a fragment, which cannot be kept", remedy)
    return str(url).rstrip("/?#")


def trusted(ca_pem: str | None) -> ssl.SSLContext:
    """Give what verifies the service's certificate: the given authorities alone, or the usual ones.

    Raises:
        CallNotPossible: The text holds no certificate.
    """
    if ca_pem is None:
        return _usual_authorities()
    # Bundles carry names and comments in other scripts; only the ASCII of the certificates is read.
    certificates = ca_pem.encode("ascii", "ignore").decode()
    if certificates.strip():  # an empty text would mean the usual authorities to ssl
        with suppress(ssl.SSLError, ValueError):
            return ssl.create_default_context(cadata=certificates)
    raise CallNotPossible(
        "The certificate authority (ca.crt) holds no PEM certificate",
        "Give the file that begins with -----BEGIN CERTIFICATE-----.",
    )


def trusted_also(ca_pem: str | None) -> ssl.SSLContext:
    """Give what verifies the certificates of a service's file stores: the usual authorities, and the given ones.

    A service with authorities of its own may have its files at a store of its own, or at a public one.

    Raises:
        CallNotPossible: The text holds no certificate.
    """
    context = httpx.create_ssl_context()
    if ca_pem is not None:
        trusted(ca_pem)
        context.load_verify_locations(cadata=ca_pem.encode("ascii", "ignore").decode())
    return context


@cache
def _usual_authorities() -> ssl.SSLContext:
    """Load them once: it takes longer than a call, and an operator of many accounts has many connections."""
    return httpx.create_ssl_context()
