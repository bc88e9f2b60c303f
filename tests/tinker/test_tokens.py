"""Tokens in place of the key: exchanged when wanted, renewed in time, and never asked for otherwise."""

import asyncio
import base64
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from tests.tinker.conftest import FakeTime

from tinker_operator.tinker import TinkerClient, errors
from tinker_operator.tinker.tokens import UNKNOWN_LIFE, Tokens

pytestmark = pytest.mark.pure

Connect = Callable[..., TinkerClient]
KEY = "tml-secret-of-the-tests"
LIFE = 1000.0


def jwt(number: int, **claims: Any) -> str:
    payload = base64.urlsafe_b64encode(json.dumps({"iat": 0, "exp": LIFE, "n": number} | claims).encode())
    return f"eyJhbGciOiJub25lIn0.{payload.decode().rstrip('=')}.signature"


@dataclass
class Service:
    """Gives tokens, and takes only the newest of them."""

    wants: bool = False
    takes_keys: bool = True
    numbers: Iterator[int] = field(default_factory=count)
    asked: list[tuple[str, str]] = field(default_factory=list)
    valid: set[str] = field(default_factory=set)
    exchange: Callable[[int], httpx.Response] | None = None

    def __call__(self, request: httpx.Request) -> httpx.Response:
        route, credential = request.url.path.split("/api/v1/")[1], request.headers["X-API-Key"]
        self.asked.append((route, credential))
        if route == "auth/token":
            return self._token()
        if credential not in self.valid and not (self.takes_keys and credential == KEY):
            challenge = {"WWW-Authenticate": 'Bearer realm="tinker", error="invalid_token"'}
            return httpx.Response(401, json={"detail": "Token is not valid"}, headers=challenge)
        if route == "client/config":
            return httpx.Response(200, json={"pjwt_auth_enabled": self.wants})
        return httpx.Response(200, json={"status": "ok"})

    def _token(self) -> httpx.Response:
        number = next(self.numbers)
        if self.exchange:
            return self.exchange(number)
        self.valid = {jwt(number)}
        return httpx.Response(200, json={"jwt": jwt(number)})

    @property
    def routes(self) -> list[str]:
        return [route for route, _ in self.asked]


async def test_a_key_that_need_not_be_exchanged_is_sent_and_nothing_else(connect: Connect) -> None:
    service = Service()
    client = connect(service)
    await client.healthz()
    await client.client_config()
    await client.healthz()
    assert service.asked == [("healthz", KEY), ("client/config", KEY), ("healthz", KEY)]


async def test_a_service_that_wants_tokens_gets_them_from_then_on(connect: Connect) -> None:
    service = Service(wants=True)
    client = connect(service)
    await client.healthz()
    await client.client_config()
    await client.healthz()
    await client.healthz()
    assert service.asked == [
        ("healthz", KEY),
        ("client/config", KEY),
        ("auth/token", KEY),
        ("healthz", jwt(0)),
        ("healthz", jwt(0)),
    ]


async def test_who_wants_tokens_gets_them_from_the_first_call_on(connect: Connect) -> None:
    service = Service(takes_keys=False)
    await connect(service, exchange_tokens=True).healthz()
    assert service.asked == [("auth/token", KEY), ("healthz", jwt(0))]


@given(share=st.floats(0, 1), age=st.floats(0, LIFE))
def test_a_token_is_renewed_at_about_half_its_life_and_not_before(share: float, age: float) -> None:
    time, numbers = FakeTime(share=share), count()

    async def exchange() -> SecretStr:
        return SecretStr(jwt(next(numbers)))

    async def ages() -> SecretStr | None:
        tokens = Tokens(exchange, time.keeper(), wanted=True)
        await tokens.current()
        time.now += age
        return await tokens.current()

    token = asyncio.run(ages())
    assert token is not None
    expected = jwt(1) if age >= LIFE * (0.45 + 0.1 * share) else jwt(0)
    if abs(age - LIFE * (0.45 + 0.1 * share)) > 1e-6:
        assert token.get_secret_value() == expected


@pytest.mark.parametrize(
    "token",
    [
        pytest.param("eyJ", id="one part"),
        pytest.param("eyJ.!!!.x", id="no base64"),
        pytest.param("eyJ.e30.x", id="no claims"),
        pytest.param(jwt(0, exp="soon"), id="no number"),
        pytest.param(jwt(0, exp=0), id="no life"),
        pytest.param(jwt(0, iat=None), id="no beginning"),
    ],
)
async def test_a_token_that_does_not_tell_its_life_is_used_for_a_minute(time: FakeTime, token: str) -> None:
    made = []

    async def exchange() -> SecretStr:
        made.append(time.now)
        return SecretStr(token)

    tokens = Tokens(exchange, time.keeper(), wanted=True)
    for _ in range(3):
        await tokens.current()
    time.now += UNKNOWN_LIFE * 0.56
    await tokens.current()
    assert len(made) == 2


async def test_a_refused_token_is_replaced_and_the_call_made_once_more(connect: Connect) -> None:
    service = Service(takes_keys=False)
    client = connect(service, exchange_tokens=True)
    await client.healthz()
    service.valid = set()
    assert await client.healthz() == "ok"
    assert service.routes == ["auth/token", "healthz", "healthz", "auth/token", "healthz"]


async def test_a_token_that_is_refused_for_ever_is_replaced_once(connect: Connect) -> None:
    service = Service(takes_keys=False, exchange=lambda number: httpx.Response(200, json={"jwt": jwt(number)}))
    with pytest.raises(errors.Unauthorized):
        await connect(service, exchange_tokens=True).healthz()
    assert service.routes == ["auth/token", "healthz", "auth/token", "healthz"]


async def test_many_calls_share_one_exchange(connect: Connect) -> None:
    service = Service(takes_keys=False)
    client = connect(service, exchange_tokens=True)
    await asyncio.gather(*(client.healthz() for _ in range(20)))
    service.valid = set()
    await asyncio.gather(*(client.healthz() for _ in range(20)))
    assert service.routes.count("auth/token") == 2


async def test_a_401_that_does_not_speak_of_the_token_is_final(connect: Connect, script: Callable[..., Any]) -> None:
    service = script({"jwt": jwt(0)}, httpx.Response(401, json={"detail": "no"}))
    with pytest.raises(errors.Unauthorized):
        await connect(service, exchange_tokens=True).healthz()
    assert len(service.asked) == 2


async def test_a_refused_key_is_not_exchanged(connect: Connect) -> None:
    challenge = {"WWW-Authenticate": 'error="invalid_token"'}
    asked = []

    def service(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return httpx.Response(401, json={"detail": "no"}, headers=challenge)

    with pytest.raises(errors.Unauthorized):
        await connect(service).healthz()
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        pytest.param(lambda: httpx.Response(503, json={"detail": "busy"}), None, id="a fault of the moment"),
        pytest.param(lambda: httpx.Response(200, json={}), None, id="no token in the answer"),
        pytest.param(lambda: httpx.Response(401, json={"detail": "no"}), errors.Unauthorized, id="the key is refused"),
    ],
)
async def test_an_old_token_serves_while_none_can_be_had_but_not_for_a_refused_key(
    connect: Connect, time: FakeTime, failure: Callable[[], httpx.Response], kind: type[errors.TinkerError] | None
) -> None:
    service = Service(takes_keys=False)
    client = connect(service, exchange_tokens=True)
    await client.healthz()
    service.exchange = lambda _: failure()
    time.now += LIFE * 0.6
    if kind is None:
        assert await client.healthz() == "ok"
        time.now += LIFE
        kind = errors.TinkerError
    with pytest.raises(kind):
        await client.healthz()


async def test_a_token_is_shown_nowhere(connect: Connect) -> None:
    odd = "opaque-" + "x" * 40

    def service(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("auth/token"):
            return httpx.Response(200, json={"jwt": odd})
        return httpx.Response(400, json={"detail": f"bad credential {request.headers['X-API-Key']}"})

    client = connect(service, exchange_tokens=True)
    with pytest.raises(errors.BadRequest) as refusal:
        await client.healthz()
    assert odd not in str(refusal.value)
    assert re.search(r"bad credential \[hidden\]", str(refusal.value))
    assert odd not in repr(vars(client._transport.tokens))
