"""A simulator in a process of its own, and a client that speaks the bare wire to it."""

import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from tinker_operator.tinker.proto import tinker_public_pb2 as wire

KEYS = [f"tml-test-{number}" for number in range(400)]
BASE_MODEL = "Qwen/Qwen3-8B"


@dataclass
class Served:
    """One simulator process; `stop` and `kill` end it, `start` starts it again on the same state."""

    state_dir: Path
    port: int = 0
    host: str = "127.0.0.1"
    admin: bool = True
    url: str = ""
    errors: str = ""
    child: subprocess.Popen[str] | None = None
    options: Sequence[str] = ()

    def start(self) -> None:
        command = [sys.executable, "-W", "error", "-m", "tinker_simulator", "serve"]
        command += ["--host", self.host, "--port", str(self.port), "--state-dir", str(self.state_dir)]
        command += [argument for key in KEYS for argument in ("--api-key", f"{key}@{key}-owner")]
        command += ["--admin"] if self.admin else []
        command += self.options
        self.child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.child.stdout is not None
        line = self.child.stdout.readline()
        assert line.startswith(f"tinker-simulator: serving on http://{self.host}:"), line
        self.url = line.split()[-1]
        self.port = int(self.url.rsplit(":", 1)[1])

    def end(self, number: signal.Signals) -> int:
        """Send a signal, and return how the process ended; `errors` is what it said on stderr."""
        assert self.child is not None
        self.child.send_signal(number)
        self.errors = self.child.communicate(timeout=15)[1]
        return self.child.returncode

    def close(self) -> None:
        if self.child is not None and self.child.returncode is None:
            self.end(signal.SIGKILL)


@dataclass
class Wire:
    """One owner's client: the wire with nothing around it, but every answer's status checked by whoever asks."""

    url: str
    key: str
    http: httpx.Client = field(init=False)
    seq: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.http = httpx.Client(base_url=self.url, headers={"X-API-Key": self.key}, timeout=60)

    def get(self, route: str, **query: Any) -> httpx.Response:
        return self.http.get(f"/api/v1/{route}", params=query)

    def post(self, route: str, body: dict[str, Any] | None = None, **headers: str) -> httpx.Response:
        return self.http.post(f"/api/v1/{route}", json=body, headers=headers)

    def put(self, route: str, body: dict[str, Any]) -> httpx.Response:
        return self.http.put(f"/api/v1/{route}", json=body)

    def delete(self, route: str) -> httpx.Response:
        return self.http.delete(f"/api/v1/{route}")

    def order(self, route: str, body: dict[str, Any]) -> dict[str, Any]:
        """Give the simulator an administrator's order."""
        answer = self.http.post(f"/_simulator/{route}", json=body)
        assert answer.status_code == 200, answer.text
        result: dict[str, Any] = answer.json()
        return result

    def fault(self, kind: str, **rule: Any) -> None:
        self.order("faults", {"kind": kind, **rule})

    def calls(self) -> dict[str, Any]:
        result: dict[str, Any] = self.http.get("/_simulator/calls").json()
        return result

    def session(self) -> str:
        return str(self.post("create_session", {"tags": []}).raise_for_status().json()["session_id"])

    def ended(self, submitted: httpx.Response) -> httpx.Response:
        """Poll a submitted operation to its end."""
        assert submitted.status_code == 200, submitted.text
        request_id = submitted.json()["request_id"]
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            answer = self.post("retrieve_future", {"request_id": request_id, "allow_metadata_only": True})
            if answer.status_code != 408:
                return answer
        raise AssertionError(f"{request_id} does not end")

    def create(self, session: str, number: int = 0, *, rank: int = 4, **fields: Any) -> httpx.Response:
        lora = {"rank": rank, "seed": 7}
        body = {"session_id": session, "model_seq_id": number, "base_model": BASE_MODEL, "lora_config": lora, **fields}
        return self.post("create_model", body)

    def run(self, **fields: Any) -> str:
        """A new run in a new session."""
        return str(self.ended(self.create(self.session(), **fields)).json()["model_id"])

    def next_seq(self, run: str) -> int:
        self.seq[run] = self.seq.get(run, 0) + 1
        return self.seq[run]

    def gradient(self, run: str, seq: int | None = None, *, tokens: Sequence[int] = range(12)) -> httpx.Response:
        request = batch(run, self.next_seq(run) if seq is None else seq, tokens)
        return self.http.post(
            "/api/v1/forward_backward",
            content=request.SerializeToString(),
            headers={"Content-Type": "application/x-protobuf"},
        )

    def optimize(self, run: str, seq: int | None = None) -> httpx.Response:
        body = {"model_id": run, "seq_id": self.next_seq(run) if seq is None else seq}
        return self.post("optim_step", {**body, "adam_params": {"learning_rate": 0.02}})

    def train(self, run: str, steps: int = 1) -> list[float]:
        """Take steps, and return the loss before each."""
        losses = []
        for _ in range(steps):
            submitted = self.gradient(run), self.optimize(run)
            losses.append(loss_of(self.ended(submitted[0])))
            assert self.ended(submitted[1]).status_code == 200
        return losses

    def save(self, run: str, name: str, **fields: Any) -> httpx.Response:
        body = {"model_id": run, "seq_id": self.next_seq(run), "path": name, "overwrite": False, **fields}
        return self.post("save_weights", body)

    def saved(self, run: str, name: str, **fields: Any) -> str:
        return str(self.ended(self.save(run, name, **fields)).json()["path"])

    def sampler(self, run: str, name: str) -> str:
        """Save weights to sample from, and return their path."""
        body = {"model_id": run, "seq_id": self.next_seq(run), "path": name, "overwrite": False}
        return str(self.ended(self.post("save_weights_for_sampler", body)).json()["path"])

    def load(self, path: str, session: str | None = None, number: int = 0, **fields: Any) -> httpx.Response:
        body = {"session_id": session or self.session(), "model_seq_id": number, "path": path, "optimizer": True}
        return self.post("load_weights", {**body, **fields})


def batch(run: str, seq: int, tokens: Sequence[int]) -> wire.ForwardBackwardRequest:
    """Learn to say what comes next in `tokens`."""
    request = wire.ForwardBackwardRequest(model_id=run, seq_id=seq, loss_fn="cross_entropy")
    datum = request.data.add()
    datum.model_input.add().encoded_text.tokens = np.asarray(tokens[:-1], "<i4").tobytes()
    target = np.asarray(tokens[1:], "<i8")
    datum.loss_fn_inputs["target_tokens"].CopyFrom(
        wire.Tensor(dense=target.tobytes(), dtype=wire.DTYPE_INT64, shape=target.shape)
    )
    return request


def loss_of(answer: httpx.Response) -> float:
    """The loss that a forward_backward result carries."""
    assert answer.headers["content-type"] == "application/x-protobuf", answer.text
    return wire.ForwardBackwardOutput.FromString(answer.content).metrics["loss:sum"]
