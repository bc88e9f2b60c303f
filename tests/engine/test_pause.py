"""A pause that the API server asks for: kept by all who share the connection, but for the Lease."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web
from kubernetes.aio.client import Configuration

from tinker_operator.engine.keys import ObjectKey, Resource
from tinker_operator.engine.kube import KubeApi
from tinker_operator.engine.kube_errors import KubeUnavailable
from tinker_operator.engine.pause import LONGEST_SECONDS, SharedPause
from tinker_operator.engine.transport import Transport

WIDGETS = Resource("g.dev", "v1", "widgets", "Widget")
LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease")
PAUSE = 1
"""Seconds, the shortest that the header can say."""


@pytest.mark.pure
@pytest.mark.parametrize(
    ("asked", "waited"),
    [
        pytest.param([7.0], 7.0, id="as long as asked"),
        pytest.param([7.0, 2.0], 7.0, id="a shorter one takes nothing off a longer one"),
        pytest.param([3600.0], LONGEST_SECONDS, id="never for an hour"),
        pytest.param([], 0.0, id="not at all when nobody asked"),
    ],
)
def test_everybody_waits_until_the_pause_is_over(run_jumping: Any, asked: list[float], waited: float) -> None:
    async def main(clock: Callable[[], float]) -> None:
        pause = SharedPause()
        for seconds in asked:
            pause.begin(seconds)
        await asyncio.gather(*(pause.over() for _ in range(3)))
        assert clock() == pytest.approx(waited)

    run_jumping(main)


@pytest.mark.pure
def test_a_pause_that_is_lengthened_meanwhile_is_kept_to_its_end(run_jumping: Any) -> None:
    async def main(clock: Callable[[], float]) -> None:
        pause = SharedPause()
        pause.begin(3)
        asyncio.get_running_loop().call_later(2, pause.begin, 5)
        await pause.over()
        assert clock() == pytest.approx(7)

    run_jumping(main)


class Busy:
    """An API server that asks for a pause once, and notes when it was asked for what."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, float]] = []
        self.refusals = 1

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append((f"{request.method} {request.path.rsplit('/', 2)[-2]}", asyncio.get_running_loop().time()))
        if self.refusals:
            self.refusals -= 1
            return web.json_response({"kind": "Status"}, status=429, headers={"Retry-After": str(PAUSE)})
        return web.json_response({"metadata": {"resourceVersion": "2"}})


@pytest.fixture
async def busy() -> AsyncIterator[tuple[Busy, KubeApi]]:
    """It, and a client."""
    server = Busy()
    app = web.Application()
    app.router.add_route("*", "/{anything:.*}", server.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    async with KubeApi(Transport(Configuration(host=f"http://127.0.0.1:{runner.addresses[0][1]}"))) as api:
        yield server, api
    await runner.cleanup()


@pytest.mark.http
async def test_what_one_writer_is_told_all_heed_and_the_lease_goes_on(busy: tuple[Busy, KubeApi]) -> None:
    """Statuses, events and reads wait together; who was refused is told so, and comes back by its own back-off."""
    server, api = busy
    with pytest.raises(KubeUnavailable) as refused:
        await api.patch_status(WIDGETS, ObjectKey("Widget", "n", "a"), {"seen": 1}, "1")
    began = server.asked[0][1]
    await asyncio.gather(
        api.patch_status(WIDGETS, ObjectKey("Widget", "n", "b"), {"seen": 1}, "1"),
        api.create(WIDGETS, "n", {"metadata": {"name": "c"}}),
        api.get_object(WIDGETS, "n", "d"),
        api.get_object(LEASES, "n", "e"),
    )
    waits = {what: at - began >= PAUSE for what, at in server.asked[1:]}

    assert refused.value.retry_after == PAUSE
    assert waits == {"GET leases": False, "PATCH b": True, "POST n": True, "GET widgets": True}
