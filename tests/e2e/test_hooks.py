"""Hooks of a recovery on a real API server: told once each, signed, repeated when they fail, never in the way."""

import base64
import hmac
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from tests.e2e.stage import Stage, wait_for

pytestmark = pytest.mark.cluster

KEY = "signs-the-body"
TOKEN = "token-in-the-url"


@dataclass
class Receiver:
    """A webhook's other end: keeps what it gets, and answers by path from a list, 200 when that is at its end."""

    answers: dict[str, list[int]] = field(default_factory=dict)
    calls: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    port: int = 0

    def of(self, hook: str) -> list[dict[str, Any]]:
        """Returns the bodies that a hook sent."""
        return [json.loads(body) for _, headers, body in self.calls if headers["X-Tinker-Operator-Hook"] == hook]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """On loopback, in a thread of its own."""
    kept = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            kept.calls.append((self.path, dict(self.headers), body))
            waiting = kept.answers.get(self.path.partition("?")[0], [])
            self.send_response(waiting.pop(0) if waiting else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    kept.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield kept
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def hooked(stage: Stage, receiver: Receiver) -> Stage:
    """The stage with an operator that may call the receiver, and a Secret with its URLs."""
    stage.operator.close()
    stage.operator.arguments = ("--allow-webhook", f"127.0.0.1:{receiver.port}")
    stage.operator.start()
    urls = {name: f"http://127.0.0.1:{receiver.port}/{name}?{TOKEN}" for name in ("back", "gone")}
    entries = {**urls, "elsewhere": f"http://localhost:{receiver.port}/back?{TOKEN}", "hmac": KEY}
    coded = {name: base64.b64encode(text.encode()).decode() for name, text in entries.items()}
    stage.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hooks"}, "data": coded})
    return stage


def webhook(name: str, entry: str) -> dict[str, Any]:
    secret = {"name": "hooks"}
    called = {"urlSecretRef": {**secret, "key": entry}, "hmacSecretRef": {**secret, "key": "hmac"}}
    return {"name": name, "webhook": called}


def recovering(**recovery: Any) -> dict[str, Any]:
    return {"enabled": True, "backoffSeconds": 1, "jitter": "None", **recovery}


def recovered(stage: Stage, recovery: dict[str, Any]) -> str:
    run, _ = stage.trained_run()
    stage.apply(stage.training_run({"run": {"trainingRunId": run}, "recovery": recovery}))
    stage.wait_ready()
    stage.corrupt(run)
    wait_for(lambda: stage.status().get("recoveries") == 1, "one recovery")
    return run


def delivered(stage: Stage, count: int) -> dict[str, Any]:
    """Waits until so many calls were taken, with none left, and returns status.hooks."""

    def look() -> dict[str, Any]:
        hooks: dict[str, Any] = stage.status().get("hooks") or {}
        return hooks if hooks.get("delivered") == count and not hooks.get("pending") else {}

    return wait_for(look, f"{count} hooks to be delivered")


def assert_signed(receiver: Receiver) -> None:
    for _, headers, body in receiver.calls:
        expected = hmac.digest(KEY.encode(), body, "sha256").hex()
        assert headers["X-Tinker-Operator-Signature"] == f"sha256={expected}"


def assert_nothing_leaked(stage: Stage) -> None:
    """Neither status, Events nor log show the token or the key."""
    events = stage.kubectl("get", "events.events.k8s.io", "--namespace", stage.namespace, "-o", "json").stdout
    for text in (json.dumps(stage.status()), events, stage.operator.log.read_text()):
        assert TOKEN not in text
        assert KEY not in text


def test_a_recovery_is_told_of_once_with_what_was_done(hooked: Stage, receiver: Receiver) -> None:
    """Signed, with an id, after the hand-over; and onFailure has nothing to tell."""
    hooks = {"onRecovery": [webhook("tell", "back")], "onFailure": [webhook("page", "gone")]}
    run = recovered(hooked, recovering(**hooks))
    delivered(hooked, 1)
    hooked.wait_ready()
    hooked.wait_polls()

    (body,) = receiver.of("tell")
    record = hooked.status()["recovery"]["history"][-1]
    assert body["version"] == 1
    assert (body["occasion"], body["attempt"], body["cluster"]) == ("Recovered", 1, "test")
    assert body["trainingRun"]["namespace"] == hooked.namespace
    assert body["trainingRunId"] == hooked.status()["trainingRunId"]
    assert body["recovery"] == record
    assert record["fromTrainingRunId"] == run
    assert hooked.hand_over()["attempt"] == 1
    assert len(receiver.calls) == 1
    assert_signed(receiver)
    assert hooked.events().count("HookDelivered") == 1
    assert_nothing_leaked(hooked)


def test_giving_up_is_told_of_once(hooked: Stage, receiver: Receiver) -> None:
    """When the budget is used up, not at each attempt that fails."""
    run = hooked.wire.run()
    hooks = {"onRecovery": [webhook("tell", "back")], "onFailure": [webhook("page", "gone")]}
    recovery = recovering(maxAttempts=2, **hooks)
    hooked.apply(hooked.training_run({"run": {"trainingRunId": run}, "recovery": recovery}))
    hooked.wait_ready()
    hooked.corrupt(run)
    hooked.wait_condition("Stalled", "True", "RecoveryExhausted")
    delivered(hooked, 1)
    hooked.wait_polls()

    (body,) = receiver.of("page")
    assert (body["occasion"], body["attempt"]) == ("GaveUp", 2)
    assert body["recovery"]["result"] == "NoUsableCheckpoint"
    assert receiver.of("tell") == []
    assert_signed(receiver)


def test_a_hook_that_fails_is_shown_and_repeated_while_the_run_is_ready(hooked: Stage, receiver: Receiver) -> None:
    """Under the same id, and never in the recovery's way."""
    receiver.answers["/back"] = [503, 302]
    recovered(hooked, recovering(onRecovery=[webhook("tell", "back")]))
    (pending,) = wait_for(
        lambda: [one for one in (hooked.status().get("hooks") or {}).get("pending", []) if one.get("tries")],
        "a hook that failed",
    )

    assert "127.0.0.1 answered 503" in pending["message"]
    hooked.wait_ready()
    delivered(hooked, 1)
    assert hooked.status()["recoveries"] == 1
    assert [path.partition("?")[0] for path, _, _ in receiver.calls] == ["/back"] * 3
    assert len({headers["X-Tinker-Operator-Id"] for _, headers, _ in receiver.calls}) == 1
    assert len({body for _, _, body in receiver.calls}) == 1
    assert (hooked.events().count("HookFailed"), hooked.events().count("HookDelivered")) == (1, 1)
    assert_nothing_leaked(hooked)


def test_a_host_that_is_not_listed_is_never_called_and_one_hook_does_not_hold_up_another(
    hooked: Stage, receiver: Receiver
) -> None:
    """The remedy is in status, and the run is Ready."""
    hooks = [webhook("forbidden", "elsewhere"), webhook("tell", "back")]
    recovered(hooked, recovering(onRecovery=hooks))
    wait_for(lambda: receiver.of("tell"), "the hook that may be called")
    (pending,) = wait_for(
        lambda: [one for one in (hooked.status().get("hooks") or {}).get("pending", []) if one.get("tries")],
        "the hook that may not",
    )

    hooked.wait_ready()
    assert pending["hook"] == "forbidden"
    assert "--allow-webhook" in pending["message"]
    assert receiver.of("forbidden") == []
    assert_nothing_leaked(hooked)


def test_a_hook_makes_a_job_that_knows_the_occasion(hooked: Stage) -> None:
    """Once, and it is not taken for a training loop."""
    container = {"name": "tell", "image": "tell:1"}
    template = {"spec": {"template": {"spec": {"containers": [container]}}}}
    recovered(hooked, recovering(onRecovery=[{"name": "job", "job": {"template": template}}]))
    delivered(hooked, 1)

    (job,) = hooked.kubectl.json("get", "jobs", "--namespace", hooked.namespace)["items"]
    (told,) = job["spec"]["template"]["spec"]["containers"][0]["env"]
    assert told["name"] == "TINKER_OPERATOR_HOOK"
    assert json.loads(told["value"].replace("$$", "$"))["occasion"] == "Recovered"
    hooked.wait_ready()
