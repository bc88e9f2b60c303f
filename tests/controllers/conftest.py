"""What the tests of the controllers share: a service to call over real HTTP."""

from collections.abc import Iterator

import pytest
from tests.simulator.bare import Served


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One simulator for the module."""
    simulator = Served(tmp_path_factory.mktemp("served"))
    simulator.start()
    yield simulator
    simulator.close()
