"""A simulator with a checkpoint, and servers that exports go to."""

from collections.abc import Iterator

import pytest
from tests.exporter.hub_server import HubServer
from tests.exporter.s3_server import S3Server
from tests.exporter.servers import serving
from tests.tinker.conftest import connect, keys, simulator, simulator_url, time, world

__all__ = ["connect", "keys", "simulator", "simulator_url", "time", "world"]


@pytest.fixture
def s3() -> Iterator[tuple[S3Server, str]]:
    """An S3 store, and its address."""
    server = S3Server()
    with serving(server.app()) as url:
        yield server, url


@pytest.fixture
def hub() -> Iterator[tuple[HubServer, str]]:
    """A Hub, and its address."""
    server = HubServer()
    with serving(server.app()) as url:
        yield server, url
