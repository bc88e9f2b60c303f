"""The key is in no text that anybody may ever see."""

import copy
import logging
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from tinker_operator.tinker import (
    AdamParams,
    LoraConfig,
    ModelInput,
    TinkerClient,
    TinkerError,
    TinkerPath,
    operations,
)
from tinker_operator.tinker.sampling import SampleRequest

pytestmark = pytest.mark.pure

Connect = Callable[..., TinkerClient]
Call = Callable[[TinkerClient], Awaitable[object]]

WORD = "rosebud"
"""The part of the key to search for."""
KEY = SecretStr(f"tml-{WORD}-1")
PATH = TinkerPath.parse("tinker://s:train:0/weights/step-3")
REQUEST = httpx.Request("GET", f"https://x.test/?k={WORD}", headers={"X-API-Key": f"tml-{WORD}-1"})


def echo(status: int, text: str) -> Callable[[], httpx.Response]:
    return lambda: httpx.Response(status, text=text, headers={"x-echo": f"tml-{WORD}-1"})


def fault(kind: type[httpx.RequestError]) -> Callable[[], httpx.Response]:
    def fail() -> httpx.Response:
        raise kind(f"while sending X-API-Key: tml-{WORD}-1", request=REQUEST) from OSError(f"tml-{WORD}-1")

    return fail


ANSWERS: dict[str, Callable[[], httpx.Response]] = {
    **{
        f"{status} that echoes the key": echo(status, f'{{"detail": "bad key tml-{WORD}-1"}}')
        for status in (301, 400, 401, 402, 403, 404, 405, 408, 409, 410, 418, 422, 429, 500, 503, 599)
    },
    "an echo in a validation error": echo(
        422, f'{{"detail": [{{"loc": ["h", "tml-{WORD}-1"], "msg": "tml-{WORD}-1"}}]}}'
    ),
    "an echo in a structure": echo(400, f'{{"detail": {{"key": "tml-{WORD}-1"}}}}'),
    "a signed URL": echo(500, f'{{"message": "cannot read https://b.test/o?sig={WORD}&t=1"}}'),
    "garbage that holds the key": echo(200, f"<html>tml-{WORD}-1</html>"),
    "a wrong type that holds the key": echo(
        200, f'{{"status": ["tml-{WORD}-1"], "training_run_id": {{"tml-{WORD}-1": 1}}}}'
    ),
    "a key of the wrong name that is the key": echo(
        200,
        f'{{"training_run_id": "r", "base_model": "Q", "is_lora": 1, "user_metadata": {{"tml-{WORD}-1": "\\ud800"}}}}',
    ),
    "failed work that names the key": echo(200, f'{{"request_id": "r", "error": "tml-{WORD}-1"}}'),
    **{
        kind.__name__: fault(kind)
        for kind in (
            httpx.ConnectError,
            httpx.ReadError,
            httpx.WriteError,
            httpx.RemoteProtocolError,
            httpx.LocalProtocolError,
            httpx.ProxyError,
            httpx.ConnectTimeout,
            httpx.ReadTimeout,
            httpx.PoolTimeout,
            httpx.UnsupportedProtocol,
            httpx.DecodingError,
            httpx.TooManyRedirects,
        )
    },
}
CALLS: dict[str, Call] = {
    "a read": lambda client: client.get_training_run("r"),
    "a listing": lambda client: client.training_runs(),
    "a deletion": lambda client: client.delete_checkpoint(PATH),
    "a beat": lambda client: client.heartbeat("s"),
    "a copy under a token": lambda client: client.copy_weights(
        PATH, project_id="p", weights_access_token=SecretStr(f"{WORD}-2")
    ),
    "an archive": lambda client: client.archive(PATH),
    "addresses": lambda client: client.external_weights_urls("tinker://r/external_weights/n"),
    "a trace": lambda client: client.export_session_trace("s", wait_seconds=1),
    "samples": lambda client: client.asample("s", 0, SampleRequest(ModelInput.from_ints([1])), wait_seconds=5),
    "a step": lambda client: client.submit(operations.optim_step("m", 1, AdamParams())),
    "work": lambda client: client.create_model(
        session_id="s", model_seq_id=0, base_model="Q", lora=LoraConfig(rank=8), wait_seconds=5
    ),
}


def everything_shown(error: BaseException) -> str:
    """All that a logger could write: texts, the traceback with every variable, and the same of every cause."""
    rich = traceback.TracebackException.from_exception(error, capture_locals=True)
    parts = ["".join(traceback.format_exception(error)), "".join(rich.format()), str(error), repr(error)]
    parts += [repr(vars(error)), repr(error.args)]
    for cause in (error.__cause__, error.__context__):
        if cause is not None:
            parts.append(everything_shown(cause))
    return "\n".join(parts)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS.keys())
async def test_no_failure_shows_the_key(
    connect: Connect, call: Call, answer: Callable[[], httpx.Response], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    client = connect(lambda _: answer(), api_key=KEY)
    try:
        await call(client)
    except TinkerError as failure:
        shown, cause, context = everything_shown(failure), failure.__cause__, failure.__context__
    else:
        shown, cause, context = "", None, None
    assert cause is None
    assert not isinstance(context, httpx.HTTPError)
    assert WORD not in shown
    assert WORD not in caplog.text


async def test_a_call_that_succeeds_shows_no_key_either(
    connect: Connect, script: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await connect(script({"status": "ok"}), api_key=KEY).healthz()
    assert WORD not in caplog.text


def test_the_client_shows_its_address_and_not_its_key(connect: Connect, script: Callable[..., Any]) -> None:
    client = connect(script({}), api_key=KEY)
    transport = client._transport
    for thing in (client, transport, transport._http, vars(client), vars(transport), copy.copy(client)):
        assert WORD not in repr(thing)
        assert WORD not in str(thing)
    assert repr(client) == "TinkerClient('https://tinker.test/services/prod')"


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"api_key": SecretStr(f"sk-{WORD}")}, id="a key of another service"),
        pytest.param({"api_key": SecretStr(f"tml-{WORD} {WORD}")}, id="a key with a space"),
        pytest.param({"api_key": SecretStr(f"tml-{WORD}\r\nX-Other: 1")}, id="a key that would add a header"),
        pytest.param({"base_url": f"https://me:{WORD}@x.test"}, id="an address with a password"),
        pytest.param({"base_url": f"https://x.test?token={WORD}"}, id="an address with a token"),
        pytest.param({"base_url": f"gopher:{WORD}"}, id="an address of another kind"),
        pytest.param({"ca_pem": "no certificate"}, id="no certificate authority"),
    ],
)
def test_no_wrong_setting_is_repeated(connect: Connect, script: Callable[..., Any], settings: dict[str, Any]) -> None:
    with pytest.raises(TinkerError) as refusal:
        connect(script({}), **({"api_key": KEY} | settings))
    assert WORD not in str(refusal.value)
    assert WORD not in "".join(traceback.format_exception(refusal.value))
    assert WORD not in repr(refusal.value)
