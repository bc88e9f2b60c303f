"""Evidence of a demonstration that went well, to be changed in one place by a test."""

from __future__ import annotations

from typing import Any

from playground.demonstration.claims import LOOP_MAY, LOOP_USER, OPERATOR_MAY, OPERATOR_USER
from playground.demonstration.evidence import Evidence, Identity, RunAtService
from playground.demonstration.loop_log import Told
from playground.demonstration.manifests import HAND_OVER

FIRST, PROOF, NEXT = "s1:train:0", "s2:train:1", "s1:train:1"
SHIPPED = frozenset({"tinker-operator", "tinker-operator-lease"})


def path(run: str, step: int) -> str:
    return f"tinker://{run}/weights/step-{step:06}"


RESTORED, BROKEN = path(FIRST, 10), path(FIRST, 15)


def trained(run: str, first: int, last: int) -> list[dict[str, Any]]:
    """The steps of a run, with a save at each fifth."""
    events: list[dict[str, Any]] = []
    for step in range(first, last + 1):
        events.append({"event": "step", "step": step, "loss": 1 / step})
        if step % 5 == 0:
            events.append({"event": "saved", "step": step, "path": path(run, step), "loss": 1 / step})
    return events


def loop_events() -> list[dict[str, Any]]:
    return [
        {"event": "started", "run": FIRST, "fresh": True, "start_step": 0, "checkpoint": None, "attempt": 0},
        *trained(FIRST, 1, 17),
        {"event": "lost", "run": FIRST, "error": "BadRequestError"},
        {"event": "resumed", "run": NEXT, "fresh": False, "start_step": 10, "checkpoint": RESTORED, "attempt": 1},
        *trained(NEXT, 11, 26),
    ]


def training_run() -> dict[str, Any]:
    record = {
        "attempt": 1,
        "fromTrainingRunId": FIRST,
        "toTrainingRunId": PROOF,
        "checkpoint": RESTORED,
        "candidates": [
            {"checkpoint": BROKEN, "verdict": "NotLoadable", "message": "half of it is missing"},
            {"checkpoint": RESTORED, "verdict": "Good"},
        ],
        "result": "Recovered",
    }
    return {
        "metadata": {"generation": 1},
        "status": {
            "observedGeneration": 1,
            "trainingRunId": NEXT,
            "recoveries": 1,
            "recovery": {"restoredFrom": RESTORED, "history": [record]},
            "handOver": {"restoreOptimizer": True},
            "conditions": [{"type": "Ready", "status": "True"}, {"type": "Corrupted", "status": "False"}],
        },
    }


def policy() -> dict[str, Any]:
    last = [{"path": path(NEXT, step), "because": ["KeepLast"]} for step in (25, 20, 15)]
    needed = [
        {"path": BROKEN, "because": ["Newest"]},
        {"path": RESTORED, "because": ["RecoverySource"]},
    ]
    return {"status": {"kept": last + needed, "deleted": [{"path": path(FIRST, 5)}], "deletedTotal": 1}}


def cluster_events() -> list[dict[str, Any]]:
    reasons = ("RunBound", "CorruptionDetected", "RecoveryStarted", "RecoveryCompleted", "HandedOver", "RunFollowed")
    skipped = {"reason": "CheckpointSkipped", "message": f"{BROKEN} was passed over, NotLoadable: half of it"}
    return [{"reason": reason, "message": ""} for reason in reasons] + [skipped]


def checkpoints() -> list[dict[str, Any]]:
    steps = [(NEXT, 25), (NEXT, 20), (NEXT, 15), (FIRST, 15), (FIRST, 10)]
    return [
        {"tinker_path": path(run, step), "user_metadata": {"step": str(step), "loss": str(1 / step)}}
        for run, step in steps
    ]


def good() -> Evidence:
    """All claims hold; every part is fresh, so that a test may change it."""
    return Evidence(
        operator=Identity(OPERATOR_USER, SHIPPED, dict(OPERATOR_MAY)),
        loop=Identity(LOOP_USER, frozenset({HAND_OVER}), dict(LOOP_MAY)),
        shipped_bindings=SHIPPED,
        told=Told(tuple(loop_events())),
        broken=BROKEN,
        training_run=training_run(),
        policy=policy(),
        cluster_events=tuple(cluster_events()),
        runs=(
            RunAtService(NEXT, corrupted=False, session_alive=True),
            RunAtService(PROOF, corrupted=False, session_alive=False),
            RunAtService(FIRST, corrupted=True, session_alive=True),
        ),
        checkpoints=tuple(checkpoints()),
    )
