"""The page with the metrics, over real HTTP, read as Prometheus reads it."""

from collections.abc import AsyncIterator

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families

from tinker_operator.engine.exposition import Exposition

pytestmark = pytest.mark.http


@pytest.fixture
async def page() -> AsyncIterator[str]:
    """Where a registry with one counter is shown, which counted twice."""
    registry = CollectorRegistry()
    counter = Counter("things_total", "Things.", ("namespace",), registry=registry)
    counter.labels('a "quoted"\nname').inc(2)
    exposition = Exposition(registry, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{await exposition.start()}/metrics"
    await exposition.stop()


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
    """Neither another page nor another verb."""
    async with httpx.AsyncClient(trust_env=False) as client:
        statuses = [
            (await client.get(page.removesuffix("/metrics") + "/")).status_code,
            (await client.get(page + "/../../etc/passwd")).status_code,
            (await client.post(page, content=b"x")).status_code,
        ]

    assert statuses == [404, 404, 405]


async def test_an_address_that_is_taken_is_told_and_left_alone(page: str) -> None:
    """Whoever has it keeps it."""
    port = httpx.URL(page).port
    assert port is not None
    with pytest.raises(OSError, match="in use"):
        await Exposition(CollectorRegistry(), "127.0.0.1", port).start()

    assert (await get(page)).status_code == 200


async def test_the_address_is_free_after_the_end() -> None:
    """Ended twice or never begun, it makes no difference."""
    exposition = Exposition(CollectorRegistry(), "127.0.0.1", 0)
    await exposition.stop()
    port = await exposition.start()
    await exposition.stop()
    await exposition.stop()
    again = Exposition(CollectorRegistry(), "127.0.0.1", port)

    assert await again.start() == port
    await again.stop()
