"""Keys and the tokens they are exchanged for: who is let in, for how long, and how a client learns that it is over."""

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.simulator.bare import KEYS, Served, Wire

pytestmark = pytest.mark.http

Connect = Callable[..., Wire]
LIFETIME = 120


@pytest.fixture
def with_tokens(tmp_path: Path) -> Iterator[Served]:
    """A simulator with tokens, to be ended and started at will."""
    served = Served(tmp_path / "state", options=("--jwt", "--jwt-lifetime", str(LIFETIME)))
    served.start()
    yield served
    served.close()


def token(api: Wire) -> str:
    return str(api.post("auth/token", {}).json()["jwt"])


def claims(jwt: str) -> dict[str, Any]:
    payload = jwt.split(".")[1]
    told: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return told


def test_keys_are_not_exchanged_unless_it_was_asked_for(api: Wire) -> None:
    """The route is missing, and clients are told so."""
    assert api.post("client/config", {}).json()["pjwt_auth_enabled"] is False
    assert api.post("auth/token", {}).json() == {"detail": "Not Found"}


def test_a_token_says_whose_it_is_and_how_long_it_lives(with_tokens: Served, connect: Connect) -> None:
    """The claims that the SDK reads."""
    api = connect(with_tokens, KEYS[3])
    told = claims(token(api))

    assert api.post("client/config", {}).json()["pjwt_auth_enabled"] is True
    assert (told["sub"], told["org_id"]) == (f"tml:user:{KEYS[3]}-owner", "simulator")
    assert told["email"] == f"{KEYS[3]}-owner@simulator.example"
    assert told["exp"] - told["iat"] == LIFETIME
    assert KEYS[3] not in json.dumps({name: value for name, value in told.items() if name not in {"sub", "email"}})


def test_a_token_opens_what_its_key_opens(with_tokens: Served, connect: Connect) -> None:
    """The same owner's things, and nobody else's."""
    one, other = connect(with_tokens, KEYS[0]), connect(with_tokens, KEYS[1])
    run = one.run()
    by_token = connect(with_tokens, token(one))

    assert by_token.get(f"training_runs/{run}").json() == one.get(f"training_runs/{run}").json()
    assert connect(with_tokens, token(other)).get(f"training_runs/{run}").status_code == 404


def test_a_token_ends_with_its_time_and_the_answer_says_so(with_tokens: Served, connect: Connect) -> None:
    """401 with the challenge that makes the SDK exchange anew; the key itself goes on."""
    api = connect(with_tokens, KEYS[0])
    by_token = connect(with_tokens, token(api))
    api.order("clock", {"advance_seconds": LIFETIME - 10})
    before = by_token.get("training_runs").status_code
    api.order("clock", {"advance_seconds": 11})
    after = by_token.get("training_runs")

    assert (before, after.status_code) == (200, 401)
    assert after.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert by_token.post("auth/token", {}).status_code == 401
    assert connect(with_tokens, token(api)).get("training_runs").status_code == 200


def test_a_token_outlives_a_restart_and_no_other_simulator_takes_it(
    with_tokens: Served, connect: Connect, tmp_path: Path
) -> None:
    """It is signed with a secret of the state folder."""
    jwt = token(connect(with_tokens, KEYS[0]))
    with_tokens.close()
    with_tokens.start()
    other = Served(tmp_path / "other", options=("--jwt",))
    other.start()
    statuses = [connect(served, jwt).get("training_runs").status_code for served in (with_tokens, other)]
    other.close()

    assert statuses == [200, 401]


FORGED: dict[str, Callable[[str], str]] = {
    "another owner": lambda jwt: _with(jwt, sub="tml:user:somebody"),
    "more time": lambda jwt: _with(jwt, exp=99999999999),
    "no signature": lambda jwt: jwt.rsplit(".", 1)[0] + ".",
    "no algorithm": lambda jwt: _headed(jwt, {"alg": "none", "typ": "JWT"}),
    "half of it": lambda jwt: jwt[: len(jwt) // 2],
}


def _encoded(document: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=").decode()


def _with(jwt: str, **changed: Any) -> str:
    head, _, signature = jwt.split(".")
    return f"{head}.{_encoded({**claims(jwt), **changed})}.{signature}"


def _headed(jwt: str, head: dict[str, Any]) -> str:
    return f"{_encoded(head)}.{jwt.split('.')[1]}."


@pytest.mark.parametrize("how", FORGED)
def test_a_forged_token_opens_nothing(with_tokens: Served, connect: Connect, how: str) -> None:
    """401 with the challenge."""
    forged = connect(with_tokens, FORGED[how](token(connect(with_tokens, KEYS[0])))).get("training_runs")

    assert (forged.status_code, "invalid_token" in forged.headers["www-authenticate"]) == (401, True)


def test_a_key_is_described_to_its_holder(api: Wire, connect: Connect, shared: Served) -> None:
    """By a number that is its own, without the key itself."""
    mine = api.get("auth/apikey/me")
    other = connect(shared).get("auth/apikey/me").json()

    assert mine.json()["details"] == {
        "org_details": {"name": "simulator"},
        "user_details": {"email": f"{api.key}-owner@simulator.example"},
    }
    assert isinstance(mine.json()["key_id"], int)
    assert mine.json()["key_id"] not in {0, other["key_id"]}
    assert set(mine.json()) == {"key_id", "name", "note", "details"}


def test_a_deleted_key_lets_nobody_in_any_more(with_tokens: Served, connect: Connect) -> None:
    """Nor do its tokens, nor after a restart that names the key; what it owned is there for others of the owner."""
    api = connect(with_tokens, KEYS[0])
    by_token = connect(with_tokens, token(api))
    assert api.delete("auth/apikey/me").status_code == 204
    before = [client.get("training_runs").status_code for client in (api, by_token)]
    with_tokens.close()
    with_tokens.start()

    assert before == [401, 401]
    assert [client.get("training_runs").status_code for client in (api, by_token)] == [401, 401]
    assert connect(with_tokens, KEYS[1]).get("training_runs").status_code == 200


def test_the_state_holds_no_key(own: Served, connect: Connect) -> None:
    """Not even that of who was there."""
    api = connect(own, KEYS[0])
    api.run()
    assert api.delete("auth/apikey/me").status_code == 204
    own.close()
    # The owner's name is made of the key here: what is looked for is the key with nothing behind it.
    stored = b"".join(path.read_bytes() for path in own.state_dir.rglob("*") if path.is_file())

    assert f"{KEYS[0]}-owner".encode() in stored
    assert stored.count(KEYS[0].encode()) == stored.count(f"{KEYS[0]}-owner".encode())


def test_health_is_told_to_everybody(shared: Served) -> None:
    """Without a key."""
    assert httpx.get(f"{shared.url}/api/v1/healthz").json() == {"status": "ok"}
