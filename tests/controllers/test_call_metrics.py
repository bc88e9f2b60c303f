"""Requests are counted by what they ask for and what came of them, whatever that is."""

import asyncio
import contextlib
from collections.abc import Callable

import httpx
import pytest
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from tinker_operator.controllers.call_metrics import CallMetrics
from tinker_operator.tinker import RetryPolicy, TinkerClient
from tinker_operator.tinker.errors import TinkerError

pytestmark = pytest.mark.pure

ROUTE = {"method": "GET", "route": "training_runs/{id}"}
Handler = Callable[[httpx.Request], httpx.Response]


def refused(_request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("nobody there")


def answering(status: int) -> Handler:
    return lambda _request: httpx.Response(status, json={})


async def asked(handler: Handler, registry: CollectorRegistry) -> None:
    """Asks for two runs, with two attempts for each."""
    client = TinkerClient(
        "https://tinker.test",
        SecretStr("tml-secret"),
        retry=RetryPolicy(initial_seconds=0, max_attempts=2),
        carrier=httpx.MockTransport(handler),
        watch=CallMetrics(registry, iter(range(100)).__next__),
    )
    async with client:
        for run in ("first:train:0", "second:train:0"):
            with contextlib.suppress(TinkerError):
                await client.get_training_run(run)


@pytest.mark.parametrize(
    ("handler", "code", "count"),
    [
        pytest.param(answering(200), "200", 2, id="an answer"),
        pytest.param(answering(404), "404", 2, id="a refusal, which is not asked again"),
        pytest.param(answering(503), "503", 4, id="a failure, and each attempt counts"),
        pytest.param(refused, "ServiceUnreachable", 4, id="no answer at all"),
    ],
)
async def test_each_request_is_counted_by_what_came_of_it(handler: Handler, code: str, count: int) -> None:
    """Under one route for all runs; the clock goes a second with each look at it."""
    registry = CollectorRegistry()
    await asked(handler, registry)

    assert registry.get_sample_value("tinker_operator_service_requests_total", {**ROUTE, "code": code}) == count
    seconds = "tinker_operator_service_request_duration_seconds"
    assert registry.get_sample_value(f"{seconds}_count", ROUTE) == count
    assert registry.get_sample_value(f"{seconds}_sum", ROUTE) == count


async def test_a_request_that_nobody_waits_for_is_counted_too() -> None:
    """Or a service that hangs would look like one that is not asked."""
    registry, sent = CollectorRegistry(), asyncio.Event()

    async def hang(_request: httpx.Request) -> httpx.Response:
        sent.set()
        await asyncio.Event().wait()
        raise AssertionError

    asking = asyncio.create_task(asked(hang, registry))  # type: ignore[arg-type]
    await asyncio.wait_for(sent.wait(), 10)
    asking.cancel()
    await asyncio.wait({asking})

    requests = "tinker_operator_service_requests_total"
    assert registry.get_sample_value(requests, {**ROUTE, "code": "Cancelled"}) == 1
