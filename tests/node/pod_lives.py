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

    Args:
        watched: What `watching_pods` wrote.
        training: Value of the variable TRAINING.
    """
    found: dict[str, Life] = {}
    for pod in (one["object"] for one in _documents(watched.read_text())):
        if _training_of(pod) != training:
            continue
        for status in pod["status"].get("containerStatuses", []):
            for state in (status.get("lastState", {}), status["state"]):
                found |= _life(state, pod["metadata"]["name"])
    return sorted(found.values(), key=lambda life: life[0])


def overlaps(of: list[Life]) -> list[tuple[Life, Life]]:
    """Returns those that started before the one before them had finished; the kubelet counts whole seconds."""
    return [(a, b) for a, b in pairwise(of) if a[1] is None or a[1] > b[0]]


@contextmanager
def watching_pods(kubectl: Kubectl, namespace: str, path: Path) -> Iterator[None]:
    """Writes every state of every Pod of a namespace to a file."""
    command = [str(kubectl.program), f"--kubeconfig={kubectl.kubeconfig}", "get", "pods", "--watch", "-o", "json"]
    with path.open("w") as out:
        child = subprocess.Popen([*command, "--output-watch-events", "-n", namespace], stdout=out)
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


def _documents(text: str) -> Iterator[Json]:
    decoder, at = json.JSONDecoder(), 0
    while (at := _begin(text, at)) < len(text):
        document, at = decoder.raw_decode(text, at)
        yield document


def _begin(text: str, at: int) -> int:
    found = text.find("{", at)
    return len(text) if found < 0 else found
