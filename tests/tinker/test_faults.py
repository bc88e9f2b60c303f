"""Every exception of httpx and every status of HTTP has exactly one class in the error tree."""

import inspect
import ssl
from collections.abc import Iterator
from http import HTTPStatus

import httpx
import pytest
from pydantic import SecretStr

from tinker_operator.tinker import errors
from tinker_operator.tinker.calls import Call
from tinker_operator.tinker.errors import StatusError, TinkerError
from tinker_operator.tinker.faults import CAUGHT, FAULTS, Answer, fault_error, retry_after, status_error
from tinker_operator.tinker.redaction import Redaction

pytestmark = pytest.mark.pure

CALL = Call("GET", "training_runs", (("limit", "100"),))
REDACTION = Redaction(SecretStr("tml-secret-of-the-tests"))

EXPECTED: dict[str, type[TinkerError]] = {
    "ConnectTimeout": errors.ServiceTimeout,
    "ReadTimeout": errors.ServiceTimeout,
    "WriteTimeout": errors.ServiceTimeout,
    "PoolTimeout": errors.ServiceTimeout,
    "TimeoutException": errors.ServiceTimeout,
    "ConnectError": errors.ServiceUnreachable,
    "ReadError": errors.ServiceUnreachable,
    "WriteError": errors.ServiceUnreachable,
    "CloseError": errors.ServiceUnreachable,
    "NetworkError": errors.ServiceUnreachable,
    "RemoteProtocolError": errors.ServiceUnreachable,
    "ProxyError": errors.ServiceUnreachable,
    "LocalProtocolError": errors.CallNotPossible,
    "UnsupportedProtocol": errors.CallNotPossible,
    "InvalidURL": errors.CallNotPossible,
    "DecodingError": errors.InvalidResponse,
    "TooManyRedirects": errors.InvalidResponse,
    "HTTPStatusError": errors.InvalidResponse,
    "CookieConflict": errors.InvalidResponse,
    "StreamError": errors.InvalidResponse,
    "StreamConsumed": errors.InvalidResponse,
    "StreamClosed": errors.InvalidResponse,
    "ResponseNotRead": errors.InvalidResponse,
    "RequestNotRead": errors.InvalidResponse,
}
ROOTS = {"HTTPError", "RequestError", "TransportError", "ProtocolError"}
"""Never raised themselves."""


def httpx_exceptions() -> Iterator[type[Exception]]:
    for name in httpx.__all__:
        kind = getattr(httpx, name)
        if inspect.isclass(kind) and issubclass(kind, Exception):
            yield kind


def made(kind: type[Exception]) -> Exception:
    """Make one, whatever its constructor wants."""
    request = httpx.Request("GET", "https://tinker.test")
    wanted = {"message": "it broke", "request": request, "response": httpx.Response(500, request=request)}
    accepted = inspect.signature(kind.__init__).parameters
    return kind(**{name: value for name, value in wanted.items() if name in accepted})


def test_the_table_names_every_exception_that_httpx_has() -> None:
    assert {kind.__name__ for kind in httpx_exceptions()} == EXPECTED.keys() | ROOTS


@pytest.mark.parametrize("name", EXPECTED)
def test_each_exception_of_httpx_is_caught_and_has_one_class(name: str) -> None:
    fault = made(getattr(httpx, name))
    assert isinstance(fault, CAUGHT)
    assert type(fault_error(CALL, fault, REDACTION, answering=False)) is EXPECTED[name]
    mapped = [kind for kind in type(fault).__mro__ if kind in FAULTS]
    assert len(mapped) == 1


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (TimeoutError(), errors.ServiceTimeout),
        (ConnectionResetError("reset by peer"), errors.ServiceUnreachable),
        (ssl.SSLError(1, "bad record mac"), errors.TlsFault),
    ],
)
def test_what_the_system_raises_has_a_class_too(fault: OSError, kind: type[TinkerError]) -> None:
    assert type(fault_error(CALL, fault, REDACTION, answering=False)) is kind


def test_a_certificate_that_does_not_verify_is_told_from_a_service_that_is_away() -> None:
    fault = httpx.ConnectError("certificate verify failed")
    fault.__context__ = ssl.SSLCertVerificationError(1, "self-signed certificate")
    error = fault_error(CALL, fault, REDACTION, answering=False)
    assert isinstance(error, errors.TlsFault)
    assert "ca.crt" in error.remedy


@pytest.mark.parametrize("fault", [httpx.ReadError("reset"), httpx.RemoteProtocolError("peer closed")])
def test_a_connection_that_breaks_within_the_answer_is_a_body_cut_short(fault: Exception) -> None:
    error = fault_error(CALL, fault, REDACTION, answering=True)
    assert isinstance(error, errors.InvalidResponse)
    assert "cut short" in error.message


def answered(status: int, body: bytes = b'{"detail": "it is so"}', /, **headers: str) -> StatusError:
    named = httpx.Headers({name.replace("_", "-"): value for name, value in headers.items()})
    return status_error(Answer(CALL, status, named, body), REDACTION)


OWN_CLASS: dict[int, type[StatusError]] = {
    400: errors.BadRequest,
    401: errors.Unauthorized,
    402: errors.BillingRequired,
    403: errors.Forbidden,
    404: errors.NotFound,
    405: errors.RouteMissing,
    408: errors.RequestTimeout,
    409: errors.Conflict,
    410: errors.Gone,
    422: errors.Unprocessable,
    429: errors.RateLimited,
}


@pytest.mark.parametrize("status", [status for status in HTTPStatus if status >= 400])
def test_each_error_status_has_one_class_and_its_message_names_it(status: HTTPStatus) -> None:
    expected = OWN_CLASS.get(status, errors.ServerFault if status >= 500 else errors.UnexpectedStatus)
    error = answered(status)
    assert type(error) is expected
    assert error.status == status
    assert error.message == f"GET training_runs was answered {status.value} {status.phrase}: it is so"


@pytest.mark.parametrize("status", [100, 204 + 100, 301, 302, 307, 308, 399, 499, 599, 999])
def test_a_status_nobody_expects_has_a_class_as_well(status: int) -> None:
    assert type(answered(status)) is (errors.ServerFault if status >= 500 else errors.UnexpectedStatus)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        pytest.param(b'{"detail": "Not Found"}', errors.RouteMissing, id="the bare words of the framework"),
        pytest.param(b'{"detail": "not found."}', errors.RouteMissing, id="the bare words, otherwise written"),
        pytest.param(b'{"error": "Not Found"}', errors.RouteMissing, id="the bare words in another field"),
        pytest.param(b"", errors.RouteMissing, id="nothing"),
        pytest.param(b"404: Not Found", errors.RouteMissing, id="plain text of a web server"),
        pytest.param(b"<html>training run not found</html>", errors.RouteMissing, id="a page of a proxy"),
        pytest.param(b"[]", errors.RouteMissing, id="JSON that is no object"),
        pytest.param(b"{}", errors.RouteMissing, id="an object that says nothing"),
        pytest.param(b'{"detail": "Training run x not found"}', errors.NotFound, id="words about a resource"),
        pytest.param(b'{"message": "no such checkpoint"}', errors.NotFound, id="words in another field"),
        pytest.param(b'{"detail": {"run": "x"}}', errors.NotFound, id="a structure about a resource"),
    ],
)
def test_a_404_is_a_missing_resource_only_when_it_speaks_of_one(body: bytes, kind: type[TinkerError]) -> None:
    assert type(answered(404, body)) is kind


def test_a_validation_error_names_the_fields_and_not_what_was_sent() -> None:
    body = b'{"detail": [{"loc": ["body", "lora_config", "rank"], "msg": "too large", "input": 4096}, "also this"]}'
    assert answered(422, body).message.endswith(": body.lora_config.rank: too large; also this")


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        pytest.param({}, None, id="not said"),
        pytest.param({"retry-after": "7"}, 7.0, id="seconds"),
        pytest.param({"retry-after": "0"}, 0.0, id="at once"),
        pytest.param({"retry-after": "3600"}, 3600.0, id="more than a minute"),
        pytest.param({"retry-after": "1.5"}, 1.5, id="a fraction"),
        pytest.param({"retry-after-ms": "250"}, 0.25, id="milliseconds"),
        pytest.param({"retry-after-ms": "250", "retry-after": "9"}, 0.25, id="both: the finer one"),
        pytest.param({"retry-after-ms": "soon", "retry-after": "9"}, 9.0, id="the finer one is no number"),
        pytest.param({"retry-after": "-1"}, None, id="a negative one"),
        pytest.param({"retry-after": "nan"}, None, id="not a number"),
        pytest.param({"retry-after": "inf"}, None, id="for ever"),
        pytest.param({"retry-after": "soon"}, None, id="a word"),
        pytest.param(
            {"retry-after": "Fri, 02 Jan 2026 00:01:30 GMT", "date": "Fri, 02 Jan 2026 00:00:00 GMT"},
            90.0,
            id="a date, counted from the answer's own",
        ),
        pytest.param(
            {"retry-after": "Fri, 02 Jan 2026 00:00:00 GMT", "date": "Fri, 02 Jan 2026 00:01:30 GMT"},
            0.0,
            id="a date that has passed",
        ),
        pytest.param({"retry-after": "Fri, 02 Jan 2026 00:01:30 GMT"}, None, id="a date against no other"),
    ],
)
def test_the_wait_that_a_service_asks_for_is_read(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(httpx.Headers(headers)) == seconds


@pytest.mark.parametrize(
    ("header", "value"), [({}, None), ({"x_should_retry": "true"}, True), ({"x_should_retry": "False"}, False)]
)
def test_what_a_service_says_about_retrying_is_kept(header: dict[str, str], value: bool | None) -> None:
    assert answered(500, **header).should_retry is value


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("key tml-secret-of-the-tests refused", "key [hidden] refused"),
        ("key tml-someone-elses refused", "key [hidden] refused"),
        ("token eyJhbGciOi.eyJzdWIi.sig_nature- refused", "token [hidden] refused"),
        ("see https://x.test/a/b?sig=abc&t=1#f for more", "see https://x.test/a/b for more"),
        ("see https://me:pw@x.test/a", "see https://x.test/a"),
        ("two\nlines\tand \x1b[2J", "two lines and [2J"),
    ],
)
def test_a_text_from_outside_is_shown_without_what_must_stay_secret(text: str, shown: str) -> None:
    assert REDACTION.clean(text) == shown


def test_a_key_of_strange_form_is_hidden_also_when_percent_encoded() -> None:
    redaction = Redaction(SecretStr("tml-a/b&c"))
    assert redaction.clean("x tml-a/b&c y tml-a%2Fb%26c z") == "x [hidden] y [hidden] z"


def test_a_long_text_is_shown_in_part() -> None:
    assert len(REDACTION.clean("word " * 1000)) == 300
