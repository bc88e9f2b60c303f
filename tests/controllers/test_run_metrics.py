"""How TrainingRuns stand, as series: the state that people see, and who is expected to save."""

from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from tinker_operator.controllers.objects import TRAINING_RUNS
from tinker_operator.controllers.run_metrics import RunCollector
from tinker_operator.engine.keys import KubeObject
from tinker_operator.engine.store import Store

pytestmark = pytest.mark.pure

TIME = "2026-01-01T00:00:00Z"


def condition(kind: str, status: str, reason: str) -> dict[str, Any]:
    told = {"observedGeneration": 1, "lastTransitionTime": TIME, "message": ""}
    return {"type": kind, "status": status, "reason": reason, **told}


def run(name: str, *conditions: dict[str, Any], suspend: bool = False, **metadata: str) -> KubeObject:
    known = {"namespace": "lab", "name": name, "uid": name, "resourceVersion": "1", **metadata}
    spec = {"run": {"trainingRunId": "r"}, "suspend": suspend}
    return {"metadata": known, "spec": spec, "status": {"conditions": list(conditions)}}


def series(*objects: KubeObject) -> set[str]:
    store, registry = Store(), CollectorRegistry()
    for obj in objects:
        store.apply(TRAINING_RUNS.kind, obj)
    registry.register(RunCollector(store))
    page = generate_latest(registry).decode().replace("tinker_operator_training_", "")
    return {line for line in page.splitlines() if not line.startswith("#")}


def test_runs_are_counted_by_the_reason_of_ready() -> None:
    """One that nobody has looked at yet counts, too."""
    well = condition("Ready", "True", "RunAlive")
    shown = series(run("a", well), run("b", well), run("c", condition("Ready", "False", "Recovering")), run("d"))
    assert {line for line in shown if line.startswith("runs{")} == {
        'runs{namespace="lab",state="RunAlive"} 2.0',
        'runs{namespace="lab",state="Recovering"} 1.0',
        'runs{namespace="lab",state="Unknown"} 1.0',
    }


@pytest.mark.parametrize(
    ("status", "count"),
    [
        pytest.param("True", 1, id="flagged as corrupted"),
        pytest.param("False", 0, id="well"),
        pytest.param("Unknown", 0, id="not to be seen"),
    ],
)
def test_only_what_is_flagged_counts_as_corrupted(status: str, count: int) -> None:
    assert f'runs_corrupted{{namespace="lab"}} {count}.0' in series(run("a", condition("Corrupted", status, "X")))


@pytest.mark.parametrize(
    ("obj", "expected"),
    [
        pytest.param(run("a"), 1, id="a new one"),
        pytest.param(run("a", condition("Ready", "False", "RunCorrupted")), 1, id="a lost one is to come back"),
        pytest.param(run("a", suspend=True), 0, id="suspended"),
        pytest.param(run("a", condition("Ready", "True", "Completed")), 0, id="complete"),
        pytest.param(run("a", deletionTimestamp=TIME), 0, id="being deleted"),
    ],
)
def test_who_is_expected_to_save_is_told(obj: KubeObject, expected: int) -> None:
    assert f'run_training{{namespace="lab",training_run="a"}} {expected}.0' in series(obj)


def test_a_run_that_is_gone_has_no_series() -> None:
    assert series() == set()
