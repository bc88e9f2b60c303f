"""What the trainer's tests share: a hand-over as the operator writes it, a Tinker service, and a loop to follow."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.trainer.fakes import DEADLINE_SECONDS, poll_until

MakeDocument = Callable[..., str]

DOCUMENT: dict[str, object] = {
    "version": 1,
    "trainingRun": {"namespace": "math", "name": "math-sft"},
    "attempt": 1,
    "trainingRunId": "s2:train:0",
    "previousTrainingRunId": "s1:train:0",
    "successorTrainingRunId": "s2:train:0",
    "checkpoint": "tinker://s1:train:0/weights/step-000020",
    "restoreOptimizer": True,
    "userMetadata": {"tinker-operator.dev/owner": "c/math/math-sft", "tinker-operator.dev/attempt": "1"},
    "mode": "Recreate",
    "schedule": {},
}


@pytest.fixture
def handover_text() -> MakeDocument:
    """Makes the JSON text of a hand-over; arguments replace its fields."""

    def make(**fields: object) -> str:
        return json.dumps(DOCUMENT | fields)

    return make


SCRIPTS = Path(sys.executable).parent
Event = dict[str, Any]


class Simulator:
    """A Tinker service in a process of its own."""

    def __init__(self, folder: Path) -> None:
        command: list[str | Path] = [
            SCRIPTS / "tinker-simulator",
            "serve",
            "--port",
            "0",
            "--state-dir",
            folder / "state",
            "--admin",
        ]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout
        self.url = self.process.stdout.readline().split()[-1]

    def get(self, path: str) -> Any:
        """Ask the service, as any client may."""
        answer = httpx.get(f"{self.url}/api/v1/{path}", headers={"X-API-Key": "tml-simulator"}, timeout=30)
        return answer.raise_for_status().json()

    def checkpoints(self, run: str) -> dict[str, dict[str, str]]:
        """The user_metadata of a run's checkpoints, by path."""
        listed = self.get(f"training_runs/{run}/checkpoints")["checkpoints"]
        return {checkpoint["tinker_path"]: checkpoint["user_metadata"] for checkpoint in listed}

    def corrupt(self, run: str) -> None:
        """Flag a run as corrupted, faster than a command line starts."""
        httpx.post(f"{self.url}/_simulator/corrupt", json={"run": run}, timeout=30).raise_for_status()

    def fault(self, *arguments: str) -> None:
        """Switch a fault on."""
        command: list[str | Path] = [
            SCRIPTS / "tinker-simulator",
            "fault",
            arguments[0],
            "--url",
            self.url,
            *arguments[1:],
        ]
        subprocess.run(command, check=True, capture_output=True)

    def end(self) -> None:
        """Stop the service."""
        self.process.terminate()
        self.process.wait(timeout=20)
        assert self.process.stdout
        self.process.stdout.close()


class Loop:
    """The demonstration's training loop in a process of its own, followed by its events."""

    def __init__(
        self, url: str, handover: Path | str, folder: Path, *options: str, environment: dict[str, str] | None = None
    ) -> None:
        self.stderr_file = folder / "stderr"
        home = {name: value for name, value in os.environ.items() if not name.startswith(("TINKER_", "KUBE"))}
        service = {"TINKER_BASE_URL": url, "TINKER_API_KEY": "tml-simulator"}
        with self.stderr_file.open("w") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "playground.loop", *options],
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                env=home | service | {"TINKER_OPERATOR_HANDOVER": str(handover)} | (environment or {}),
            )
        self.events: list[Event] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        with self.process.stdout as lines:
            self.events.extend(json.loads(line) for line in lines)

    def all(self, event: str) -> list[Event]:
        """Every event of this kind so far."""
        return [seen for seen in list(self.events) if seen["event"] == event]

    def wait_for(self, event: str, **fields: object) -> Event:
        """The first event of this kind with these fields; fails when the loop ended without it."""

        def look() -> Event | None:
            ended = self.process.poll() is not None and not self._reader.is_alive()
            for seen in self.all(event):
                if fields.items() <= seen.items():
                    return seen
            if ended:
                pytest.fail(f"the loop ended without {event} {fields}: {self.events[-3:]} {self.stderr}")
            return None

        found: Event = poll_until(look, f"event {event} {fields}")
        return found

    def losses(self) -> dict[int, float]:
        """The loss of each step; of a step trained twice, the last."""
        return {seen["step"]: seen["loss"] for seen in self.all("step")}

    @property
    def stderr(self) -> str:
        """What the loop and its SDK complained about."""
        return self.stderr_file.read_text()

    def ended(self) -> int:
        """Wait for the end; the exit status."""
        status = self.process.wait(timeout=DEADLINE_SECONDS)
        self._reader.join()
        return status

    def kill(self) -> None:
        """Leave no process behind."""
        self.process.kill()
        self.ended()


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[Simulator]:
    """A Tinker service of this test alone."""
    service = Simulator(tmp_path)
    yield service
    service.end()


@pytest.fixture
def start_loop(simulator: Simulator, tmp_path: Path) -> Iterator[Callable[..., Loop]]:
    """Starts a training loop against the simulator; the hand-over is the file `handover` beside it."""
    loops: list[Loop] = []

    def start(
        *options: str,
        handover: Path | str = tmp_path / "handover.json",
        url: str = simulator.url,
        environment: dict[str, str] | None = None,
    ) -> Loop:
        folder = tmp_path / f"loop-{len(loops)}"
        folder.mkdir()
        loops.append(Loop(url, handover, folder, *options, environment=environment))
        return loops[-1]

    yield start
    for loop in loops:
        loop.kill()


@pytest.fixture
def hand_over(tmp_path: Path, handover_text: MakeDocument) -> Callable[..., None]:
    """Writes a hand-over where `start_loop` looks, as the kubelet would: whole, by one rename."""

    def write(**fields: object) -> None:
        fresh = tmp_path / "handover.json.new"
        fresh.write_text(handover_text(**fields), encoding="utf-8")
        fresh.replace(tmp_path / "handover.json")

    return write
