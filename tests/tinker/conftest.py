"""A service that is one function, a time that passes only when somebody sleeps, and the simulator over real HTTP."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from tinker_operator.tinker import LoraConfig, RetryPolicy, Timekeeper, TinkerClient, TinkerPath

Handler = Callable[[httpx.Request], httpx.Response]


async def until(holds: Callable[[], object]) -> None:
    """Let others run until something holds."""
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 (nobody can set an event for what only the test looks at)
            await asyncio.sleep(0)


@dataclass
class FakeTime:
    """A clock that sleeping moves; chance always takes the given share of the interval."""

    now: float = 1000.0
    share: float = 1.0
    slept: list[float] = field(default_factory=list)

    async def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.slept.append(seconds)
        self.now += seconds

    def keeper(self) -> Timekeeper:
        return Timekeeper(
            monotonic=lambda: self.now, sleep=self.sleep, uniform=lambda low, high: low + self.share * (high - low)
        )


@pytest.fixture
def time() -> FakeTime:
    """The time that the client under test lives in."""
    return FakeTime()


@pytest.fixture
async def connect(time: FakeTime) -> AsyncIterator[Callable[..., TinkerClient]]:
    """Connect clients to a service given as a function from request to response."""
    opened: list[TinkerClient] = []

    def open_client(handler: Handler, **settings: Any) -> TinkerClient:
        arguments: dict[str, Any] = {
            "base_url": "https://tinker.test/services/prod/",
            "api_key": SecretStr("tml-secret-of-the-tests"),
            "keeper": time.keeper(),
            "retry": RetryPolicy(),
            "carrier": httpx.MockTransport(handler),
        }
        opened.append(TinkerClient(**(arguments | settings)))
        return opened[-1]

    yield open_client
    for client in opened:
        await client.close()


@dataclass
class Script:
    """A service that answers with the next of its answers, the last one for ever, and remembers what it was asked."""

    answers: Iterator[Any]
    asked: list[httpx.Request] = field(default_factory=list)
    last: Any = None

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        self.last = next(self.answers, self.last)
        if isinstance(self.last, Exception):
            raise self.last
        if isinstance(self.last, httpx.Response):
            return httpx.Response(self.last.status_code, headers=self.last.headers, content=self.last.content)
        return httpx.Response(200, json=self.last)


@pytest.fixture
def script() -> Callable[..., Script]:
    """Make a service from its answers: responses, exceptions, or JSON for a 200."""
    return lambda *answers: Script(iter(answers))


KEYS = [f"tml-client-{number}" for number in range(600)]
FRUGAL = RetryPolicy(initial_seconds=0.02, max_seconds=0.1, total_seconds=20, max_attempts=2)
"""Little waiting: two attempts, so that a fault that stays is told from one that passes."""


@dataclass
class Simulator:
    """A simulator in a process of its own, asked as one of its owners."""

    url: str
    key: str
    http: httpx.Client

    def connect(self, **settings: Any) -> TinkerClient:
        arguments: dict[str, Any] = {"base_url": self.url, "api_key": SecretStr(self.key), "retry": FRUGAL}
        return TinkerClient(**(arguments | settings))

    def order(self, order: str, **body: Any) -> dict[str, Any]:
        """Give an administrator's order."""
        return self._sent("POST", f"/_simulator/{order}", body)

    def sound(self) -> None:
        """End every fault."""
        self._sent("DELETE", "/_simulator/faults", None)

    def calls(self, route: str) -> int:
        """Say how often a route was asked for."""
        counted: dict[str, int] = self._sent("GET", "/_simulator/calls", None)["counts"]
        return counted.get(route, 0)

    def raw(self, method: str, route: str, body: Any = None) -> dict[str, Any]:
        """Ask the service past the client under test."""
        return self._sent(method, f"/api/v1/{route}", body)

    def _sent(self, method: str, path: str, body: Any) -> dict[str, Any]:
        headers = {"X-API-Key": self.key}
        answer = self.http.request(method, self.url + path, json=body, headers=headers)
        assert answer.is_success, answer.text
        content: dict[str, Any] = answer.json()
        return content


@contextmanager
def served(state_dir: Path, *options: str) -> Iterator[str]:
    """Serve a simulator in a process of its own; gives its address."""
    command = [sys.executable, "-m", "tinker_simulator", "serve", "--port", "0", "--admin"]
    command += ["--state-dir", str(state_dir), *options]
    command += [argument for key in KEYS for argument in ("--api-key", f"{key}@{key}")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("tinker-simulator: serving on "), line
        yield line.split()[-1]
        process.terminate()
        process.wait(timeout=15)


@pytest.fixture(scope="session")
def simulator_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve a simulator for all tests of this folder."""
    with served(tmp_path_factory.mktemp("simulator")) as url:
        yield url


@pytest.fixture(scope="session")
def keys() -> Iterator[str]:
    """Give a key that no other test has."""
    return iter(KEYS)


@pytest.fixture
def simulator(simulator_url: str, keys: Iterator[str]) -> Iterator[Simulator]:
    """A sound simulator in which nothing is yet."""
    with httpx.Client(timeout=30, verify=False) as http:  # noqa: S501 - plain HTTP, and loading authorities takes long
        served = Simulator(simulator_url, next(keys), http)
        yield served
        served.sound()


class World:
    """A session with one run, which has two training checkpoints and one for sampling."""

    def __init__(self, simulator: Simulator, base_model: str = "Qwen/Qwen3-8B") -> None:
        self.simulator = simulator
        self.base_model = base_model
        self.session_id = ""
        self.run_id = ""

    async def make(self) -> "World":
        async with self.simulator.connect() as client:
            self.session_id = await client.create_session(idempotency_key="first")
            self.run_id = await client.create_model(
                session_id=self.session_id,
                model_seq_id=0,
                base_model=self.base_model,
                lora=LoraConfig(rank=4, train_mlp=False),
                user_metadata={"owner": "c/n/r"},
                wait_seconds=30,
            )
        for seq_id, name in enumerate(("step-1", "step-2"), 1):
            await self.done("save_weights", path=name, seq_id=seq_id, overwrite=False, user_metadata={"step": name})
        await self.done("save_weights_for_sampler", path="play", seq_id=3, kind="snapshot")
        return self

    async def done(self, operation: str, **body: Any) -> None:
        """Submit an operation that the client does not have, and wait for its end."""
        submitted = self.simulator.raw("POST", operation, {"model_id": self.run_id, **body})
        async with self.simulator.connect() as client:
            await client._futures.result(submitted["request_id"], monotonic() + 30)

    def path(self, name: str = "step-2", kind: str = "weights") -> TinkerPath:
        return TinkerPath.parse(f"tinker://{self.run_id}/{kind}/{name}")

    async def load(self, client: TinkerClient, number: int, **changes: Any) -> str:
        arguments: dict[str, Any] = {"path": self.path(), "optimizer": True, "wait_seconds": 30}
        return await client.load_weights(session_id=self.session_id, model_seq_id=number, **(arguments | changes))


@pytest.fixture
async def world(simulator: Simulator) -> World:
    """The world that a test begins with."""
    return await World(simulator).make()
