"""OpenTelemetry traces: a span for each round, and below it one for each request to the service.

The composition root imports this module only where the environment asks for traces: it is the only one that knows
OpenTelemetry. What a span says comes from closed lists and from names of objects and runs; never a header, a body, a
query or the text of an exception, in any of which a key may stand.
"""

import asyncio
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib.metadata import version
from typing import Final, Self

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, StatusCode
from structlog.contextvars import bind_contextvars

from tinker_operator.controllers.bearings import bearings
from tinker_operator.engine.keys import ObjectKey
from tinker_operator.engine.kube_errors import ObjectGone, WriteConflict
from tinker_operator.engine.store import Store
from tinker_operator.engine.workers import Reconcile
from tinker_operator.tinker.calls import Call
from tinker_operator.tinker.errors import TinkerError
from tinker_operator.tinker.exchange import CallWatch
from tinker_operator.tinker.faults import Answer

CLOSE_SECONDS: Final = 1.0
"""How long the end of the process waits for the last spans; a collector that does not answer must not hold it up."""
CANCELLED: Final = "Cancelled"
_REFUSED: Final = 400
_REQUEST_ID: Final = re.compile(r"(?!.*(?:tml-|eyJ))[\w.:-]{1,128}", re.ASCII)
"""What is taken for the id of a request; never what has the form of a key in it."""


class Traces:
    """Spans of rounds and requests.

    Args:
        provider: Where spans go.
    """

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("tinker_operator", version("tinker-operator"))

    @classmethod
    def from_environment(cls) -> Self:
        """Returns traces that go where the variables of OpenTelemetry say, by OTLP over HTTP."""
        own = Resource({"service.name": "tinker-operator", "service.version": version("tinker-operator")})
        provider = TracerProvider(resource=own.merge(OTELResourceDetector().detect()), shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        return cls(provider)

    async def close(self) -> None:
        """Sends what is left, if that can be done in time."""
        # No worker of the loop's: asyncio would wait for it to the end.
        ending = threading.Thread(target=self._provider.shutdown, daemon=True)
        ending.start()
        await asyncio.to_thread(ending.join, CLOSE_SECONDS)

    def of_rounds(self, reconcile: Reconcile, store: Store) -> Reconcile:
        """Returns the function that does the same in a span.

        Args:
            reconcile: What brings one object forward.
            store: Objects as the cluster has them.
        """

        async def traced(key: ObjectKey) -> float | None:
            with self._span(f"reconcile {key.kind}", SpanKind.INTERNAL) as span:
                span.set_attribute("k8s.namespace.name", key.namespace)
                span.set_attribute("tinker_operator.kind", key.kind)
                span.set_attribute("tinker_operator.name", key.name)
                bind_contextvars(trace_id=f"{span.get_span_context().trace_id:032x}")
                try:
                    with _outcome(span) as told:
                        again_after = await reconcile(key)
                        told("success" if again_after is None else "requeue_after")
                finally:
                    known = {name: value for name, value in bearings(store, key).items() if value is not None}
                    span.set_attributes({f"tinker_operator.{name}": value for name, value in known.items()})
            return again_after

        return traced

    def of_requests(self, watch: CallWatch) -> CallWatch:
        """Returns the watch that does the same in a span.

        Args:
            watch: What else sees requests.
        """

        @contextmanager
        def traced(call: Call) -> Iterator[Callable[[Answer | TinkerError], None]]:
            with self._span(f"{call.method} {call.template}", SpanKind.CLIENT) as span, watch(call) as told:
                span.set_attributes({"http.request.method": call.method, "url.template": call.template})
                outcomes: list[Answer | TinkerError] = []
                try:
                    yield _each(outcomes.append, told)
                finally:
                    _tell(span, outcomes)

        return traced

    def _span(self, name: str, kind: SpanKind) -> AbstractContextManager[Span]:
        return self._tracer.start_as_current_span(
            name, kind=kind, record_exception=False, set_status_on_exception=False
        )


def _each(*listeners: Callable[[Answer | TinkerError], None]) -> Callable[[Answer | TinkerError], None]:
    def tell(outcome: Answer | TinkerError) -> None:
        for listener in listeners:
            listener(outcome)

    return tell


@contextmanager
def _outcome(span: Span) -> Iterator[Callable[[str], None]]:
    """Says how a round ended, under the words by which it is counted."""
    try:
        yield lambda outcome: span.set_attribute("tinker_operator.outcome", outcome)
    except (WriteConflict, ObjectGone):
        span.set_attribute("tinker_operator.outcome", "requeue")
        raise
    except BaseException as fault:
        span.set_attributes({"tinker_operator.outcome": "error", "error.type": type(fault).__name__})
        span.set_status(StatusCode.ERROR)
        raise


def _tell(span: Span, outcomes: list[Answer | TinkerError]) -> None:
    """Says what came of a request."""
    outcome = outcomes[-1] if outcomes else None
    if isinstance(outcome, Answer):
        span.set_attribute("http.response.status_code", outcome.status)
        found = outcome.headers.get("x-request-id", "")
        if _REQUEST_ID.fullmatch(found):
            span.set_attribute("tinker_operator.request_id", found)
        if outcome.status < _REFUSED:
            return
        span.set_attribute("error.type", str(outcome.status))
    else:
        span.set_attribute("error.type", CANCELLED if outcome is None else outcome.reason)
    span.set_status(StatusCode.ERROR)
