"""A node takes a range that nobody uses, and its settings agree about who has which address in it."""

from __future__ import annotations

import json
import threading
from ipaddress import IPv4Address, IPv4Network

import pytest
import yaml

from playground.errors import ComponentFailed
from playground.node.alone import alone
from playground.node.files import kubelet_settings, pod_network
from playground.node.network import Network, choose_subnet
from playground.settings import SERVICE_RANGE

pytestmark = pytest.mark.pure

NETWORK = Network("tinker-00000000", IPv4Network("10.111.7.0/24"))


@pytest.mark.parametrize(
    ("used", "chosen"),
    [
        pytest.param([], "10.111.0.0/24", id="the first when nothing is used"),
        pytest.param(["192.168.1.0/24", "127.0.0.0/8"], "10.111.0.0/24", id="the first when others use others"),
        pytest.param(["10.111.0.0/24"], "10.111.1.0/24", id="the next when a node runs"),
        pytest.param(["10.111.0.77/32"], "10.111.1.0/24", id="the next when one address of it is routed"),
        pytest.param(["10.111.0.0/23", "10.111.3.0/24"], "10.111.2.0/24", id="the gap between two"),
    ],
)
def test_the_first_free_range_is_chosen(used: list[str], chosen: str) -> None:
    """No range overlaps what the machine has a route to."""
    assert choose_subnet(map(IPv4Network, used)) == IPv4Network(chosen)


def test_a_machine_that_uses_them_all_is_told() -> None:
    """Somebody whose own network is 10.0.0.0/8 reads what is wrong."""
    with pytest.raises(ComponentFailed, match=r"Every network in 10\.111\.0\.0/16 is in use"):
        choose_subnet([IPv4Network("10.0.0.0/8")])


def test_only_one_chooses_at_a_time() -> None:
    """Two nodes that start together do not choose the same range."""
    inside: list[int] = []
    most: list[int] = []

    def choose() -> None:
        with alone("test-of-network"):
            inside.append(1)
            most.append(len(inside))
            inside.pop()

    threads = [threading.Thread(target=choose) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert most == [1, 1, 1, 1]


def test_who_waits_too_long_is_told() -> None:
    """A lock that is never given back does not hang its taker."""
    with (
        alone("test-of-waiting"),
        pytest.raises(ComponentFailed, match="Another node has been"),
        alone("test-of-waiting", 0.0),
    ):
        pytest.fail("two were inside")


def test_pods_get_addresses_that_are_nobody_elses() -> None:
    """Machine and node keep theirs; Pods reach the API server's address through the node, all else at the machine."""
    (bridge,) = json.loads(pod_network(NETWORK))["plugins"]
    ((pods,),) = bridge["ipam"]["ranges"]
    routes = {route["dst"]: route["gw"] for route in bridge["ipam"]["routes"]}

    assert IPv4Address(pods["rangeStart"]) > max(map(IPv4Address, (NETWORK.host_address, NETWORK.node_address)))
    assert routes == {SERVICE_RANGE: NETWORK.node_address, "0.0.0.0/0": NETWORK.host_address}


def test_the_kubelet_serves_nobody_unknown() -> None:
    """It listens at the node's address only, asks for certificates or tokens, and lets the API server decide."""
    settings = yaml.safe_load(kubelet_settings(NETWORK, "group"))

    assert settings["address"] == NETWORK.node_address
    assert settings["authentication"]["anonymous"] == {"enabled": False}
    assert settings["authorization"] == {"mode": "Webhook"}
    assert (settings["readOnlyPort"], settings["healthzPort"]) == (0, 0)
