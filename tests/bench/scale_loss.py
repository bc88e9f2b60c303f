"""Many TrainingRuns lost at once, in the bench of scale: how soon, and how often, each comes back; see `scale`."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.bench.crowd import Meter, collection
from tests.bench.first_times import FirstTimes
from tests.bench.outcome import Untrue
from tests.bench.scale_crowd import CHECKPOINTS, Crowd, Values
from tests.simulator.bare import Wire

LOST, OVER = "told to be lost", "handed over"
LOOKS_AT_MOST = 9
"""So often a service is asked that lets some calls fail."""


def lost(obj: Mapping[str, Any]) -> bool:
    """Tells whether the status of a TrainingRun tells of a recovery."""
    status = obj.get("status", {})
    return bool(status.get("recoveries") or (status.get("recovery") or {}).get("inFlight"))


def handed_over(obj: Mapping[str, Any]) -> bool:
    """Tells whether a ConfigMap is the hand-over of a recovery."""
    document = (obj.get("data") or {}).get("handover.json")
    return document is not None and json.loads(document)["attempt"] >= 1


@dataclass(frozen=True, slots=True)
class Loss:
    """TrainingRuns that were corrupted at once.

    Attributes:
        crowd: Among which.
        names: Which.
        runs: How many runs the service had before.
        began: When the first was corrupted, on the monotonic clock.
        watch: For their hand-overs.
    """

    crowd: Crowd
    names: Sequence[str]
    runs: int
    began: float
    watch: FirstTimes

    def hand_overs(self, seconds: float) -> list[float]:
        """Returns when each was handed over.

        Raises:
            Untrue: Not all were in time.
        """
        return list(self.watch.wait_for(OVER, [f"{name}-handover" for name in self.names], seconds).values())

    def judged(self) -> Values:
        """Has the service answer well again; returns how many are right, and how many runs were made for them."""
        wire = self.crowd.stage.wire
        wire.http.delete("/_simulator/faults").raise_for_status()
        return {"recovered_right": [self._right()], "recovered_made": [runs_at(wire) - self.runs]}

    def _right(self) -> int:
        """Of which the hand-over is from the newest checkpoint, to a run that lives and is nobody else's."""
        stage = self.crowd.stage
        listed = stage.kubectl.json("get", "configmaps", "--namespace", stage.namespace)["items"]
        over = {one["metadata"]["name"]: json.loads(one["data"]["handover.json"]) for one in listed if handed_over(one)}
        successors = set[str]()
        for name in self.names:
            document = over.get(f"{name}-handover", {"checkpoint": None})
            if document["checkpoint"] == f"tinker://{self.crowd.runs[name]}/weights/step-{CHECKPOINTS}":
                successors.add(document["trainingRunId"])
        found = [stage.wire.get(f"training_runs/{one}").raise_for_status().json() for one in successors]
        return sum(not one["corrupted"] for one in found)


def runs_at(wire: Wire) -> int:
    """Returns how many runs the service has.

    Raises:
        Untrue: It does not say.
    """
    for _ in range(LOOKS_AT_MOST):
        answer = wire.get("training_runs", limit=1)
        if answer.is_success:
            return int(answer.json()["cursor"]["total_count"])
    raise Untrue("the service does not say how many runs it has")


@contextmanager
def losing(crowd: Crowd) -> Iterator[Loss]:
    """Corrupts many at once, while their hand-overs are watched for."""
    names = crowd.draw.sample(list(crowd.runs), crowd.sizes.corrupted)
    runs = runs_at(crowd.stage.wire)
    watch = FirstTimes(crowd.stage.kubectl, collection(crowd.stage.namespace, "configmaps"), {OVER: handed_over})
    with watch:
        began = time.monotonic()
        for name in names:
            crowd.stage.corrupt(crowd.runs[name])
        yield Loss(crowd, names, runs, began, watch)


def lost_by_operator(crowd: Crowd, meter: Meter) -> Values:
    """Has many corrupted at once, and the operator recover them."""
    patience, used = crowd.sizes.patience_seconds, meter.cpu_seconds()
    watch = FirstTimes(crowd.stage.kubectl, collection(crowd.stage.namespace), {LOST: lost})
    with watch, losing(crowd) as loss:
        told = min(watch.wait_for(LOST, loss.names, patience).values())
        over = loss.hand_overs(patience)
    return {
        "detected_seconds": [told - loss.began],
        "recovered_seconds": [moment - told for moment in over],
        "handed_over_seconds": [moment - loss.began for moment in over],
        "recovered_cpu_seconds": [meter.cpu_seconds() - used],
        **loss.judged(),
    }
