"""Killed at any await of a recovery, the operator makes one successor and tells the truth about it."""

import json
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.stage import DEADLINE_SECONDS, Operator, Stage, wait_for

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1500)]
QUIET_RECOVERIES = 2
"""Whole recoveries without a new crash point, after which there are none left."""
LONGEST_SECONDS = 1200
MODES: dict[str, dict[str, Any]] = {
    "Recreate": {"mode": "Recreate"},
    "HandOver": {"mode": "HandOver", "validation": "Load"},
    "Relaunch": {"mode": "Relaunch"},
}
TEMPLATE = {"spec": {"template": {"spec": {"containers": [{"name": "loop", "image": "none", "command": ["true"]}]}}}}


@dataclass
class Mortal(Operator):
    """An operator that is killed at each crash point that it comes to, and started again each time."""

    sites: Path = Path()
    deaths: int = 0
    ended: threading.Event = field(default_factory=threading.Event)
    _nurse: threading.Thread | None = None

    def command(self) -> list[str]:
        return [sys.executable, "-m", "tests.e2e.crashing_operator", str(self.sites), "run"]

    def live(self) -> None:
        """Lives, dies and lives again until `rest`."""
        self._nurse = threading.Thread(target=self._revive, daemon=True)
        self._nurse.start()

    def _revive(self) -> None:
        while not self.ended.is_set():
            self.start()
            assert self.process is not None
            while self.process.poll() is None and not self.ended.wait(0.05):
                pass
            if self.process.poll() == -signal.SIGKILL:
                self.deaths += 1

    def rest(self) -> None:
        """Ends for good."""
        self.ended.set()
        if self._nurse is not None:
            self._nurse.join(timeout=30)

    def close(self) -> None:
        """Kills it before its log is looked at: asked to end, it might come to one more crash point."""
        if self.process is not None and self.process.poll() is None:
            self.end(signal.SIGKILL)
        super().close()

    def points(self) -> int:
        """Returns how many crash points there were so far."""
        return len(self.sites.read_text().splitlines()) if self.sites.exists() else 0


@pytest.fixture
def mortal(stage: Stage, tmp_path: Path) -> Iterator[Mortal]:
    """The stage's operator, made mortal."""
    stage.operator.end()
    operator = stage.operator
    made = Mortal(
        operator.kubeconfig, operator.namespace, operator.url, operator.log, operator.key, sites=tmp_path / "sites"
    )
    try:
        yield made
    finally:
        made.rest()
        made.close()


def the_loop(stage: Stage, lost: str, attempt: int, mode: str) -> str | None:
    """Acts as the training loop: makes a run when the hand-over of this attempt says so; returns its id."""
    if mode == "Recreate":
        return None
    told = wait_for(lambda: handed_over(stage, attempt), f"the hand-over of attempt {attempt}", LONGEST_SECONDS)
    assert told["trainingRunId"] == lost
    if mode == "Relaunch":
        wait_for(lambda: jobs(stage) == [attempt], f"one Job, of attempt {attempt}", LONGEST_SECONDS)
    metadata = {**told["userMetadata"], "tinker-operator.dev/resumed-at": f"2026-11-22T00:00:{attempt % 60:02d}Z"}
    loaded = stage.wire.ended(stage.wire.load(told["checkpoint"], user_metadata=metadata))
    return str(loaded.json()["model_id"])


def handed_over(stage: Stage, attempt: int) -> dict[str, Any]:
    found = stage.kubectl.json("get", "configmaps", "--namespace", stage.namespace)["items"]
    texts = [one["data"]["handover.json"] for one in found if one["metadata"]["name"] == "sft-handover"]
    told: dict[str, Any] = json.loads(texts[0]) if texts else {}
    return told if told.get("attempt") == attempt else {}


def jobs(stage: Stage) -> list[int]:
    found = stage.kubectl.json("get", "jobs", "--namespace", stage.namespace)["items"]
    return [int(one["metadata"]["annotations"]["tinker-operator.dev/attempt"]) for one in found]


def live_runs(stage: Stage, operators_own: set[str]) -> list[str]:
    """The runs of the TrainingRun that training could go on in: not corrupted, and no session of theirs finished."""
    mine = [
        one["training_run_id"]
        for one in stage.remote_runs()
        if not one["corrupted"] and "tinker-operator.dev/owner" in (one["user_metadata"] or {})
    ]
    return [one for one in mine if one.partition(":")[0] not in operators_own]


def finished_sessions(stage: Stage) -> tuple[set[str], set[str]]:
    """The operator's own sessions: those that are over, and those that are not.

    The service tells of a session whose run is corrupted as failed, whether or not it was finished.
    """
    asked = stage.wire.post("sessions/search", {"limit": 200}).json()["sessions"]
    own = [one for one in asked if any(key.startswith("tinker-operator.dev/") for key in one["user_metadata"] or {})]
    ended = {"client_finished", "failed"}
    finished = {one["session_id"] for one in own if (one["status"] or {}).get("type") in ended}
    return finished, {one["session_id"] for one in own} - finished


@pytest.mark.parametrize("mode", list(MODES))
def test_killed_at_every_await_there_is_one_successor(mode: str, stage: Stage, mortal: Mortal) -> None:
    """Recovery after recovery, until two in a row meet no crash point that was not met before."""
    run, _ = stage.trained_run(2)
    spec: dict[str, Any] = {
        "run": {"trainingRunId": run},
        "recovery": {
            "enabled": True,
            "backoffSeconds": 0,
            "maxAttempts": 20,
            "attemptWindowSeconds": 60,
            **MODES[mode],
        },
        **({"trainer": {"template": TEMPLATE}} if mode == "Relaunch" else {}),
    }
    stage.apply(stage.training_run(spec))
    mortal.live()
    wait_for(lambda: stage.condition("Ready").get("status") == "True", "Ready at first", LONGEST_SECONDS)
    quiet, recoveries, current = 0, 0, run
    while quiet < QUIET_RECOVERIES:
        before = mortal.points()
        stage.corrupt(current)
        attempt = stage.status().get("recovery", {}).get("attempt", 0) + 1
        made = the_loop(stage, current, attempt, mode)
        recoveries += 1
        wait_for(lambda: stage.status().get("recoveries") == recoveries, f"recovery {recoveries}", LONGEST_SECONDS)  # noqa: B023
        wait_for(lambda: stage.condition("Ready").get("status") == "True", "Ready again", LONGEST_SECONDS)
        current = stage.status()["trainingRunId"]
        judged(stage, current, made, attempt)
        stage.save(current, recoveries + 2)
        quiet = quiet + 1 if mortal.points() == before else 0
        # Attempts that succeeded count too: a new value of the annotation starts a new budget.
        stage.kubectl(
            "annotate", "trainingrun", "sft", f"tinker-operator.dev/reconcile-at={recoveries}", "--overwrite",
            "--namespace", stage.namespace,
        )  # fmt: skip
    print(f"\n{mode}: {mortal.points()} crash points, {mortal.deaths} deaths, {recoveries} recoveries")  # noqa: T201
    assert mortal.points() > 20
    assert mortal.deaths >= mortal.points()


def judged(stage: Stage, current: str, made: str | None, attempt: int) -> None:
    """One live successor; history as it was; no session left over but the one that is held."""
    finished, _ = finished_sessions(stage)
    assert live_runs(stage, finished) == [current]
    assert made in {None, current}
    status = stage.status()
    record = status["recovery"]["history"][-1]
    assert (record["attempt"], record["result"], record["toTrainingRunId"]) == (attempt, "Recovered", current)
    held = {status["session"]["sessionId"]} if "session" in status else set()
    wait_for(lambda: finished_sessions(stage)[1] == held, "no orphan session", DEADLINE_SECONDS)
