"""When Pods lived, by what the kubelet wrote into their status while somebody watched."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from playground.kubectl import Kubectl

Json = dict[str, Any]
Life = tuple[datetime, datetime | None, str]


def lives(watched: Path, training: str) -> list[Life]:
    """Returns when each container of a training's Pods started and finished, and its Pod, oldest first.

    Of a container that is gone before its end was seen, as happens when a Pod is evicted, the kubelet says that its
    status is unknown, and no moment; what still ran in the Pod had finished when the kubelet told that first.

    Args:
        watched: What `watching_pods` wrote.
        training: Value of the variable TRAINING.
    """
    found: dict[str, Life] = {}
    for pod in (one["object"] for one in _documents(watched.read_text())):
        if _training_of(pod) != training:
            continue
        states = _states(pod)
        for state in states:
            found |= _life(state, pod["metadata"]["name"])
        if pod["status"]["phase"] in {"Failed", "Succeeded"} and _are_lost(states):
            found |= _ended(pod, found)
    return sorted(found.values(), key=lambda life: life[0])


def overlaps(of: list[Life]) -> list[tuple[Life, Life]]:
    """Returns those that started before the one before them had finished; the kubelet counts whole seconds."""
    return [(a, b) for a, b in pairwise(of) if a[1] is None or a[1] > b[0]]


@contextmanager
def watching_pods(kubectl: Kubectl, namespace: str, path: Path) -> Iterator[None]:
    """Writes every state of every Pod of a namespace to a file."""
    command = [str(kubectl.program), f"--kubeconfig={kubectl.kubeconfig}", "get", "pods", "--watch", "-o", "json"]
    whole = ["--output-watch-events", "--show-managed-fields"]
    with path.open("w") as out:
        child = subprocess.Popen([*command, *whole, "-n", namespace], stdout=out)
        try:
            yield
        finally:
            child.terminate()
            child.wait()


def _training_of(pod: Json) -> str:
    variables = pod["spec"]["containers"][0].get("env", [])
    return next((one["value"] for one in variables if one["name"] == "TRAINING"), "")


def _life(state: Json, pod: str) -> dict[str, tuple[datetime, datetime | None, str]]:
    told = state.get("running") or state.get("terminated") or {}
    if not told.get("startedAt"):
        return {}
    finished = datetime.fromisoformat(told["finishedAt"]) if "finishedAt" in told else None
    return {f"{pod} {told['startedAt']}": (datetime.fromisoformat(told["startedAt"]), finished, pod)}


def _states(pod: Json) -> list[Json]:
    of = pod["status"].get("containerStatuses", [])
    return [state for status in of for state in (status.get("lastState", {}), status["state"])]


def _are_lost(states: list[Json]) -> bool:
    if any("running" in state for state in states):
        return False
    return any(state.get("terminated", {}).get("reason") == "ContainerStatusUnknown" for state in states)


def _ended(pod: Json, found: dict[str, Life]) -> dict[str, Life]:
    """Returns the lives in a Pod that had no end yet, ended when the kubelet told of its own."""
    told = datetime.fromisoformat(next(one["time"] for one in pod["metadata"]["managedFields"] if _by_kubelet(one)))
    alive = {life: one for life, one in found.items() if one[2] == pod["metadata"]["name"] and one[1] is None}
    return {life: (began, told, name) for life, (began, _, name) in alive.items()}


def _by_kubelet(entry: Json) -> bool:
    return (entry["manager"], entry.get("subresource")) == ("kubelet", "status")


def _documents(text: str) -> Iterator[Json]:
    decoder, at = json.JSONDecoder(), 0
    while (at := _begin(text, at)) < len(text):
        document, at = decoder.raw_decode(text, at)
        yield document


def _begin(text: str, at: int) -> int:
    found = text.find("{", at)
    return len(text) if found < 0 else found
