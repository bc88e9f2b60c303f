"""Recoveries while their leader is killed and frozen again and again; the test and the bench judge the same world."""

import threading
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.e2e.replicas import Replica, leader
from tests.e2e.stage import GROUP, KEY, Stage, wait_for

LOAD_SECONDS = 0.7
"""How long a load takes, so that a leader dies while one is under way."""
OVERSLEPT_SECONDS = (0.2, 1.5)
"""How long a leader sleeps on after another one leads."""


@dataclass
class Failover:
    """So many TrainingRuns, whose leader is struck.

    Attributes:
        stage: The world.
        replicas: Who may lead.
        rng: Decides whom and when it hits.
        runs: The runs that are to be lost, by the name of their TrainingRun.
        strikes: How often which strike was made.
    """

    stage: Stage
    replicas: list[Replica]
    rng: Random
    runs: dict[str, str] = field(default_factory=dict)
    strikes: Counter[str] = field(default_factory=Counter)

    def begin(self, count: int, started: list[Replica] | None = None) -> None:
        """Makes TrainingRuns, starts replicas, all by default, and waits until all is well."""
        stage = self.stage
        made = stage.wire.order("seed", {"runs": count, "checkpoints": 2, "owner": f"{KEY}-owner"})["runs"]
        self.runs = {f"run-{number:03d}": run for number, run in enumerate(made)}
        stage.apply(*(stage.training_run({"run": {"trainingRunId": run}}, name) for name, run in self.runs.items()))
        stage.wire.fault("latency", delay=LOAD_SECONDS, route="POST /api/v1/load_weights")
        for replica in self.replicas if started is None else started:
            replica.start()
        wait_for(lambda: not self.unready(0), "all to be Ready at first", 120)

    def statuses(self) -> dict[str, dict[str, Any]]:
        """Returns every status by name."""
        items = self.stage.kubectl.json("get", "trainingruns", "--namespace", self.stage.namespace)["items"]
        return {one["metadata"]["name"]: one.get("status", {}) for one in items}

    def unready(self, recoveries: int, names: list[str] | None = None) -> list[str]:
        """Returns the names of those, of all by default, that are not Ready after so many recoveries."""
        self.tend()
        now = self.statuses()
        wanted = self.runs if names is None else names
        return [name for name in wanted if not _is_ready(now.get(name, {}), recoveries)]

    def strike(self) -> None:
        """Hits the present leader: kills it, or freezes it until another leads and a little longer."""
        victim = wait_for(self._leader, "a leader that lives")
        assert victim is not None
        kind = self.rng.choice(["killed", "killed", "frozen"]) if sum(self.strikes.values()) else "frozen"
        self.strikes[kind] += 1
        if kind == "killed":
            victim.kill()
        else:
            victim.freeze()
            wait_for(lambda: (now := self._leader()) is not None and now is not victim, "another leader")
            pause(self.rng.uniform(*OVERSLEPT_SECONDS))
            assert victim.thaw() == 1, "who lost its lease ends, and says so"
        victim.start()

    def tend(self) -> None:
        """Starts again, as a kubelet does, who ended by itself: a busy machine loses a Lease this short at times."""
        for replica in self.replicas:
            if replica.process is not None and replica.process.poll() == 1:
                replica.start()

    def _leader(self) -> Replica | None:
        self.tend()
        return leader(self.stage, self.replicas)

    def run(self, strikes: int) -> None:
        """Corrupts all, a share before each strike; lets the strikes hit while recoveries are under way."""
        order = self.rng.sample(list(self.runs), len(self.runs))
        for number in range(strikes):
            for name in order[number::strikes]:
                self.stage.corrupt(self.runs[name])
            pause(self.rng.uniform(0.8, 3.0))
            self.strike()
        wait_for(lambda: not self.unready(1), "all to be recovered", 180)

    def judge(self) -> None:
        """Each was recovered once, by one attempt, to one living run; nothing else was made, and nothing is left."""
        broken = [one for replica in self.replicas for one in replica.broke_the_law]
        assert not broken, f"written by who did not lead: {broken}"
        runs = {one["training_run_id"]: one for one in self._every_run()}
        current = {name: status["trainingRunId"] for name, status in self.statuses().items()}
        strays = set(runs) ^ (set(self.runs.values()) | set(current.values()))
        assert not strays, f"beside the lost and their successors there is, or of them there is not: {strays}"
        assert len(set(current.values())) == len(self.runs)
        for name, status in self.statuses().items():
            self._judge_one(name, status, runs[current[name]])
        wait_for(lambda: not self._orphans(), "no session that nobody needs", 30)

    def _every_run(self) -> list[dict[str, Any]]:
        """Page by page: a service shows a hundred at once, whatever it is asked for."""
        found: list[dict[str, Any]] = []
        while page := self.stage.wire.get("training_runs", limit=100, offset=len(found)).json()["training_runs"]:
            found += page
        return found

    def _judge_one(self, name: str, status: dict[str, Any], successor: dict[str, Any]) -> None:
        lost, history = self.runs[name], status["recovery"]["history"]
        told = [(one["attempt"], one["result"], one["fromTrainingRunId"], one["toTrainingRunId"]) for one in history]
        assert told == [(1, "Recovered", lost, successor["training_run_id"])]
        assert not successor["corrupted"]
        assert successor["user_metadata"][f"{GROUP}/owner"] == f"test/{self.stage.namespace}/{name}"
        document = self.stage.hand_over(name)
        assert (document["attempt"], document["previousTrainingRunId"]) == (1, lost)

    def _orphans(self) -> set[str]:
        asked = self.stage.wire.post("sessions/search", {"limit": 200}).raise_for_status().json()["sessions"]
        own = [one for one in asked if any(key.startswith(GROUP) for key in one["user_metadata"] or {})]
        active = {one["session_id"] for one in own if (one["status"] or {}).get("type") == "active"}
        return active - {status["session"]["sessionId"] for status in self.statuses().values()}


def pause(seconds: float) -> None:
    """Lets the world go on for a while: what happens meanwhile is what is judged."""
    threading.Event().wait(seconds)


def _is_ready(status: dict[str, Any], recoveries: int) -> bool:
    ready = [one["status"] for one in status.get("conditions", []) if one["type"] == "Ready"]
    return (ready, status.get("recoveries", 0)) == (["True"], recoveries)
