"""The fence: who does not lead sends nothing but reads, however far a request had come when the claim was lost."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx
import pytest
from kubernetes.aio.client import Configuration
from pydantic import SecretStr

from tinker_operator.engine.elector import LeadershipLost
from tinker_operator.engine.fence import Fence
from tinker_operator.engine.keys import ObjectKey, Resource
from tinker_operator.engine.kube import KubeApi
from tinker_operator.engine.transport import Transport
from tinker_operator.tinker import RetryPolicy
from tinker_operator.tinker.client import TinkerClient
from tinker_operator.tinker.paths import TinkerPath

WIDGETS = Resource("g.dev", "v1", "widgets", "Widget")
KEY = ObjectKey("Widget", "default", "w")
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}"


class Claim:
    """A claim to act that is taken away, or given up; it leads for so many more questions."""

    def __init__(self, questions: int) -> None:
        self.left, self.resigned = questions, False

    def leads(self) -> bool:
        self.left -= 1
        return self.left >= 0

    async def acquire(self) -> None: ...

    async def hold(self) -> None: ...

    async def release(self) -> None: ...


@pytest.mark.pure
@pytest.mark.parametrize(
    ("leads", "resigned", "acts", "tells"),
    [
        pytest.param(True, False, True, True, id="a leader acts and tells"),
        pytest.param(False, False, False, False, id="who lost its claim does neither"),
        pytest.param(False, True, False, True, id="who gave it up tells what it did before"),
    ],
)
def test_a_fence_goes_by_the_claim(leads: bool, resigned: bool, acts: bool, tells: bool) -> None:
    claim = Claim(9 if leads else 0)
    claim.resigned = resigned
    fence = Fence(claim)

    assert [passes(fence.to_act), passes(fence.to_tell)] == [acts, tells]
    assert passes(Fence(None).to_act), "who has no rival needs no leave"


def passes(question: Callable[[], None]) -> bool:
    try:
        question()
    except LeadershipLost:
        return False
    return True


@asynccontextmanager
async def listener() -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that notes what reaches it, and answers anything with an empty object."""
    heard: list[bytes] = []
    served: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        served.add(task)
        if content := await reader.read(65536):
            heard.append(content)
            writer.write(ANSWER)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", heard
    await asyncio.gather(*served)


def api_at(url: str, claim: Claim) -> KubeApi:
    configuration = Configuration()
    configuration.host = url
    return KubeApi(Transport(configuration)).fenced(Fence(claim).to_act)


Write = Callable[[KubeApi], Coroutine[Any, Any, Any]]
WRITES = {
    "a status": lambda api: api.patch_status(WIDGETS, KEY, {}, "1"),
    "finalizers": lambda api: api.patch_finalizers(WIDGETS, KEY, [], "1"),
    "a new object": lambda api: api.create(WIDGETS, "default", {}),
    "a deletion": lambda api: api.delete(WIDGETS, KEY, uid="u"),
    "a ConfigMap": lambda api: api.apply_config_map("default", "c", {}, {}, {}),
}


@pytest.mark.http
@pytest.mark.parametrize("write", [pytest.param(write, id=name) for name, write in WRITES.items()])
async def test_nothing_is_written_to_the_cluster_without_a_claim(write: Write) -> None:
    """The claim is asked for each request anew, and again when it has its connection."""
    async with listener() as (url, heard):
        async with api_at(url, Claim(2)) as api:
            await write(api)
            with pytest.raises(LeadershipLost):
                await write(api)
        async with api_at(url, Claim(1)) as api:
            with pytest.raises(LeadershipLost):
                await write(api)

    assert len(heard) == 1


@pytest.mark.http
async def test_who_lost_its_claim_still_reads_the_cluster() -> None:
    async with listener() as (url, heard), api_at(url, Claim(0)) as api:
        await api.get_object(WIDGETS, "default", "w")

    assert len(heard) == 1


@pytest.mark.http
@pytest.mark.parametrize("questions", [pytest.param(n, id=f"lost after {n} questions") for n in range(3)])
async def test_a_request_goes_to_the_service_whole_or_not_at_all(questions: int) -> None:
    """The claim is lost before the request, or while it waited for its connection, or between head and body."""
    async with listener() as (url, heard):
        fence = Fence(Claim(questions))
        async with TinkerClient(url, SecretStr("tml-test"), leave=fence.to_act) as client:
            with pytest.raises(LeadershipLost):
                await client.create_session(tags=(), user_metadata={}, idempotency_key="k")

    assert not any(b'"tags"' in content for content in heard)
    assert questions == 2 or heard == []


@pytest.mark.pure
async def test_reads_of_the_service_need_no_claim_and_no_write_is_repeated_without_one() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.method)
        return httpx.Response(503)

    fence = Fence(Claim(1))
    brief = RetryPolicy(initial_seconds=0.01, max_seconds=0.01, total_seconds=5.0, max_attempts=2)
    carrier = httpx.MockTransport(answer)
    client = TinkerClient("http://service", SecretStr("tml-test"), leave=fence.to_act, carrier=carrier, retry=brief)
    async with client:
        with pytest.raises(LeadershipLost):
            await client.create_session(tags=(), user_metadata={}, idempotency_key="k")
        with pytest.raises(LeadershipLost):
            await client.delete_checkpoint(TinkerPath.parse("tinker://r/weights/a"))
        with pytest.raises(Exception, match="503"):
            await client.get_training_run("r")

    assert asked[0] == "POST"
    assert set(asked[1:]) == {"GET"}
