"""The pages with metrics and probes, over real HTTP, read as Prometheus and the kubelet read them."""

from collections.abc import AsyncIterator

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families

from tinker_operator.engine.exposition import Exposition
from tinker_operator.engine.health import Health, Vitals

pytestmark = pytest.mark.http


@pytest.fixture
async def page() -> AsyncIterator[str]:
    """Where a registry with one counter is shown, which counted twice."""
    registry = CollectorRegistry()
    counter = Counter("things_total", "Things.", ("namespace",), registry=registry)
    counter.labels('a "quoted"\nname').inc(2)
    exposition = exposition_of(registry)
    yield f"http://127.0.0.1:{await exposition.start()}/metrics"
    await exposition.stop()


def exposition_of(registry: CollectorRegistry, port: int = 0, health: Health | None = None) -> Exposition:
    return Exposition(registry, health or Health(lambda: 0.0), "127.0.0.1", port)


async def get(url: str, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.get(url, headers=headers)


async def test_it_is_read_by_the_parser_of_the_text_format(page: str) -> None:
    """Whatever stands in a label."""
    answer = await get(page)
    families = text_string_to_metric_families(answer.text)
    samples = [one for family in families for one in family.samples]

    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert ("things_total", {"namespace": 'a "quoted"\nname'}, 2.0) in [(s.name, s.labels, s.value) for s in samples]


async def test_it_is_read_by_the_parser_of_openmetrics_when_asked_for(page: str) -> None:
    """As present versions of Prometheus do."""
    answer = await get(page, accept="application/openmetrics-text; version=1.0.0")
    families = open_metrics(answer.text)  # type: ignore[no-untyped-call]  # has no types
    samples = [one for family in families for one in family.samples]

    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert "things_total" in [one.name for one in samples]


async def test_there_is_nothing_else(page: str) -> None:
    """Neither another page than the three nor another verb."""
    async with httpx.AsyncClient(trust_env=False) as client:
        statuses = [
            (await client.get(page.removesuffix("/metrics") + "/")).status_code,
            (await client.get(page + "/../../etc/passwd")).status_code,
            (await client.post(page, content=b"x")).status_code,
            (await client.post(page.replace("metrics", "healthz"))).status_code,
        ]

    assert statuses == [404, 404, 405, 405]


async def test_an_address_that_is_taken_is_told_and_left_alone(page: str) -> None:
    """Whoever has it keeps it."""
    port = httpx.URL(page).port
    assert port is not None
    with pytest.raises(OSError, match="in use"):
        await exposition_of(CollectorRegistry(), port).start()

    assert (await get(page)).status_code == 200


async def test_the_address_is_free_after_the_end() -> None:
    """Ended twice or never begun, it makes no difference."""
    exposition = exposition_of(CollectorRegistry())
    await exposition.stop()
    port = await exposition.start()
    await exposition.stop()
    await exposition.stop()
    again = exposition_of(CollectorRegistry(), port)

    assert await again.start() == port
    await again.stop()


async def test_the_probes_are_answered_with_the_status_that_the_kubelet_reads() -> None:
    """Alive from the first moment, ready when there is something to take over with, neither when it should be gone."""
    seconds, vitals = [0.0], Vitals(synced=True, leading=False, listed_at=0.0, resync_seconds=300.0)
    health = Health(lambda: seconds[0])
    exposition = exposition_of(CollectorRegistry(), health=health)
    page = f"http://127.0.0.1:{await exposition.start()}"

    async def probed() -> list[tuple[int, str]]:
        answers = [await get(f"{page}/{name}") for name in ("healthz", "readyz")]
        return [(answer.status_code, answer.text.strip()) for answer in answers]

    begun = await probed()
    health.begun(lambda: vitals)
    standing_by = await probed()
    health.ended()
    seconds[0] = 31.0
    stuck = await probed()
    await exposition.stop()

    assert begun == [(200, "the loop turns"), (503, "waits for the API server")]
    assert standing_by == [(200, "the loop turns"), (200, "stands by")]
    assert stuck == [(503, "the engine has ended, and the process does not"), (503, "ends")]
