"""Asks an API server whether it answers, with its certificate checked and as the administrator.

`playground.controlplane` waits with it.
"""

from __future__ import annotations

import ssl
from types import TracebackType
from typing import Self

import httpx

from playground.pki import Identity

_TIMEOUT_SECONDS = 5.0


class Probe:
    """A client for simple questions; a context manager.

    Args:
        url: Of the API server.
        ca_pem: Certificate of the only authority it may be checked by.
        identity: Who asks.
    """

    def __init__(self, url: str, ca_pem: str, identity: Identity) -> None:
        context = ssl.create_default_context(cadata=ca_pem)
        context.load_cert_chain(identity.certificate, identity.key)
        # No proxy of the environment stands between us and loopback.
        self._client = httpx.Client(base_url=url, verify=context, trust_env=False, timeout=_TIMEOUT_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def finds(self, path: str) -> bool:
        """Whether the server answers 200 for the path; False while it cannot be reached."""
        try:
            return self._client.get(path).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False
