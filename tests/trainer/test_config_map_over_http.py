"""The ConfigMap source on the wire: what it asks the API server for is one `get`, with the kubeconfig's credentials."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from tinker_operator.trainer import HandOverForbidden, HandOverUnreadable, source_from

pytestmark = pytest.mark.http

Make = Callable[..., str]


class ApiServer(ThreadingHTTPServer):
    """Answers every request alike, and remembers what was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.answer: tuple[int, dict[str, object]] = (404, {"kind": "Status", "reason": "NotFound"})
        self.asked: list[tuple[str, str, str | None]] = []


class _Answer(BaseHTTPRequestHandler):
    server: ApiServer

    def do_GET(self) -> None:
        self.server.asked.append((self.command, self.path, self.headers["Authorization"]))
        status, document = self.server.answer
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing: the test reads what was asked."""


@pytest.fixture
def api_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiServer]:
    """An API server on loopback, and a KUBECONFIG that leads to it."""
    server = ApiServer()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "loop"}}],
        "clusters": [{"name": "here", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
        "users": [{"name": "loop", "user": {"token": "of-the-loop"}}],
    }
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config), encoding="utf-8")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_one_look_is_one_get_of_that_one_config_map(api_server: ApiServer, handover_text: Make) -> None:
    """A Role with the verb get on this name is enough."""
    api_server.answer = (200, {"kind": "ConfigMap", "apiVersion": "v1", "data": {"handover.json": handover_text()}})
    source = source_from("configmap://math/math-sft-handover")

    seen = [source.read(), source.read()]

    assert [handover and handover.attempt for handover in seen] == [1, 1]
    path = "/api/v1/namespaces/math/configmaps/math-sft-handover"
    assert api_server.asked == [("GET", path, "Bearer of-the-loop")] * 2


def test_a_config_map_that_appears_later_is_seen(api_server: ApiServer, handover_text: Make) -> None:
    """The loop starts first, the TrainingRun is written for its run, then the ConfigMap appears."""
    source = source_from("configmap://math/math-sft-handover")
    before = source.read()
    api_server.answer = (200, {"kind": "ConfigMap", "apiVersion": "v1", "data": {"handover.json": handover_text()}})

    assert (before, source.read() is not None) == (None, True)


def test_a_refusal_says_which_role_is_missing_and_nothing_secret(api_server: ApiServer) -> None:
    """The token stays out of the message."""
    api_server.answer = (403, {"kind": "Status", "reason": "Forbidden", "message": "no"})

    with pytest.raises(HandOverForbidden, match="verb get on configmaps") as caught:
        source_from("configmap://math/math-sft-handover").read()

    assert "of-the-loop" not in str(caught.value)


def test_an_api_server_that_is_away_may_come_back(api_server: ApiServer) -> None:
    """A refused connection is trouble that may pass."""
    source = source_from("configmap://math/math-sft-handover")
    api_server.answer = (503, {"kind": "Status", "reason": "ServiceUnavailable"})

    with pytest.raises(HandOverUnreadable) as caught:
        source.read()

    assert caught.value.transient
