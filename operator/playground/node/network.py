"""The network of one node: a range that nobody uses, and the one link between the node and the machine.

    machine (host_address) ══ link ══ bridge in the node's own network namespace ── Pods

Machine, node and Pods share one segment, so nothing is routed, translated or filtered, and no setting of the machine
changes. A Pod reaches what listens on the host address; it reaches nothing beyond the machine. The link ends with the
network namespace at its other end. `playground.node.node` chooses, `playground.node.cell` connects.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Any

from playground.errors import ComponentFailed
from playground.settings import SERVICE_RANGE

BRIDGE = "pods"
_RANGES = IPv4Network("10.111.0.0/16")
_FIRST_POD = 10


@dataclass(frozen=True, slots=True)
class Network:
    """One /24: .1 is the machine, .2 the node, from .10 on are Pods.

    Attributes:
        link: Name of the machine's end of the link.
        subnet: The range.
    """

    link: str
    subnet: IPv4Network

    @property
    def host_address(self) -> str:
        """Where a service on the machine listens so that Pods reach it."""
        return str(self.subnet[1])

    @property
    def node_address(self) -> str:
        """Where the kubelet listens."""
        return str(self.subnet[2])

    @property
    def first_pod(self) -> str:
        """The first address that a Pod gets."""
        return str(self.subnet[_FIRST_POD])

    def with_prefix(self, address: str) -> str:
        """The address as `ip address add` wants it."""
        return f"{address}/{self.subnet.prefixlen}"


def choose_subnet(used: Iterable[IPv4Network]) -> IPv4Network:
    """The first /24 of ours that overlaps nothing that is used.

    Args:
        used: Ranges that the machine has an address in or a route to.

    Raises:
        ComponentFailed: All are used.
    """
    taken = [*used, IPv4Network(SERVICE_RANGE)]
    for subnet in _RANGES.subnets(new_prefix=24):
        if not any(subnet.overlaps(other) for other in taken):
            return subnet
    raise ComponentFailed(f"Every network in {_RANGES} is in use here.", "Stop the nodes that still run.")


def used_subnets(ip: str) -> list[IPv4Network]:
    """The ranges that this machine has a route to, the default route left out.

    Args:
        ip: The program of iproute2.
    """
    command = [ip, "-json", "-4", "route", "show", "table", "all"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)  # noqa: S603 -- iproute2
    routes: list[dict[str, Any]] = json.loads(answer.stdout or "[]")
    return [IPv4Network(route["dst"], strict=False) for route in routes if route["dst"] != "default"]
