"""What spans say: how a round and a request ended, and nothing that somebody else has written."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpx
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from pydantic import SecretStr
from structlog.testing import capture_logs

from tinker_operator.controllers import tracing
from tinker_operator.controllers.objects import CHECKPOINT_POLICIES, TRAINING_RUNS
from tinker_operator.controllers.traces import Traces
from tinker_operator.controllers.tracing import NoTraces, traces_of, wants_traces
from tinker_operator.engine.keys import ObjectKey
from tinker_operator.engine.kube_errors import WriteConflict
from tinker_operator.engine.store import Store
from tinker_operator.engine.workers import Reconcile
from tinker_operator.tinker import RetryPolicy, TinkerClient
from tinker_operator.tinker.errors import TinkerError
from tinker_operator.tinker.exchange import unwatched

pytestmark = pytest.mark.pure

SECRET = "tml-planted-secret"
KEY = ObjectKey(TRAINING_RUNS.kind, "lab", "sft")
Handler = Callable[[httpx.Request], httpx.Response]


@pytest.fixture
def spans() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def traces(spans: InMemorySpanExporter) -> Traces:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(spans))
    return Traces(provider)


@pytest.fixture
def store() -> Store:
    store = Store()
    metadata = {"namespace": KEY.namespace, "name": KEY.name, "uid": "1", "resourceVersion": "1"}
    store.apply(KEY.kind, {"metadata": metadata, "status": {"trainingRunId": "r:train:1", "recovery": {"attempt": 2}}})
    return store


def ending(fault: BaseException | None = None, after: float | None = None) -> Reconcile:
    async def reconcile(_key: ObjectKey) -> float | None:
        if fault is not None:
            raise fault
        return after

    return reconcile


def client(traces: Traces, handler: Handler) -> TinkerClient:
    return TinkerClient(
        "https://tinker.test/a-path",
        SecretStr(SECRET),
        retry=RetryPolicy(initial_seconds=0, max_attempts=1),
        carrier=httpx.MockTransport(handler),
        watch=traces.of_requests(unwatched),
    )


def said(span: ReadableSpan) -> str:
    """Returns everything that leaves with a span."""
    return str(span.to_json())


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


@pytest.mark.parametrize(
    ("reconcile", "outcome", "error"),
    [
        pytest.param(ending(), "success", None, id="nothing more to do"),
        pytest.param(ending(after=30.0), "requeue_after", None, id="to be looked at again"),
        pytest.param(ending(WriteConflict("moved on", "look again")), "requeue", None, id="the object has moved on"),
        pytest.param(ending(ValueError(SECRET)), "error", "ValueError", id="a failure"),
        pytest.param(ending(asyncio.CancelledError()), "error", "CancelledError", id="cut short"),
    ],
)
async def test_a_span_says_of_whom_a_round_was_and_how_it_ended(  # noqa: PLR0917 - fixtures and a row
    reconcile: Reconcile, outcome: str, error: str | None, traces: Traces, store: Store, spans: InMemorySpanExporter
) -> None:
    """By the kind of a failure, never by its text."""
    with suppress(ValueError, WriteConflict, asyncio.CancelledError):
        await traces.of_rounds(reconcile, store)(KEY)

    (span,) = spans.get_finished_spans()
    assert span.name == "reconcile TrainingRun"
    assert attributes(span) == {
        "k8s.namespace.name": "lab",
        "tinker_operator.kind": "TrainingRun",
        "tinker_operator.name": "sft",
        "tinker_operator.run": "r:train:1",
        "tinker_operator.attempt": 2,
        "tinker_operator.outcome": outcome,
    } | ({"error.type": error} if error else {})
    assert (span.status.status_code is StatusCode.ERROR) == (error is not None)
    assert SECRET not in said(span)
    assert not span.events


async def test_a_round_of_a_policy_speaks_of_no_run(traces: Traces, spans: InMemorySpanExporter) -> None:
    await traces.of_rounds(ending(), Store())(ObjectKey(CHECKPOINT_POLICIES.kind, "lab", "keep"))
    (span,) = spans.get_finished_spans()
    assert {"tinker_operator.run", "tinker_operator.attempt"}.isdisjoint(attributes(span))


async def test_requests_of_a_round_are_below_it(traces: Traces, store: Store, spans: InMemorySpanExporter) -> None:
    async with client(traces, lambda _: httpx.Response(404, headers={"x-request-id": "req-7"}, text=SECRET)) as asked:

        async def reconcile(_key: ObjectKey) -> float | None:
            with suppress(TinkerError):
                await asked.get_training_run("secret-run:train:0")
            return None

        await traces.of_rounds(reconcile, store)(KEY)

    request, round_ = spans.get_finished_spans()
    assert request.parent is not None
    assert request.parent.span_id == (round_.context.span_id if round_.context else None)
    assert request.name == "GET training_runs/{id}"
    assert attributes(request) == {
        "http.request.method": "GET",
        "url.template": "training_runs/{id}",
        "http.response.status_code": 404,
        "error.type": "404",
        "tinker_operator.request_id": "req-7",
    }
    assert [word for word in (SECRET, "secret-run", "a-path", "planted") if word in said(request)] == []


@pytest.mark.parametrize(
    "planted",
    [
        pytest.param(SECRET, id="the key"),
        pytest.param("eyJhbGciOi.abc.def", id="a token"),
        pytest.param(f"req-7:{SECRET}", id="the key, behind an id"),
        pytest.param("req-7:eyJhbGciOi.abc.def", id="a token, behind an id"),
        pytest.param("a b", id="words"),
        pytest.param("x" * 129, id="something long"),
    ],
)
async def test_what_is_no_id_of_a_request_is_not_passed_on(
    planted: str, traces: Traces, spans: InMemorySpanExporter
) -> None:
    """A service could say anything there."""
    async with client(traces, lambda _: httpx.Response(404, headers={"x-request-id": planted})) as asked:
        with suppress(TinkerError):
            await asked.get_training_run("r")
    (span,) = spans.get_finished_spans()
    assert planted not in said(span)


async def test_a_request_without_an_answer_says_why(traces: Traces, spans: InMemorySpanExporter) -> None:
    def refuse(_request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError(SECRET)

    async with client(traces, refuse) as asked:
        with suppress(TinkerError):
            await asked.get_training_run("r")
    (span,) = spans.get_finished_spans()
    assert attributes(span)["error.type"] == "ServiceUnreachable"
    assert SECRET not in said(span)


async def test_what_else_sees_requests_sees_them_still(traces: Traces) -> None:
    """The counts do not depend on traces."""
    seen: list[object] = []

    @contextmanager
    def watch(call: object) -> Iterator[Callable[[object], None]]:
        seen.append(call)
        yield seen.append
        seen.append("left")

    transport = httpx.MockTransport(lambda _: httpx.Response(404))
    watched = traces.of_requests(watch)
    async with TinkerClient("https://tinker.test", SecretStr(SECRET), carrier=transport, watch=watched) as asked:
        with suppress(TinkerError):
            await asked.get_training_run("r")
    assert len(seen) == 3


ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        pytest.param({}, False, id="nothing is said"),
        pytest.param(ENDPOINT, True, id="a collector is named"),
        pytest.param({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c/v1/traces"}, True, id="one for traces is named"),
        pytest.param({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://c"}, False, id="one for something else"),
        pytest.param({"OTEL_EXPORTER_OTLP_ENDPOINT": " "}, False, id="an empty name"),
        pytest.param(ENDPOINT | {"OTEL_SDK_DISABLED": "true"}, False, id="all is switched off"),
        pytest.param(ENDPOINT | {"OTEL_TRACES_EXPORTER": "none"}, False, id="traces are switched off"),
        pytest.param(ENDPOINT | {"OTEL_TRACES_EXPORTER": "otlp"}, True, id="traces go to it"),
    ],
)
def test_traces_are_on_where_a_collector_is_named(environ: dict[str, str], wanted: bool) -> None:
    assert wants_traces(environ) is wanted


def test_variables_that_cannot_be_used_do_not_keep_the_operator_from_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "-1")
    assert isinstance(traces_of(wanted=True), NoTraces)


def test_packages_that_are_missing_do_not_keep_the_operator_from_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables may be those of a platform that knows nothing of this operator."""
    monkeypatch.setattr(tracing, "NEEDED", "no-such-package")
    with capture_logs() as told:
        assert isinstance(traces_of(wanted=True), NoTraces)
    (line,) = told
    assert line["event"] == "traces_off"
    assert "tinker-operator[traces]" in line["message"]


def test_without_traces_rounds_and_requests_are_as_they_were() -> None:
    reconcile, none = ending(), traces_of(wanted=False)
    assert none.of_rounds(reconcile, Store()) is reconcile
    assert none.of_requests(unwatched) is unwatched
