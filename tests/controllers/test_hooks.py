"""Webhooks over real HTTP: a small receiver, and what the operator tells of it; its Secrets are on a fake API."""

import asyncio
import base64
import io
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, cast

import pytest
import structlog
from aiohttp import web

from tinker_operator.api.hook_spec import Hook
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.cli.logs import configure_logs
from tinker_operator.controllers.hooks import HookCaller
from tinker_operator.core.world import CallHook, Done, HookFailed, Outcome
from tinker_operator.engine.kube import KubeApi
from tinker_operator.engine.kube_errors import KubeUnavailable

pytestmark = pytest.mark.http

TOKEN = "token-in-the-path"
KEY = "signs-the-body"
BODY = '{"attempt": 1, "occasion": "Recovered", "note": "£ and ü"}'
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
Secrets = dict[str, dict[str, str]]


@dataclass
class Cluster:
    """The one call that a webhook needs of the Kubernetes API."""

    secrets: Secrets
    trouble: KubeUnavailable | None = None

    async def get_secret(self, namespace: str, name: str) -> dict[str, str] | None:
        assert namespace == "team"
        if self.trouble is not None:
            raise self.trouble
        return self.secrets.get(name)


@dataclass
class Received:
    """A call as the receiver has it."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """Takes calls and answers as told."""

    answer: Answer
    calls: list[Received] = field(default_factory=list)
    port: int = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.calls.append(Received(str(request.rel_url), {k.lower(): v for k, v in request.headers.items()}, body))
        return await self.answer(request)

    def url(self, path: str = f"/{TOKEN}", host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"


@asynccontextmanager
async def receiving(answer: Answer) -> AsyncIterator[Receiver]:
    receiver = Receiver(answer)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", receiver.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.port = runner.addresses[0][1]
    try:
        yield receiver
    finally:
        await runner.cleanup()


def answering(status: int, **headers: str) -> Answer:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=status, headers={name.title(): value for name, value in headers.items()})

    return answer


def webhook(**fields: Any) -> CallHook:
    spec = {"urlSecretRef": {"name": "hook", "key": "url"}, "timeoutSeconds": 5, **fields}
    return CallHook("id-1", Hook.model_validate({"name": "tell", "webhook": spec}), BODY)


def signed() -> CallHook:
    return webhook(hmacSecretRef={"name": "hook", "key": "hmac"})


RUN = TrainingRun.model_validate(
    {"metadata": {"name": "sft", "namespace": "team", "uid": "u"}, "spec": {"run": {"trainingRunId": "r"}}}
)


async def called(cluster: Cluster, action: CallHook, *allowed: str) -> Outcome:
    caller = HookCaller(cast(KubeApi, cluster), frozenset(allowed or {"127.0.0.1"}))
    outcome = await caller.call(action, RUN)
    assert TOKEN not in repr(outcome)
    assert KEY not in repr(outcome)
    return outcome


def cluster_with(url: str, **entries: str) -> Cluster:
    return Cluster({"hook": {"url": url, **entries}})


def verifies(key: str, body: bytes, header: str) -> bool:
    """HMAC-SHA256 from its definition (RFC 2104), by hashes alone."""
    block = key.encode().ljust(64, b"\0")
    inner = sha256(bytes(byte ^ 0x36 for byte in block) + body).digest()
    outer = sha256(bytes(byte ^ 0x5C for byte in block) + inner).hexdigest()
    return header == f"sha256={outer}"


def told(outcome: Outcome) -> str:
    assert isinstance(outcome, HookFailed), outcome
    return outcome.message


async def test_a_call_carries_the_body_its_id_and_a_signature_that_others_can_check() -> None:
    """What a receiver needs to know that it is ours, what it is of, and that it came before."""
    async with receiving(answering(204)) as receiver:
        assert await called(cluster_with(receiver.url(), hmac=KEY), signed()) == Done()

    (call,) = receiver.calls
    assert (call.path, call.body) == (f"/{TOKEN}", BODY.encode())
    assert call.headers["content-type"] == "application/json"
    assert call.headers["x-tinker-operator-id"] == "id-1"
    assert call.headers["x-tinker-operator-hook"] == "tell"
    assert verifies(KEY, call.body, call.headers["x-tinker-operator-signature"])
    assert not verifies("another", call.body, call.headers["x-tinker-operator-signature"])


async def test_without_a_key_nothing_is_signed() -> None:
    """A signature by an empty key would look like one that means something."""
    async with receiving(answering(200)) as receiver:
        assert await called(cluster_with(receiver.url()), webhook()) == Done()

    assert "x-tinker-operator-signature" not in receiver.calls[0].headers


async def test_a_rotated_key_and_url_count_from_the_next_call_on() -> None:
    """Nothing is remembered."""
    async with receiving(answering(200)) as receiver:
        cluster = cluster_with(receiver.url("/before"), hmac="before")
        await called(cluster, signed())
        cluster.secrets["hook"] = {"url": receiver.url("/after") + "\n", "hmac": "after\n"}
        await called(cluster, signed())

    assert [call.path for call in receiver.calls] == ["/before", "/after"]
    assert verifies("after", BODY.encode(), receiver.calls[1].headers["x-tinker-operator-signature"])


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_a_status_of_success_is_done(status: int) -> None:
    async with receiving(answering(status)) as receiver:
        assert await called(cluster_with(receiver.url()), webhook()) == Done()


@pytest.mark.parametrize("status", [400, 401, 404, 409, 410, 429, 500, 502, 503])
async def test_any_other_status_is_told_with_the_host_alone(status: int) -> None:
    async with receiving(answering(status)) as receiver:
        outcome = await called(cluster_with(receiver.url()), webhook())

    assert told(outcome) == f"The webhook at 127.0.0.1 answered {status}. It is tried again."
    assert len(receiver.calls) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_told_of_and_not_followed(status: int) -> None:
    """Whoever answers could send the request, signature and all, to a host that nobody allowed."""
    async with (
        receiving(answering(200)) as elsewhere,
        receiving(answering(status, location=elsewhere.url("/stolen"))) as receiver,
    ):
        outcome = await called(cluster_with(receiver.url(), hmac=KEY), signed())

    assert "redirects are not followed" in told(outcome)
    assert elsewhere.calls == []


async def test_a_receiver_that_never_answers_costs_no_more_than_its_time() -> None:
    async def never(_request: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    async with receiving(never) as receiver, asyncio.timeout(4):
        outcome = await called(cluster_with(receiver.url()), webhook(timeoutSeconds=1))

    assert "(ReadTimeout)" in told(outcome) or "(TimeoutError)" in told(outcome)


@asynccontextmanager
async def speaking(answer: Callable[[asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[int]:
    """A receiver below HTTP: it reads a request's beginning, then does what it is told."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            await answer(writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield int(server.sockets[0].getsockname()[1])


async def test_an_answer_that_drips_is_given_up_in_time() -> None:
    """A byte now and then would keep a limit for each wait from ever being met."""

    async def dripping(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(b"x-drip: 1\r\n")
            await writer.drain()
            await asyncio.sleep(0.2)

    async with speaking(dripping) as port, asyncio.timeout(4):
        outcome = await called(cluster_with(f"http://127.0.0.1:{port}/{TOKEN}"), webhook(timeoutSeconds=1))

    assert "(TimeoutError)" in told(outcome)


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"HTTP/1.1 20", id="half a status"),
        pytest.param(b"HTTP/1.1 200 OK\r\nx-half", id="half a header"),
        pytest.param(f"{TOKEN}\r\n\r\n".encode(), id="what is no HTTP, and quotes the token"),
        pytest.param(b"HTTP/1.1 200 OK\r\n" + b"x-much: y\r\n" * 100_000, id="headers without an end"),
    ],
)
async def test_an_answer_that_is_cut_is_told(said: bytes) -> None:
    """The message may have arrived; at least once is the promise, so it is sent again."""

    async def cutting(writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        await writer.drain()

    async with speaking(cutting) as port:
        outcome = await called(cluster_with(f"http://127.0.0.1:{port}/{TOKEN}"), webhook())

    assert "could not be called (" in told(outcome)
    assert "It is tried again." in told(outcome)


async def test_a_huge_answer_is_not_read() -> None:
    """The status says all; what a receiver sends beside it must not fill the operator's memory, or its time."""
    sent = 0

    async def flooding(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000000\r\n\r\n")
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()
            sent += 65536

    async with speaking(flooding) as port:
        outcome = await called(cluster_with(f"http://127.0.0.1:{port}/{TOKEN}"), webhook())

    assert outcome == Done()
    assert sent < 32 * 1024 * 1024


async def test_a_host_that_is_not_there_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    outcome = await called(cluster_with(f"http://127.0.0.1:{port}/{TOKEN}"), webhook())

    assert told(outcome) == "The webhook at 127.0.0.1 could not be called (ConnectError). It is tried again."


NOT_ALLOWED = {
    "a private address": "http://10.0.0.1/x",
    "the metadata service of a cloud": "http://169.254.169.254/latest/meta-data",
    "the API server": "https://kubernetes.default.svc/api",
    "this machine by another name": "http://localhost/x",
    "this machine in another notation": "http://2130706433/x",
    "this machine in IPv6": "http://[::1]/x",
    "the allowed host as a user name": "http://hooks.example@evil.example/x",
    "the allowed host as the beginning of another": "https://hooks.example.evil.example/x",
    "the allowed host with something before it": "https://xhooks.example/x",
    "the allowed host with a dot behind": "https://hooks.example./x",
    "the allowed domain itself": "https://wild.example/x",
    "another port of a host that is allowed with one": "https://port.example:444/x",
    "another port of a domain that is allowed with one": "https://a.both.example:444/x",
}
ALLOWED = {
    "a host": "https://hooks.example/x",
    "a host in capitals": "https://HOOKS.example/x",
    "a host on any port": "http://hooks.example:8080/x",
    "a host below a domain": "https://a.b.wild.example/x",
    "a host with its port": "https://port.example:8443/x",
    "a port that the scheme implies": "https://std.example/x",
    "a host below a domain with its port": "https://a.both.example:8443/x",
    "a host of other letters, by the name that is looked up": "https://bücher.example/x",
}
LIST = (
    "hooks.example",
    "*.wild.example",
    "port.example:8443",
    "std.example:443",
    "*.both.example:8443",
    "xn--bcher-kva.example",
)


@pytest.mark.parametrize("what", NOT_ALLOWED)
async def test_a_host_that_is_not_listed_is_told_with_the_remedy(what: str) -> None:
    """And never called: a Secret's author decides about a URL, the administrator about hosts."""
    outcome = await called(cluster_with(f"{NOT_ALLOWED[what]}?{TOKEN}"), webhook(), *LIST)

    assert "--allow-webhook" in told(outcome)


@pytest.mark.parametrize("what", ALLOWED)
async def test_a_host_that_is_listed_is_called(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As far as the look-up of its name, which there is none of."""

    async def nowhere(_loop: object, host: str, *_rest: object, **_options: object) -> list[object]:
        raise OSError(f"no address of {host}")

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", nowhere)
    outcome = await called(cluster_with(ALLOWED[what]), webhook(), *LIST)

    assert "could not be called" in told(outcome)


@pytest.mark.parametrize(
    "url",
    [
        pytest.param(f"ftp://127.0.0.1/{TOKEN}", id="of another scheme"),
        pytest.param(f"file:///{TOKEN}", id="of a file"),
        pytest.param(TOKEN, id="without a scheme"),
        pytest.param(f"https:///{TOKEN}", id="without a host"),
        pytest.param(f"http://[{TOKEN}", id="with half an address"),
        pytest.param(f"http://h:{TOKEN}/", id="with a port of letters"),
        pytest.param(f"http://h/\r\nx-injected: {TOKEN}", id="with a line end in it"),
        pytest.param(f"http://a\u2100b/{TOKEN}", id="with a host of odd letters"),
    ],
)
async def test_what_is_no_url_is_told_without_showing_it(url: str) -> None:
    outcome = await called(cluster_with(url), webhook())

    assert "https://<host>/<path>" in told(outcome) or "--allow-webhook" in told(outcome)


@pytest.mark.parametrize(
    ("secrets", "action", "named"),
    [
        pytest.param({}, webhook(), "Secret hook", id="no Secret"),
        pytest.param({"hook": {}}, webhook(), "the entry url", id="no URL in it"),
        pytest.param({"hook": {"url": " \n"}}, webhook(), "the entry url", id="an empty URL"),
        pytest.param({"hook": {"url": "http://127.0.0.1/"}}, signed(), "the entry hmac", id="no key to sign with"),
        pytest.param({"hook": {"url": "http://127.0.0.1/", "hmac": ""}}, signed(), "the entry hmac", id="an empty key"),
    ],
)
async def test_a_missing_entry_is_told_by_its_name(secrets: Secrets, action: CallHook, named: str) -> None:
    """Without the key nothing is sent: an unsigned call would be taken for a forged one."""
    outcome = await called(Cluster(secrets), action)

    assert named in told(outcome)
    assert "Create it." in told(outcome)


async def test_a_secret_that_cannot_be_read_now_is_tried_again() -> None:
    outcome = await called(Cluster({}, KubeUnavailable("The API server does not answer.", "Wait.")), webhook())

    assert "does not answer" in told(outcome)


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What the operator's log says, at its most talkative."""
    stream = io.StringIO()
    configure_logs(stream, json=True, debug=True)
    yield stream
    structlog.reset_defaults()


async def test_no_log_line_shows_the_url_or_the_key(log: io.StringIO) -> None:
    """Not ours, and not one of the library that makes the call, which logs whole URLs when it is asked to."""
    async with receiving(answering(503)) as receiver:
        await called(cluster_with(receiver.url(), hmac=KEY), signed())
    await called(cluster_with(receiver.url(), hmac=KEY), signed())

    said = log.getvalue()
    assert TOKEN not in said
    assert KEY not in said


async def test_credentials_in_the_url_go_to_the_receiver_alone() -> None:
    """As a header, as HTTP has it; they are shown nowhere."""
    async with receiving(answering(403)) as receiver:
        outcome = await called(cluster_with(f"http://user:{TOKEN}@127.0.0.1:{receiver.port}/"), webhook())

    scheme, _, basic = receiver.calls[0].headers["authorization"].partition(" ")
    assert (scheme, base64.b64decode(basic).decode()) == ("Basic", f"user:{TOKEN}")
    assert "answered 403" in told(outcome)


async def test_no_proxy_of_the_environment_gets_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """The list of hosts would be in vain."""
    async with receiving(answering(200)) as proxy, receiving(answering(200)) as receiver:
        monkeypatch.setenv("HTTP_PROXY", proxy.url("/"))
        monkeypatch.setenv("ALL_PROXY", proxy.url("/"))
        assert await called(cluster_with(receiver.url()), webhook()) == Done()

    assert (len(proxy.calls), len(receiver.calls)) == (0, 1)
