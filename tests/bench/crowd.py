"""Thousands of TrainingRuns at once, and what they cost the API server: what the bench of scale stands on."""

import asyncio
import itertools
import re
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from tests.bench.outcome import Untrue
from tests.e2e.stage import Operator
from tests.simulator.bare import Wire

from playground.kubectl import Kubectl
from tinker_operator.controllers.objects import TRAINING_RUNS
from tinker_operator.engine.keys import Resource
from tinker_operator.engine.kube import KubeApi

_AT_ONCE = 16
_COUNTER = re.compile(r"^apiserver_request_total\{(?P<labels>.*)\} (?P<count>\S+)$")
_LABEL = re.compile(r'(\w+)="([^"]*)"')
_WRITING = {"APPLY", "DELETE", "PATCH", "POST", "PUT"}
_COUNTED = {"checkpointpolicies", "configmaps", "events", "trainingruns"}
_STILL = 4
"""Looks in a row without a call, after which the next call belongs to another poll."""
_LOOK_SECONDS = 0.1
_CALM_SECONDS = 2.0
_WRITTEN_SECONDS = 5.0
_LATE_SECONDS = 20.0
"""How much longer is looked when no whole poll was seen: a busy machine polls late."""


def collection(namespace: str, plural: str = "trainingruns") -> str:
    """Returns the path of a collection at the API server."""
    group = "/api/v1" if plural == "configmaps" else f"/apis/{TRAINING_RUNS.api_version}"
    return f"{group}/namespaces/{namespace}/{plural}"


def create_runs(kubeconfig: Path, namespace: str, runs: Mapping[str, str], poll_seconds: int) -> None:
    """Creates a TrainingRun that adopts a run, for each name."""
    create_all(kubeconfig, namespace, [(TRAINING_RUNS, manifest(*one, poll_seconds)) for one in runs.items()])


def create_all(kubeconfig: Path, namespace: str, objects: Iterable[tuple[Resource, dict[str, Any]]]) -> None:
    """Creates each object, several at once."""
    asyncio.run(_create_all(kubeconfig, namespace, iter(objects)))


async def _create_all(kubeconfig: Path, namespace: str, left: Iterator[tuple[Resource, dict[str, Any]]]) -> None:
    async with await KubeApi.connect(kubeconfig) as api:

        async def create() -> None:
            for resource, body in left:
                await api.create(resource, namespace, body)

        await asyncio.gather(*(create() for _ in range(_AT_ONCE)))


def manifest(name: str, run: str, poll_seconds: int) -> dict[str, Any]:
    """Returns a TrainingRun that adopts a run and has it recovered."""
    recovery = {"enabled": True, "backoffSeconds": 1}
    return {
        "apiVersion": TRAINING_RUNS.api_version,
        "kind": TRAINING_RUNS.kind,
        "metadata": {"name": name},
        "spec": {"run": {"trainingRunId": run}, "recovery": recovery, "pollIntervalSeconds": poll_seconds},
    }


def writes(kubectl: Kubectl) -> Counter[str]:
    """Returns how many requests the API server had so far that write, by resource; Leases are not among them."""
    counted = Counter[str]()
    for line in kubectl("get", "--raw", "/metrics").stdout.splitlines():
        if found := _COUNTER.match(line):
            labels = dict(_LABEL.findall(found["labels"]))
            if labels["verb"] in _WRITING and labels["resource"] in _COUNTED:
                counted[labels["resource"]] += int(float(found["count"]))
    return counted


def wait_written(kubectl: Kubectl, seconds: float) -> None:
    """Waits until nothing has been written for a while: on a busy machine a start goes on at hardly any CPU.

    Raises:
        Untrue: Something always was.
    """
    deadline, pause = time.monotonic() + seconds, threading.Event()
    while time.monotonic() < deadline:
        before = writes(kubectl)
        pause.wait(_WRITTEN_SECONDS)
        if writes(kubectl) == before:
            return
    raise Untrue(f"it does not stop to write within {seconds:g} s")


@dataclass(frozen=True, slots=True)
class Meter:
    """What a process uses.

    Attributes:
        process: Which.
    """

    process: psutil.Process

    def cpu_seconds(self) -> float:
        """Returns its user and system time so far."""
        times = self.process.cpu_times()
        return float(times.user + times.system)

    def resident_bytes(self) -> float:
        """Returns its resident memory."""
        return float(self.process.memory_info().rss)

    def wait_calm(self, seconds: float) -> None:
        """Waits until it does next to nothing for a while: what a start leaves to be done is not rest.

        Raises:
            Untrue: It never did.
        """
        deadline, pause = time.monotonic() + seconds, threading.Event()
        while time.monotonic() < deadline:
            before = self.cpu_seconds()
            pause.wait(_CALM_SECONDS)
            if self.cpu_seconds() - before < _CALM_SECONDS * 0.1:
                return
        raise Untrue(f"the process does not come to rest within {seconds:g} s")


@contextmanager
def at_work(operator: Operator) -> Iterator[Meter]:
    """Has the operator run, and tells what it uses."""
    operator.start()
    try:
        assert operator.process is not None
        yield Meter(psutil.Process(operator.process.pid))
    finally:
        operator.close()


def calls(wire: Wire) -> int:
    """Returns how many calls the service had so far."""
    return sum(wire.calls()["counts"].values())


def polls(wire: Wire, seconds: float) -> list[int]:
    """Returns how many calls each poll of some time made: calls between two pauses are one poll's."""
    looks, pause = list[int](), threading.Event()
    deadline = time.monotonic() + seconds

    def found() -> list[int]:
        return bursts(after - before for before, after in itertools.pairwise(looks))

    while (now := time.monotonic()) < deadline or (now < deadline + _LATE_SECONDS and not found()):
        looks.append(calls(wire))
        pause.wait(_LOOK_SECONDS)
    return found()


def bursts(steps: Iterable[int]) -> list[int]:
    """Returns the sums of what stands between stretches of stillness; the first and the last may be cut, and go."""
    sums, still = [0], 0
    for calls_made in steps:
        still = 0 if calls_made else still + 1
        if still == _STILL and sums[-1]:
            sums.append(0)
        sums[-1] += calls_made
    return sums[1:-1]
