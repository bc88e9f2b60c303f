"""What happens to a crowd of TrainingRuns in the bench of scale, and what it costs the operator; see `scale`."""

import json
import random
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psutil
from tests.bench.crowd import Meter, calls, collection, create_all, polls, writes
from tests.bench.first_times import FirstTimes
from tests.bench.outcome import Untrue
from tests.e2e.stage import KEY, Stage
from tests.simulator.bare import Wire

TOLD, READY, LOST, OVER = "told of", "ready", "told to be lost", "handed over"
CHECKPOINTS = 3
SETTLING_SECONDS = 300.0
POLL_LATE_SECONDS = 30.0
"""How much later than due a poll of many runs may be."""
Values = Mapping[str, Sequence[float]]


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much there is, and how long it is watched.

    Attributes:
        runs: TrainingRuns of each contender.
        corrupted: How many of them are corrupted at once.
        newcomers: How many are added to them, one after the other.
        poll_seconds: What every TrainingRun asks for.
        rest_seconds: How long a contender is watched while nothing happens.
        latency_ms: How much later than it could the service answers.
        error_every: Each so-manieth call fails with a 500; 0 for none.
    """

    runs: int
    corrupted: int
    newcomers: int
    poll_seconds: int
    rest_seconds: int
    latency_ms: int = 0
    error_every: int = 0

    def trouble(self, wire: Wire) -> None:
        """Has the service be as far away, and as bad, from now on."""
        if self.latency_ms:
            wire.fault("latency", delay=self.latency_ms / 1000, route=" /api/")
        if self.error_every:
            wire.fault("http", status=500, every=self.error_every, route=" /api/")

    @property
    def patience_seconds(self) -> float:
        """How long is waited for anything before a contender counts as stuck: a quarter of a second for each run."""
        return 60.0 + 0.25 * self.runs


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

    def at_rest(self, meter: Meter, *, calm: bool = True) -> Values:
        """Watches a process while nothing happens; before that until it is calm, if it ever is."""
        if calm:
            meter.wait_calm(SETTLING_SECONDS)
        before, used, asked = writes(self.stage.kubectl), meter.cpu_seconds(), calls(self.stage.wire)
        began = time.monotonic()
        bursts = polls(self.stage.wire, self.sizes.rest_seconds)
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


def lost(obj: Mapping[str, Any]) -> bool:
    """Tells whether the status of a TrainingRun tells of a recovery."""
    status = obj.get("status", {})
    return bool(status.get("recoveries") or (status.get("recovery") or {}).get("inFlight"))


def handed_over(obj: Mapping[str, Any]) -> bool:
    """Tells whether a ConfigMap is the hand-over of a recovery."""
    document = (obj.get("data") or {}).get("handover.json")
    return document is not None and json.loads(document)["attempt"] >= 1


def by_operator(crowd: Crowd) -> Values:
    """Has the operator look after the crowd."""
    operator, names = crowd.stage.operator, list(crowd.runs)
    with crowd.first_statuses() as watch:
        began = time.monotonic()
        operator.start()
        try:
            assert operator.process is not None
            meter, patience = Meter(psutil.Process(operator.process.pid)), crowd.sizes.patience_seconds
            values: dict[str, Sequence[float]] = {
                "start_seconds": [max(watch.wait_for(TOLD, names, patience).values()) - began],
                "start_cpu_seconds": [meter.cpu_seconds()],
                "ready_seconds": [max(watch.wait_for(READY, names, patience).values()) - began],
            }
            values |= crowd.at_rest(meter)
            values |= newcomers(crowd, watch)
            if not crowd.sizes.error_every:
                values |= blip(crowd, meter)
            values |= corrupted(crowd, meter)
        finally:
            operator.close()
    return values


def newcomers(crowd: Crowd, watch: FirstTimes) -> Values:
    """Adds TrainingRuns, each at a moment that is drawn: seconds to the first call that is made, and until Ready.

    Raises:
        Untrue: No call is made because of one.
    """
    stage, pause, called, done = crowd.stage, threading.Event(), list[float](), list[float]()
    seeded = stage.wire.order("seed", {"runs": crowd.sizes.newcomers, "owner": f"{KEY}-owner"})["runs"]
    for number, run in enumerate(seeded):
        pause.wait(crowd.draw.uniform(0, min(2.0, crowd.sizes.poll_seconds)))
        name, asked, began = f"newcomer-{number}", calls(stage.wire), time.monotonic()
        create_all(stage.kubectl.kubeconfig, stage.namespace, {name: run}, crowd.sizes.poll_seconds)
        while calls(stage.wire) == asked:
            if time.monotonic() > began + crowd.sizes.patience_seconds:
                raise Untrue(f"nothing is asked because of {name}")
            pause.wait(0.02)
        called.append(time.monotonic() - began)
        done.append(watch.wait_for(READY, [name], crowd.sizes.patience_seconds)[name] - began)
    return {"newcomer_call_seconds": called, "newcomer_seconds": done}


def blip(crowd: Crowd, meter: Meter) -> Values:
    """Lets one look at the service fail, with all of its repetitions, and counts what is written because of it."""
    stage, pause = crowd.stage, threading.Event()
    meter.wait_calm(SETTLING_SECONDS)
    before, used = writes(stage.kubectl), meter.cpu_seconds()
    stage.wire.fault("http", status=500, route="GET /api/v1/training_runs", count=3)
    deadline = time.monotonic() + 2.5 * crowd.sizes.poll_seconds + POLL_LATE_SECONDS
    while any("count" in rule for rule in stage.wire.http.get("/_simulator/faults").json()["faults"]):
        if time.monotonic() > deadline:
            raise Untrue("the operator does not look at the service any more")
        pause.wait(0.2)
    stage.wait_polls(1)
    pause.wait(crowd.sizes.poll_seconds)
    meter.wait_calm(SETTLING_SECONDS)
    made = writes(stage.kubectl) - before
    return {
        "blip_writes": [made["trainingruns"]],
        "blip_events": [made["events"]],
        "blip_cpu_seconds": [meter.cpu_seconds() - used],
    }


def corrupted(crowd: Crowd, meter: Meter) -> Values:
    """Corrupts many at once; each must be handed over to a run of its own that is alive, and no other run be made."""
    stage, sizes = crowd.stage, crowd.sizes
    names = crowd.draw.sample(list(crowd.runs), sizes.corrupted)
    seeded, used = sessions(stage.wire), meter.cpu_seconds()
    hand_overs = FirstTimes(stage.kubectl, collection(stage.namespace, "configmaps"), {OVER: handed_over})
    losses = FirstTimes(stage.kubectl, collection(stage.namespace), {LOST: lost})
    with losses, hand_overs:
        began = time.monotonic()
        for name in names:
            stage.corrupt(crowd.runs[name])
        known = losses.wait_for(LOST, names, crowd.sizes.patience_seconds)
        over = hand_overs.wait_for(OVER, [f"{name}-handover" for name in names], crowd.sizes.patience_seconds)
    stage.wire.http.delete("/_simulator/faults").raise_for_status()
    check(crowd, names, sessions(stage.wire) - seeded)
    return {
        "detected_seconds": [min(known.values()) - began],
        "recovered_seconds": [moment - min(known.values()) for moment in over.values()],
        "recovered_cpu_seconds": [meter.cpu_seconds() - used],
    }


def sessions(wire: Wire) -> int:
    """Returns how many loads the service was asked for so far."""
    return sum(count for route, count in wire.calls()["counts"].items() if "load_weights" in route)


def check(crowd: Crowd, names: Sequence[str], loads: int) -> None:
    """Each was recovered exactly once, from its newest checkpoint, to a run that lives.

    Raises:
        Untrue: It was not so.
    """
    listed = crowd.stage.kubectl.json("get", "configmaps", "--namespace", crowd.stage.namespace)["items"]
    written = {one["metadata"]["name"]: json.loads(one["data"]["handover.json"]) for one in listed if handed_over(one)}
    documents = [written[f"{name}-handover"] for name in names]
    successors = {document["trainingRunId"] for document in documents}
    newest = [f"tinker://{crowd.runs[name]}/weights/step-{CHECKPOINTS}" for name in names]
    flags = [crowd.stage.wire.get(f"training_runs/{one}").raise_for_status().json()["corrupted"] for one in successors]
    right = [document["checkpoint"] for document in documents] == newest
    if not right or len(successors) != len(names) or loads != len(names) or any(flags):
        raise Untrue(f"{len(names)} corrupted, {len(successors)} successors, {loads} loads, newest: {right}")
