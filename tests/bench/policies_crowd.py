"""Many checkpoints under a few policies in the bench of policies, and what they cost the operator; see `policies`."""

import json
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.bench.crowd import Meter, at_work, collection, create_all, manifest, wait_written, writes
from tests.bench.first_times import FirstTimes
from tests.bench.outcome import Untrue
from tests.e2e.stage import Stage

from playground.kubectl import Kubectl
from tinker_operator.controllers.objects import CHECKPOINT_POLICIES, TRAINING_RUNS

TOLD, DONE = "told of all their checkpoints", "done deleting"
LABEL = "bench"
SETTLING_SECONDS = 300.0
LISTING = "GET /api/v1/training_runs/{run_id}/checkpoints"
_MOST_DELETIONS = 10_000
Values = Mapping[str, Sequence[float]]


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much there is, and how long it is watched.

    Attributes:
        runs: TrainingRuns, with a run each.
        checkpoints: Of each run.
        policies: They share the TrainingRuns evenly.
        poll_seconds: What every TrainingRun asks for.
        rest_seconds: How long a contender is watched while nothing happens.
    """

    runs: int
    checkpoints: int
    policies: int
    poll_seconds: int
    rest_seconds: int

    @property
    def patience_seconds(self) -> float:
        """How long is waited for anything before a contender counts as stuck."""
        return 120.0 + 0.25 * self.runs

    def governed(self, policy: int) -> range:
        """Returns the numbers of the TrainingRuns that a policy governs."""
        return range(policy, self.runs, self.policies)


@dataclass(frozen=True, slots=True)
class Crowd:
    """A namespace with its TrainingRuns and policies.

    Attributes:
        stage: Its namespace, the simulator, and the operator, which does not run yet.
        runs: The runs, by the number of the TrainingRun.
        sizes: How much there is.
    """

    stage: Stage
    runs: Sequence[str]
    sizes: Sizes

    def policies(self) -> list[str]:
        """Returns the names of the policies."""
        return [f"policy-{number}" for number in range(self.sizes.policies)]

    def create(self) -> None:
        """Creates every object; nobody is at work yet."""
        sizes = self.sizes
        objects = [(TRAINING_RUNS, self._training_run(number, run)) for number, run in enumerate(self.runs)]
        objects += [(CHECKPOINT_POLICIES, _policy(number, sizes.checkpoints)) for number in range(sizes.policies)]
        create_all(self.stage.kubectl.kubeconfig, self.stage.namespace, objects)

    def _training_run(self, number: int, run: str) -> dict[str, Any]:
        made = manifest(f"run-{number}", run, self.sizes.poll_seconds)
        labels = {LABEL: str(number % self.sizes.policies)}
        return {**made, "metadata": {**made["metadata"], "labels": labels}}

    def watch(self) -> FirstTimes:
        """Returns a watch for policies that tell of all their checkpoints, and of all that they deleted."""
        every = {
            name: len(self.sizes.governed(number)) * self.sizes.checkpoints
            for number, name in enumerate(self.policies())
        }
        goes = len(self.sizes.governed(0))

        def told(obj: Mapping[str, Any]) -> bool:
            return bool(obj.get("status", {}).get("checkpoints") == every[obj["metadata"]["name"]])

        def done(obj: Mapping[str, Any]) -> bool:
            return bool(obj.get("status", {}).get("deletedTotal", 0) >= goes)

        path = collection(self.stage.namespace, CHECKPOINT_POLICIES.plural)
        return FirstTimes(self.stage.kubectl, path, {TOLD: told, DONE: done})

    def listings(self) -> int:
        """Returns how many calls for the checkpoints of a run there were so far."""
        counts = self.stage.wire.calls()["counts"]
        return int(counts.get(LISTING, 0))

    def at_rest(self, meter: Meter, *, calm: bool) -> Values:
        """Watches a process while nothing happens; before that until it is calm, if it ever is."""
        if calm:
            wait_written(self.stage.kubectl, SETTLING_SECONDS)
            meter.wait_calm(SETTLING_SECONDS)
        kubectl = self.stage.kubectl
        before, used, asked, began = writes(kubectl), meter.cpu_seconds(), self.listings(), time.monotonic()
        threading.Event().wait(self.sizes.rest_seconds)
        took = time.monotonic() - began
        used, asked = meter.cpu_seconds() - used, self.listings() - asked
        return {
            "rest_cpu_seconds_per_minute": [used * 60 / took],
            "rest_listings_per_interval": [asked * self.sizes.poll_seconds / took],
            "rest_writes": [sum((writes(kubectl) - before).values())],
            "rest_bytes": [meter.resident_bytes()],
        }


def _policy(number: int, keeps: int) -> dict[str, Any]:
    return {
        "apiVersion": CHECKPOINT_POLICIES.api_version,
        "kind": CHECKPOINT_POLICIES.kind,
        "metadata": {"name": f"policy-{number}"},
        "spec": {"selector": {"matchLabels": {LABEL: str(number)}}, "retention": _retention(keeps)},
    }


def _retention(keeps: int) -> dict[str, Any]:
    pace = {"gracePeriodSeconds": 0, "maxDeletionsPerHour": _MOST_DELETIONS}
    return {"action": "Delete", "keepLast": keeps, **pace}


def by_operator(crowd: Crowd) -> Values:
    """Has the operator look after the crowd."""
    with crowd.watch() as watch:
        began = time.monotonic()
        with at_work(crowd.stage.operator) as meter:
            moments = watch.wait_for(TOLD, crowd.policies(), crowd.sizes.patience_seconds)
            values: dict[str, Sequence[float]] = {
                "start_seconds": [max(moments.values()) - began],
                "start_cpu_seconds": [meter.cpu_seconds()],
                "start_listings": [crowd.listings()],
            }
            values |= crowd.at_rest(meter, calm=True)
            values |= deletions(crowd, watch, meter)
    return values


def deletions(crowd: Crowd, watch: FirstTimes, meter: Meter) -> Values:
    """Lets one policy keep one checkpoint less of each run; the oldest of each has to go, and nothing else."""
    used, asked, began = meter.cpu_seconds(), crowd.listings(), time.monotonic()
    patch = json.dumps({"spec": {"retention": {"keepLast": crowd.sizes.checkpoints - 1}}})
    _patch(crowd.stage.kubectl, crowd.stage.namespace, patch)
    moment = watch.wait_for(DONE, ["policy-0"], crowd.sizes.patience_seconds)["policy-0"]
    took = {"delete_cpu_seconds": [meter.cpu_seconds() - used], "delete_listings": [float(crowd.listings() - asked)]}
    check(crowd)
    return {"delete_seconds": [moment - began], **took}


def _patch(kubectl: Kubectl, namespace: str, patch: str) -> None:
    kubectl("patch", "checkpointpolicy", "policy-0", "--namespace", namespace, "--type=merge", f"--patch={patch}")


def check(crowd: Crowd) -> None:
    """Of each run of the policy the oldest went, and of no other run anything.

    Raises:
        Untrue: It was not so.
    """
    chosen, wrong = set(crowd.sizes.governed(0)), Counter[str]()
    for number, run in enumerate(crowd.runs):
        first = 2 if number in chosen else 1
        expected = {f"tinker://{run}/weights/step-{step}" for step in range(first, crowd.sizes.checkpoints + 1)}
        found = set(crowd.stage.remote_checkpoints(run))
        wrong.update(missing=len(expected - found), left=len(found - expected))
    if wrong.total():
        raise Untrue(f"{wrong['missing']} checkpoints went that had to stay, {wrong['left']} stayed that had to go")
