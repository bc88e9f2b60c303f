"""A client in its session, at a service that is laid out by the test."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from tests.tinker.live.service import Enter, Service, Ticks

from tinker_operator.tinker import (
    RetryPolicy,
    TinkerClient,
)


@pytest.fixture
def ticks() -> Ticks:
    return Ticks()


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
async def enter(ticks: Ticks, service: Service) -> AsyncIterator[Enter]:
    """Connect clients that the test leaves; when it is over, no task is left."""
    before = asyncio.all_tasks()

    def make(**settings: Any) -> TinkerClient:
        usual: dict[str, Any] = {
            "keeper": ticks.keeper(),
            "carrier": httpx.MockTransport(service),
            "retry": RetryPolicy(max_attempts=1),
        }
        return TinkerClient("https://x.test", SecretStr("tml-k"), **(usual | settings))

    yield make
    assert {task for task in asyncio.all_tasks() if task is not asyncio.current_task()} - before == set()
