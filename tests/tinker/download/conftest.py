"""What every download begins with."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.tinker.download.world import MIB, World
from tests.tinker.download_store import (
    Content,
    FakeStore,
)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A store with one file of three mebibytes."""
    async with FakeStore({"a.bin": Content(3 * MIB)}).serving() as store:
        yield World(store, tmp_path)
