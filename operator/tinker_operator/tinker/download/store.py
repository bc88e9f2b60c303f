"""Asks file stores for bytes: without the key, without cookies, and without a word of the address in any log.

Not the client of httpx but its transport: the client writes each address, signature and all, into the log, and it
would follow redirects on its own.
"""

import ssl
import urllib.request
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Final, Self

import httpcore
import httpx

from tinker_operator.tinker.download.addresses import GuardedNetwork, Reach, literal_address, reach_of
from tinker_operator.tinker.download.errors import DownloadInterrupted, DownloadRefused, UnsafeAddress
from tinker_operator.tinker.download.signed import checked_address
from tinker_operator.tinker.errors import TinkerError, TlsFault
from tinker_operator.tinker.unheard import unheard

MOST_REDIRECTS: Final = 5
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


class _GuardedTransport(httpx.AsyncHTTPTransport):
    """The transport of httpx over a network that refuses addresses, which httpx has no argument for."""

    def __init__(self, tls: ssl.SSLContext, network: httpcore.AsyncNetworkBackend) -> None:
        super().__init__(verify=tls)
        self._pool = httpcore.AsyncConnectionPool(ssl_context=tls, network_backend=network)


def environment_proxy(address: httpx.URL) -> str | None:
    """Give the proxy that the environment names for an address, as curl and httpx read it."""
    if urllib.request.proxy_bypass(address.host):
        return None
    proxies = urllib.request.getproxies()
    return proxies.get(address.scheme) or proxies.get("all")


class Store:
    """The file stores that one service sends its downloads to; an asynchronous context manager.

    Args:
        service_url: The service's base URL: a service inside a private network may have its store there too.
        tls: What verifies certificates; the usual authorities when left out.
        silence_seconds: How long a store may send nothing before the connection counts as lost.
        proxy_for: The proxy for an address, None to go there directly. Behind a proxy only addresses that are written
            as numbers are checked here; names are the proxy's to resolve.
    """

    def __init__(
        self,
        service_url: str,
        *,
        tls: ssl.SSLContext | None = None,
        silence_seconds: float = 30.0,
        proxy_for: Callable[[httpx.URL], str | None] = environment_proxy,
    ) -> None:
        self._tls = tls or httpx.create_ssl_context()
        self._service_host = httpx.URL(service_url).host
        self._direct = _GuardedTransport(self._tls, GuardedNetwork(self._service_host))
        self._proxied: dict[str, httpx.AsyncHTTPTransport] = {}
        self._proxy_for = proxy_for
        self._timeout = httpx.Timeout(silence_seconds, connect=min(10.0, silence_seconds))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        for transport in (self._direct, *self._proxied.values()):
            await transport.aclose()

    @asynccontextmanager
    async def opened(self, address: httpx.URL, headers: Mapping[str, str]) -> AsyncIterator[httpx.Response]:
        """Ask for a file and give the answer that no redirect follows, its body still to be read.

        Raises:
            UnsafeAddress: The address, or one that a redirect leads to, must not be asked.
            DownloadRefused: There are too many redirects, or one leads nowhere.
        """
        with unheard():
            response = await self._followed(address, headers)
            try:
                yield response
            finally:
                await response.aclose()

    async def _followed(self, address: httpx.URL, headers: Mapping[str, str]) -> httpx.Response:
        for _ in range(MOST_REDIRECTS + 1):
            response = await self._asked(address, headers)
            if response.status_code not in _REDIRECTS:
                return response
            await response.aclose()
            address = _redirected(address, response.headers.get("location", ""))
        raise DownloadRefused(f"The store redirects the download more than {MOST_REDIRECTS} times")

    async def _asked(self, address: httpx.URL, headers: Mapping[str, str]) -> httpx.Response:
        usual = {
            "User-Agent": f"tinker-operator/{version('tinker-operator')}",
            "Accept": "*/*",
            "Accept-Encoding": "identity",  # lengths and ranges count what is sent
        }
        extensions = {"timeout": self._timeout.as_dict()}
        bare = address.copy_with(username="", password="", fragment=None)
        request = httpx.Request("GET", bare, headers=usual | dict(headers), extensions=extensions)
        return await self._transport_to(address).handle_async_request(request)

    def _transport_to(self, address: httpx.URL) -> httpx.AsyncHTTPTransport:
        proxy = self._proxy_for(address)
        if proxy is None:
            return self._direct
        self._check_literal(address.host)
        if proxy not in self._proxied:
            self._proxied[proxy] = httpx.AsyncHTTPTransport(verify=self._tls, proxy=proxy)
        return self._proxied[proxy]

    def _check_literal(self, host: str) -> None:
        literal = literal_address(host)
        inside = f".{host.rstrip('.')}".endswith(".localhost") or (
            literal is not None and reach_of(literal) is not Reach.GLOBAL
        )
        if inside and host != self._service_host:
            raise UnsafeAddress(f"The download leads to {host}, inside a network that is not the service's own")


def _redirected(address: httpx.URL, location: str) -> httpx.URL:
    try:
        there = address.join(location)
    except (httpx.InvalidURL, ValueError):
        there = httpx.URL()
    if address.scheme == "https" and there.scheme == "http":
        raise UnsafeAddress(f"The store at {address.host} redirects the download from https to http")
    return checked_address(there)


def store_fault(fault: BaseException, host: str) -> TinkerError:
    """Say what a fault of the connection means; the error does not refer to the fault, which holds the address."""
    if _is_of_tls(fault):
        return TlsFault(
            f"The certificate of the store {host} was refused",
            "Give its authority by SSL_CERT_FILE and download again.",
        )
    if isinstance(fault, httpx.ConnectError | httpx.ConnectTimeout):
        return DownloadInterrupted(f"The store {host} cannot be reached")
    if isinstance(fault, httpx.TimeoutException):
        return DownloadInterrupted(f"The store {host} went silent")
    return DownloadInterrupted(f"The connection to the store {host} broke ({type(fault).__name__})")


def _is_of_tls(fault: BaseException | None) -> bool:
    for _ in range(MOST_REDIRECTS):
        if isinstance(fault, ssl.SSLCertVerificationError):
            return True
        fault = fault and (fault.__cause__ or fault.__context__)
    return False
