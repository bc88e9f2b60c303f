"""What the tests of the playground share: a publisher of binaries, a machine without network, a reporter."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.playground.fake_go import install_fake_go
from tests.playground.publisher import Publisher, publisher

from playground.progress import PlainReporter
from playground.settings import Settings

_UNREACHABLE = "http://127.0.0.1:1"


@pytest.fixture
def published() -> Iterator[Publisher]:
    """A web server that publishes nothing yet."""
    with publisher() as server:
        yield server


@pytest.fixture
def said() -> io.StringIO:
    """All that was said to the person who waits."""
    return io.StringIO()


@pytest.fixture
def reporter(said: io.StringIO) -> PlainReporter:
    """A reporter that writes into `said`."""
    return PlainReporter(said)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """An empty cache."""
    return tmp_path / "cache"


@pytest.fixture
def offline(cache: Path, tmp_path: Path) -> Settings:
    """Settings of a machine that reaches nothing, and has a Go that builds."""
    install_fake_go(tmp_path / "go")
    return Settings(
        cache, index_url=_UNREACHABLE, release_url=_UNREACHABLE, search_path=str(tmp_path / "go"), build_bytes=0
    )
