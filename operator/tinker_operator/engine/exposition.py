"""Shows the metrics over HTTP, in the form that Prometheus scrapes, and answers the kubelet's probes beside them."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TypeAlias

import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from tinker_operator.engine.health import Health, Verdict

Page: TypeAlias = Callable[[web.Request], Awaitable[web.Response]]
log = structlog.get_logger(__name__)


class AddressUnusable(Exception):
    """The address of metrics and probes cannot be listened on; the message is one line that says why and the remedy."""


class Exposition:
    """A small HTTP server with three pages: /metrics, /healthz and /readyz.

    Args:
        registry: What is shown.
        health: Answers the probes.
        host: Address to listen on.
        port: Port; 0 for any that is free.
    """

    def __init__(self, registry: CollectorRegistry, health: Health, host: str, port: int) -> None:
        self._registry = registry
        self._health = health
        self._host, self._port = host, port
        self._runner: web.AppRunner | None = None

    async def start(self) -> int:
        """Begins to serve and returns the port.

        Raises:
            OSError: The address cannot be listened on.
        """
        app = web.Application()
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/healthz", _probe(self._health.liveness))
        app.router.add_get("/readyz", _probe(self._health.readiness))
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port).start()
        except OSError:
            await self.stop()
            raise
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Ends serving."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _metrics(self, request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(self._registry), headers={"Content-Type": content_type})


@asynccontextmanager
async def exposed(address: tuple[str, int] | None, registry: CollectorRegistry, health: Health) -> AsyncIterator[None]:
    """Serves the pages for as long as it is entered.

    Args:
        address: Host and port; None to serve none.
        registry: What is shown.
        health: Answers the probes.

    Raises:
        AddressUnusable: The address cannot be listened on.
    """
    if address is None:
        yield
        return
    host, port = address
    exposition = Exposition(registry, health, host, port)
    try:
        log.info("metrics_served", host=host, port=await exposition.start())
    except OSError as error:
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else type(error).__name__
        told = f"--metrics-address: {host} port {port} cannot be listened on: {why}. Give an address that is free."
        raise AddressUnusable(told) from None
    try:
        yield
    finally:
        await exposition.stop()


def _probe(judge: Callable[[], Verdict]) -> Page:
    async def answer(request: web.Request) -> web.Response:
        del request
        verdict = judge()
        status = HTTPStatus.OK if verdict.well else HTTPStatus.SERVICE_UNAVAILABLE
        return web.Response(text=f"{verdict.told}\n", status=status, headers={"Cache-Control": "no-store"})

    return answer
