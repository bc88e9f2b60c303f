"""A collector of the tests' own: takes OTLP over HTTP, and keeps every byte of it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue


@dataclass(frozen=True, slots=True)
class Seen:
    """A span as it arrived.

    Attributes:
        name: What it is called.
        span_id: Its own id.
        parent_id: Its parent's; empty for none.
        trace_id: That of all spans below one root, in hexadecimal.
        attributes: What it says.
    """

    name: str
    span_id: bytes
    parent_id: bytes
    trace_id: str
    attributes: dict[str, Any]


@dataclass
class Collector:
    """What has arrived.

    Attributes:
        url: Where it listens.
        bodies: Every request, whole, headers first.
        spans: Every span.
        resources: What each batch says of who sends it.
    """

    url: str = ""
    bodies: list[bytes] = field(default_factory=list)
    spans: list[Seen] = field(default_factory=list)
    resources: list[dict[str, Any]] = field(default_factory=list)

    def take(self, headers: bytes, body: bytes) -> None:
        """Keeps a request and reads it."""
        self.bodies.append(headers + body)
        for batch in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.resources.append(_read(batch.resource.attributes))
            for span in (span for scope in batch.scope_spans for span in scope.spans):
                ids = (span.span_id, span.parent_span_id, span.trace_id.hex())
                self.spans.append(Seen(span.name, *ids, _read(span.attributes)))

    def named(self, begin: str) -> list[Seen]:
        """Returns the spans whose name begins so."""
        return [span for span in tuple(self.spans) if span.name.startswith(begin)]


def _read(attributes: Any) -> dict[str, Any]:
    def value(pair: KeyValue) -> Any:
        return getattr(pair.value, str(pair.value.WhichOneof("value")))

    return {pair.key: value(pair) for pair in attributes}


@contextmanager
def collecting() -> Iterator[Collector]:
    """Yields a collector that listens on loopback."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            collector.take(f"{self.path}\n{self.headers}".encode(), body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield collector
        server.shutdown()
        thread.join()
