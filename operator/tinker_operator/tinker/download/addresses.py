"""Keeps downloads out of networks that are none of their business; the store connects through here.

Whoever names an address for a download (a service, a redirect, a name server) could name one inside the network that
the operator runs in. The check is made on the very address that is connected to, so that a name which resolves
differently the second time gains nothing.
"""

import asyncio
import ipaddress
import re
import socket
from collections.abc import Iterable
from contextlib import suppress
from enum import IntEnum
from typing import Any, Final

import httpcore

from tinker_operator.tinker.download.errors import UnsafeAddress

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
SocketOption = tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]
_TRANSLATED: Final = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("::/96"))
"""Networks whose last four bytes are an address of IPv4; the second one is obsolete, and some systems know it."""
_OF_CLOUDS: Final = frozenset(map(ipaddress.ip_address, ("fd00:ec2::254", "100.100.100.200", "168.63.129.16")))
"""Where clouds serve credentials beside link-local addresses: AWS over IPv6, Alibaba, Azure."""
_OLD_SPELLING: Final = re.compile(
    r"(?:0[xX][0-9a-fA-F]{1,8}|[0-9]{1,10})(?:\.(?:0[xX][0-9a-fA-F]{1,8}|[0-9]{1,10})){0,3}"
)


class Reach(IntEnum):
    """How far an address reaches; who lives in one may be sent to it, and to what is above it, as `may_send` says."""

    SPECIAL = 0
    """Link-local (where clouds serve credentials), multicast, unspecified: never, not even from one to another."""
    LOOPBACK = 1
    PRIVATE = 2
    GLOBAL = 3


def reach_of(address: IpAddress) -> Reach:
    """Say how far an address reaches; one that wraps another is judged by the wrapped one."""
    address = _unwrapped(address)
    if address.is_link_local or address.is_multicast or address.is_unspecified or address in _OF_CLOUDS:
        return Reach.SPECIAL
    if address.is_loopback:
        return Reach.LOOPBACK
    return Reach.GLOBAL if address.is_global else Reach.PRIVATE


def _unwrapped(address: IpAddress) -> IpAddress:
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if int(address) > 1 and any(address in network for network in _TRANSLATED):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else address)


def may_send(service: Reach, there: Reach) -> bool:
    """Say whether a service at one reach may send a download to another: outwards or to its equals, never inwards."""
    return there is not Reach.SPECIAL and (there is Reach.GLOBAL or service <= there)


class GuardedNetwork(httpcore.AsyncNetworkBackend):
    """Connects to the addresses that the service may send a download to, and to no other.

    Args:
        service_host: The host of the service's base URL; what it reaches, its downloads may.
    """

    def __init__(self, service_host: str) -> None:
        self._service_host = service_host.strip("[]")
        self._service: Reach | None = None
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the signature is httpcore's
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address of the host that answers; all of them must be allowed.

        Raises:
            UnsafeAddress: One of them is not.
            httpcore.ConnectError: There is none, or none answers.
            httpcore.ConnectTimeout: Not in time.
        """
        try:
            async with asyncio.timeout(timeout):
                addresses = await self._allowed(host)
        except TimeoutError:
            raise httpcore.ConnectTimeout("the name was not resolved in time") from None
        fault: httpcore.ConnectError | httpcore.ConnectTimeout = httpcore.ConnectError("the name has no address")
        for address in addresses:
            try:
                return await self._network.connect_tcp(str(address), port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as refused:
                fault = refused
        raise fault

    async def connect_unix_socket(self, *_: Any, **__: Any) -> httpcore.AsyncNetworkStream:
        """Refuse: no download comes from a socket of this machine."""
        raise UnsafeAddress("A download from a local socket was asked for")

    async def sleep(self, seconds: float) -> None:
        """Wait, as the pool asks."""
        await self._network.sleep(seconds)

    async def _allowed(self, host: str) -> list[IpAddress]:
        addresses = await resolved(host)
        if any(reach_of(address) is not Reach.GLOBAL for address in addresses):
            service = await self._reach_of_service()
            if not all(may_send(service, reach_of(address)) for address in addresses):
                raise UnsafeAddress(f"The download leads to {host}, inside a network that is not the service's own")
        return addresses

    async def _reach_of_service(self) -> Reach:
        """Ask once; a service that is both inside and outside counts as outside."""
        if self._service is None:
            found = [reach_of(address) for address in await resolved(self._service_host)]
            self._service = max(found, default=Reach.GLOBAL)
        return self._service


async def resolved(host: str) -> list[IpAddress]:
    """Give the addresses of a host, none when it has none."""
    literal = literal_address(host)
    if literal is not None:
        return [literal]
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    texts = dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found)
    return [ipaddress.ip_address(text) for text in texts]


def literal_address(host: str) -> IpAddress | None:
    """Read a host that is an address and no name, also in the spellings that systems understand; None for a name."""
    with suppress(ValueError):
        return ipaddress.ip_address(host.strip("[]").partition("%")[0])
    if _OLD_SPELLING.fullmatch(host):
        with suppress(OSError):
            return ipaddress.IPv4Address(socket.inet_aton(host))
    return None
