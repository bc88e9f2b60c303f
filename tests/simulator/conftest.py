"""Simulators to test against: one that is shared, and one for a test alone."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.simulator.bare import KEYS, Served, Wire


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The simulator that tests share; each is an owner of its own there."""
    served = Served(tmp_path_factory.mktemp("shared"))
    served.start()
    yield served
    served.close()


@pytest.fixture(scope="session")
def next_key() -> Callable[[], str]:
    """Keys that no other test has."""
    keys = itertools.cycle(KEYS)
    return lambda: next(keys)


@pytest.fixture
def connect(next_key: Callable[[], str]) -> Iterator[Callable[..., Wire]]:
    """Connect a new owner (or the owner of `key`) to a simulator."""
    opened: list[Wire] = []

    def client(served: Served, key: str | None = None) -> Wire:
        opened.append(Wire(served.url, key or next_key()))
        return opened[-1]

    yield client
    for wired in opened:
        wired.http.close()


@pytest.fixture
def api(shared: Served, connect: Callable[..., Wire]) -> Iterator[Wire]:
    """A new owner at the shared simulator; faults end with the test."""
    client = connect(shared)
    yield client
    assert client.http.delete("/_simulator/faults").status_code == 200


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Served]:
    """A simulator for this test alone, to be ended and started at will."""
    served = Served(tmp_path / "state")
    served.start()
    yield served
    served.close()
