"""What a connection believes of its service is not for ever: what a moment taught, another moment corrects."""

from collections.abc import Callable
from dataclasses import dataclass, field

import httpx
import pytest
from tests.tinker.conftest import FakeTime

from tinker_operator.tinker import RetryPolicy, TinkerClient
from tinker_operator.tinker.dialects import Support
from tinker_operator.tinker.dialects.restoring import PROBE_SECONDS

pytestmark = pytest.mark.pure

Connect = Callable[..., TinkerClient]
PAGE = httpx.Response(404, text="<html>no such site</html>")


@dataclass
class Behind:
    """A sound service behind a proxy that for a while answers some requests itself."""

    proxy: Callable[[httpx.Request], httpx.Response | None] = field(default=lambda _: None)
    asked: int = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        if (instead := self.proxy(request)) is not None:
            return httpx.Response(instead.status_code, content=instead.content)
        if request.method == "OPTIONS":
            return httpx.Response(405, headers={"Allow": "GET, DELETE, POST, PUT"}, json={"detail": "no"})
        return httpx.Response(200, json={"training_runs": [], "checkpoints": [], "sessions": []})


@pytest.fixture
def behind() -> Behind:
    """A service whose proxy does nothing yet."""
    return Behind()


async def test_a_call_that_seemed_to_be_missing_is_asked_for_again_after_a_while(
    connect: Connect, behind: Behind, time: FakeTime
) -> None:
    """A proxy's page for a minute does not end deletions for as long as the program runs."""
    behind.proxy = lambda request: PAGE if "capability-probe" in request.url.path else None
    client = connect(behind)
    assert (await client.capabilities()).delete is Support.MISSING
    behind.proxy = lambda _: None
    assert (await client.capabilities()).delete is Support.MISSING
    time.now += PROBE_SECONDS
    assert (await client.capabilities()).delete is Support.SUPPORTED


@pytest.mark.parametrize("status", [429, 500, 503, 401])
async def test_a_probe_that_met_trouble_is_made_again(connect: Connect, behind: Behind, status: int) -> None:
    """Trouble proves nothing, so that nothing is known yet."""
    behind.proxy = lambda _: httpx.Response(status, content=b"{}")
    client = connect(behind, retry=RetryPolicy(max_attempts=1))
    assert (await client.capabilities()).list_runs is Support.UNKNOWN
    behind.proxy = lambda _: None
    assert (await client.capabilities()).list_runs is Support.SUPPORTED


async def test_a_service_that_has_every_call_is_asked_once(connect: Connect, behind: Behind, time: FakeTime) -> None:
    """And one that was asked a moment ago is not asked again, whatever it lacks."""
    client = connect(behind)
    await client.capabilities()
    asked = behind.asked
    time.now += PROBE_SECONDS - 1
    await client.capabilities()
    assert behind.asked == asked
