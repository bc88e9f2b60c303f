"""The tier `node`: everything in it runs Pods, and takes root."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from playground.node.node import Node

ANSWER = b"the machine greets its Pods"


class Greeting(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(ANSWER)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture
def greeter(node: Node) -> Iterator[str]:
    """URL of a service on this machine, listening where Pods reach it."""
    with ThreadingHTTPServer((node.host_address, 0), Greeting) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://{node.host_address}:{server.server_port}"
        server.shutdown()
