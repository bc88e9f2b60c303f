"""A laboratory at one moment, for what `kubectl tinker` shows of it: every state that a person may meet, once."""

from datetime import datetime, timedelta
from typing import Any

from tests.core.strategies_policy import NOW

from tinker_operator.api.checkpoint_policy import CheckpointPolicy
from tinker_operator.api.recovery_spec import Metric
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.core.world import CheckpointKind, ObservedCheckpoint
from tinker_operator.plugin.curves import Curve, RunKey, curve_of
from tinker_operator.plugin.status_report import StatusReport, status_report

MATH, LOST, BACK = "9b1deb4d:train:0", "c0ffee42:train:0", "c0ffee42:train:1"
LOSS = Metric(name="loss")


def ago(**span: float) -> str:
    """Returns a time before the moment, as the API server writes it."""
    return (NOW - timedelta(**span)).isoformat().replace("+00:00", "Z")


def ahead(**span: float) -> str:
    """Returns a time after the moment."""
    return (NOW + timedelta(**span)).isoformat().replace("+00:00", "Z")


def condition(kind: str, status: str, reason: str, message: str = "It is so.") -> dict[str, Any]:
    """Returns a condition."""
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "observedGeneration": 1,
        "lastTransitionTime": ago(hours=1),
    }


def run(name: str, *conditions: dict[str, Any], spec: Any = None, namespace: str = "lab", **status: Any) -> TrainingRun:
    """Returns a TrainingRun that the operator has seen."""
    return TrainingRun.model_validate(
        {
            "metadata": {"name": name, "namespace": namespace, "generation": 1, "resourceVersion": "7"},
            "spec": {"run": {"trainingRunId": MATH}, **(spec or {})},
            "status": {"observedGeneration": 1, "conditions": conditions, **status},
        }
    )


def policy(name: str, *conditions: dict[str, Any], retention: Any = None, **more: Any) -> CheckpointPolicy:
    """Returns a CheckpointPolicy that the operator has seen."""
    spec = {"selector": {"matchLabels": {}}, "retention": {"keepLast": 5, **(retention or {})}, **more.pop("spec", {})}
    return CheckpointPolicy.model_validate(
        {
            "metadata": {"name": name, "namespace": "lab", "generation": 1},
            "spec": spec,
            "status": {"observedGeneration": 1, "conditions": conditions, **more},
        }
    )


def live(**changes: Any) -> TrainingRun:
    """A run that trains."""
    facts = {
        "trainingRunId": MATH,
        "lineage": [MATH],
        "baseModel": "Qwen/Qwen3-8B",
        "lastCheckpoint": {"path": f"tinker://{MATH}/weights/step-007000", "time": ago(minutes=12)},
        **changes,
    }
    ready = condition("Ready", "True", "Live", "The run is alive and not corrupted.")
    seen = condition("Synced", "True", "Observed"), condition("Corrupted", "False", "NotCorrupted")
    return run("math-sft", ready, *seen, **facts)


def candidate(step: int, verdict: str, message: str = "", of: str = LOST) -> dict[str, Any]:
    """Returns a candidate with its verdict."""
    return {"checkpoint": f"tinker://{of}/weights/step-{step}", "verdict": verdict, "message": message}


def recovering(**changes: Any) -> TrainingRun:
    """A run that is being restored, after one attempt that failed and one candidate that is broken."""
    failed = {
        "attempt": 1,
        "fromTrainingRunId": LOST,
        "startedAt": ago(minutes=4),
        "completedAt": ago(minutes=3),
        "result": "BackendFailed",
        "message": "The service failed while loading it.",
        "candidates": [candidate(30, "BackendFailed")],
    }
    flight = {
        "attempt": 2,
        "fromTrainingRunId": LOST,
        "startedAt": ago(minutes=2),
        "checkpoint": f"tinker://{LOST}/weights/step-20",
        "candidates": [candidate(30, "NotLoadable", "The archive is cut short.")],
    }
    facts: dict[str, Any] = {
        "trainingRunId": LOST,
        "lineage": [LOST],
        "baseModel": "Qwen/Qwen3-8B",
        "failedAttempts": 1,
        "lastCheckpoint": {"path": f"tinker://{LOST}/weights/step-30", "time": ago(hours=2)},
        "recovery": {"attempt": 2, "inFlight": flight, "history": [failed]},
        **changes,
    }
    message = "The service flags the run as corrupted; attempt 2 restores it."
    conditions = (
        condition("Reconciling", "True", "Recovering", message),
        condition("Ready", "False", "Recovering", message),
        condition("Corrupted", "True", "RunCorrupted"),
    )
    return run("bio-dpo", *conditions, spec={"recovery": {"enabled": True}}, **facts)


def exhausted() -> TrainingRun:
    """A run that nobody tries to restore any more."""
    message = "No attempt is left. Mend the cause, then change the spec."
    conditions = (
        condition("Stalled", "True", "RecoveryExhausted", message),
        condition("Ready", "False", "RecoveryExhausted", message),
        condition("Corrupted", "True", "RunCorrupted"),
    )
    facts: dict[str, Any] = {"trainingRunId": "beef:train:0", "lineage": ["beef:train:0"], "failedAttempts": 3}
    return run("chem-rl", *conditions, spec={"recovery": {"enabled": True}}, **facts)


def suspended() -> TrainingRun:
    """A run that somebody holds back."""
    ready = condition("Ready", "False", "Suspended", "spec.suspend holds every action back.")
    return run("law-sft", ready, spec={"suspend": True}, trainingRunId="1aw:train:0", lineage=["1aw:train:0"])


def new() -> TrainingRun:
    """A run that the operator has not seen yet."""
    return run("play").model_copy(update={"status": TrainingRun.model_fields["status"].default})


def deleting() -> CheckpointPolicy:
    """A policy that deletes, one of which waits out its grace period."""
    path = f"tinker://{MATH}/weights/step-002000"
    due = {"path": path, "time": ago(days=3), "trainingRun": "math-sft", "sizeBytes": 1_400_000_000}
    return policy(
        "keep-what-counts",
        condition("Ready", "True", "Enforced"),
        retention={"action": "Delete", "gracePeriodSeconds": 3600},
        trainingRuns=3,
        keptCount=10,
        keptBytes=11_000_000_000,
        dueCount=2,
        dueBytes=2_800_000_000,
        deletedTotal=41,
        marked=[{**due, "dueSince": ago(minutes=20)}],
        nextDeletions=[{**due, "rule": "NotKept", "notBefore": ahead(minutes=40)}],
        validation={
            "inFlight": {
                "number": 1,
                "path": f"tinker://{MATH}/weights/step-007000",
                "trainingRun": "math-sft",
                "level": "Load",
                "startedAt": ago(seconds=5),
            }
        },
    )


def only_telling() -> CheckpointPolicy:
    """A policy that deletes nothing."""
    return policy("try-it", condition("Ready", "True", "Reported"), trainingRuns=1, keptCount=5, dueCount=7)


def saved(step: int, loss: str, run_id: str = MATH, **facts: Any) -> ObservedCheckpoint:
    """Returns a training checkpoint; later steps are younger."""
    made: dict[str, Any] = {
        "kind": CheckpointKind.TRAINING,
        "time": NOW - timedelta(hours=200) + timedelta(minutes=step),
        "size_bytes": 1_400_000_000,
        "metadata": {"step": str(step), "loss": loss},
        **facts,
    }
    return ObservedCheckpoint(f"tinker://{run_id}/weights/step-{step:06}", run_id, **made)


def curves() -> dict[RunKey, Curve]:
    """How the losses went: one goes down, one came up again, one cannot be seen."""
    falls = [3.91, 3.40, 2.98, 2.61, 2.44, 2.30, 2.21, 2.12, 2.08, 2.04, 2.01, 1.99, 1.97, 1.96]
    rises = [2.9, 2.2, 1.8, 1.7, 1.9, 2.6]
    gap = "No connection to the service. Check the network."
    return {
        ("lab", "math-sft"): curve_of((saved(500 * at, str(it)) for at, it in enumerate(falls, 1)), LOSS),
        ("lab", "bio-dpo"): curve_of((saved(5 * at, str(it), LOST) for at, it in enumerate(rises, 1)), LOSS),
        ("lab", "chem-rl"): Curve(metric="loss", gap=gap),
        ("lab", "law-sft"): Curve(metric="loss"),
    }


def report(now: datetime = NOW) -> StatusReport:
    """The status of the laboratory."""
    runs = (recovering(), exhausted(), suspended(), live(), new())
    return status_report(runs, (deleting(), only_telling()), curves(), namespace="lab", now=now)
