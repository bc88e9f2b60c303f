"""A crowd of TrainingRuns in the bench of scale, and what it costs to look after it at rest; see `scale`."""

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.bench.crowd import Meter, calls, collection, polls, writes
from tests.bench.first_times import FirstTimes
from tests.e2e.stage import Stage
from tests.simulator.bare import Wire

TOLD, READY = "told of", "ready"
CHECKPOINTS = 3
SETTLING_SECONDS = 300.0
TIMERS_PATIENCE_SECONDS = 960.0
Values = Mapping[str, Sequence[float]]


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much there is, and how long it is watched.

    Attributes:
        runs: TrainingRuns of each contender.
        corrupted: How many of them are corrupted at once.
        newcomers: How many are added to them, one after the other.
        poll_seconds: What every TrainingRun asks for.
        rest_seconds: How long the operator is watched while nothing happens.
        baseline_rest_seconds: How long a baseline is, whose rest is the same at any time.
        starts: How often the starts are repeated that are compared closely.
        latency_ms: How much later than it could the service answers.
        error_every: Each so-manieth call fails with a 500; 0 for none.
    """

    runs: int
    corrupted: int
    newcomers: int
    poll_seconds: int
    rest_seconds: int
    baseline_rest_seconds: int = 120
    starts: int = 1
    latency_ms: int = 0
    error_every: int = 0

    def trouble(self, wire: Wire) -> None:
        """Has the service be as far away, and as bad, from now on."""
        if self.latency_ms:
            wire.fault("latency", delay=self.latency_ms / 1000, route=" /api/")
        if self.error_every:
            wire.fault("http", status=500, every=self.error_every, route=" /api/")

    @property
    def troubled(self) -> bool:
        """Whether the service is far away, or answers badly."""
        return self.latency_ms > 0 or self.error_every > 0

    @property
    def shown(self) -> str:
        """How much it is, and of what kind the service is, in words."""
        late = f", answers {self.latency_ms} ms late" * (self.latency_ms > 0)
        bad = f", {100 / self.error_every:g} % of calls fail" if self.error_every else ""
        return f"{self.runs:,} TrainingRuns{late}{bad}"

    @property
    def patience_seconds(self) -> float:
        """How long is waited for anything before a contender counts as stuck: a quarter of a second for each run."""
        return 60.0 + 0.25 * self.runs

    @property
    def timers_patience_seconds(self) -> float:
        """How long is waited for a timer for each object: ten thousand can keep an API server from answering at all."""
        return min(self.patience_seconds, TIMERS_PATIENCE_SECONDS)

    @property
    def serial_patience_seconds(self) -> float:
        """How long is waited for a loop that makes one call after the other: two rounds, then calls for each loss."""
        return self.patience_seconds + (2 * self.runs + 20 * self.corrupted) * (0.1 + self.latency_ms / 1000)


@dataclass(frozen=True, slots=True)
class Crowd:
    """A namespace with its TrainingRuns.

    Attributes:
        stage: Its namespace, the simulator, and the operator, which does not run yet.
        runs: Name → run that it adopts.
        sizes: How much there is.
        draw: Decides the moments at which something happens.
    """

    stage: Stage
    runs: Mapping[str, str]
    sizes: Sizes
    draw: random.Random

    def first_statuses(self) -> FirstTimes:
        """Returns a watch for TrainingRuns that are told of, and for those that are told to be Ready."""
        return FirstTimes(self.stage.kubectl, collection(self.stage.namespace), {TOLD: told, READY: ready})

    def at_rest(self, meter: Meter, seconds: float) -> Values:
        """Watches a process for so many seconds while nothing happens."""
        before, used, asked = writes(self.stage.kubectl), meter.cpu_seconds(), calls(self.stage.wire)
        began = time.monotonic()
        bursts = polls(self.stage.wire, seconds)
        took = time.monotonic() - began
        used, asked = meter.cpu_seconds() - used, calls(self.stage.wire) - asked
        made = writes(self.stage.kubectl) - before
        return {
            "rest_cpu_seconds_per_minute": [used * 60 / took],
            "rest_calls_per_interval": [asked * self.sizes.poll_seconds / took],
            "rest_calls_per_poll": [max(bursts, default=0)],
            "rest_writes": [sum(count for resource, count in made.items() if resource != "events")],
            "rest_events": [made["events"]],
            "rest_bytes": [meter.resident_bytes()],
        }


def told(obj: Mapping[str, Any]) -> bool:
    """Tells whether the status of a TrainingRun says what the service says of its run."""
    return "trainingRunId" in obj.get("status", {}) and _is_true(obj, "Synced")


def ready(obj: Mapping[str, Any]) -> bool:
    """Tells whether a TrainingRun is told to be Ready."""
    return _is_true(obj, "Ready")


def _is_true(obj: Mapping[str, Any], condition: str) -> bool:
    conditions = obj.get("status", {}).get("conditions", ())
    return any(one["type"] == condition and one["status"] == "True" for one in conditions)
