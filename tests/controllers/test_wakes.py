"""Which objects a change wakes: a table."""

from typing import Any

import pytest

from tinker_operator.controllers.objects import CHECKPOINT_POLICIES, TRAINING_RUNS
from tinker_operator.controllers.wakes import wakes
from tinker_operator.engine.keys import ObjectKey
from tinker_operator.engine.store import Change, Store

pytestmark = pytest.mark.pure

RUN = ObjectKey("TrainingRun", "team", "sft")


def obj(name: str, *, namespace: str = "team", labels: Any = None, generation: int = 1, **rest: Any) -> Any:
    """Returns an object."""
    metadata = {"name": name, "namespace": namespace, "uid": f"{namespace}-{name}", "resourceVersion": "1"}
    return {"metadata": {**metadata, "generation": generation, "labels": labels or {}}, **rest}


def policy(name: str, labels: dict[str, str], namespace: str = "team") -> Any:
    """Returns a policy that selects these labels."""
    return obj(name, namespace=namespace, spec={"selector": {"matchLabels": labels}})


@pytest.fixture
def store() -> Store:
    """Policies for everybody, for team math, and one of another namespace."""
    made = Store()
    made.apply(CHECKPOINT_POLICIES.kind, policy("all", {}))
    made.apply(CHECKPOINT_POLICIES.kind, policy("math", {"team": "math"}))
    made.apply(CHECKPOINT_POLICIES.kind, policy("elsewhere", {}, "other"))
    return made


def woken(store: Store, before: Any, after: Any, key: ObjectKey = RUN) -> set[str]:
    """Returns the names of what a change wakes."""
    return {one.name for one in wakes(store, Change(key, before, after))}


PLAIN, MATH = obj("sft"), obj("sft", labels={"team": "math"})
CHANGES: dict[str, tuple[Any, Any, set[str]]] = {
    "a new run wakes itself and who selects it": (None, PLAIN, {"sft", "all"}),
    "a run with the label wakes both policies": (None, MATH, {"sft", "all", "math"}),
    "a run that loses the label wakes both policies": (MATH, PLAIN, {"sft", "all", "math"}),
    "an edited run wakes itself and who selects it": (PLAIN, obj("sft", generation=2), {"sft", "all"}),
    "a new checkpoint wakes the policies alone": (PLAIN, obj("sft", status={"lastCheckpoint": {"path": "p"}}), {"all"}),
    "a condition wakes nobody": (PLAIN, obj("sft", status={"conditions": [1]}), set()),
    "a deleted run wakes itself and who selected it": (MATH, None, {"sft", "all", "math"}),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_of_a_run_wakes_whom_it_concerns(store: Store, name: str) -> None:
    """And nobody of another namespace."""
    before, after, expected = CHANGES[name]

    assert woken(store, before, after) == expected


def job(*conditions: tuple[str, str], owner: Any = None, uid: str = "j", **rest: Any) -> Any:
    """Returns a trainer Job of the run."""
    reference = {"apiVersion": "tinker-operator.dev/v1alpha1", "kind": "TrainingRun", "name": "sft", "uid": "u"}
    metadata = {"name": "sft-a1", "namespace": "team", "uid": uid, "ownerReferences": [reference | (owner or {})]}
    told = [{"type": kind, "status": status} for kind, status in conditions]
    return {"metadata": {**metadata, **rest}, "status": {"conditions": told}}


JOB = ObjectKey("Job", "team", "sft-a1")
JOBS: dict[str, tuple[Any, Any, set[str]]] = {
    "one that comes": (None, job(), {"sft"}),
    "one that goes": (job(), None, {"sft"}),
    "one that fails": (job(), job(("Failed", "True")), {"sft"}),
    "one that is held back": (job(("Suspended", "False")), job(("Suspended", "True")), {"sft"}),
    "one that is being deleted": (job(), job(deletionTimestamp="now"), {"sft"}),
    "one whose pods are counted anew": (job(), job(resourceVersion="2"), set()),
    "one of another kind of owner": (None, job(owner={"kind": "CronJob"}), set()),
    "one of an owner of another API group": (None, job(owner={"apiVersion": "example.com/v1"}), set()),
    "one that has lost its owner": (job(), job(ownerReferences=None, deletionTimestamp="now"), {"sft"}),
    "one that nobody owns": (None, job(ownerReferences=[]), set()),
}


@pytest.mark.parametrize("name", JOBS)
def test_a_job_wakes_the_run_that_it_was_made_for(store: Store, name: str) -> None:
    """When its fate changes; it is never itself worked on, and no policy cares."""
    before, after, expected = JOBS[name]
    woken = set(wakes(store, Change(JOB, before, after)))

    assert woken == {ObjectKey("TrainingRun", "team", one) for one in expected}


def test_a_policy_wakes_the_others_of_its_namespace(store: Store) -> None:
    """They may govern the same runs, and must not delete what it keeps."""
    key = ObjectKey(CHECKPOINT_POLICIES.kind, "team", "math")

    assert woken(store, None, policy("math", {"team": "math"}), key) == {"math", "all"}
    assert TRAINING_RUNS.kind == RUN.kind


def scheduling(labels: dict[str, str], *, every: int = 100, **rest: Any) -> Any:
    """Returns a policy with a schedule for these labels."""
    retention = {"keepLast": 3}
    spec = {"selector": {"matchLabels": labels}, "schedule": {"saveEvery": every}, "retention": retention}
    made = obj("math", generation=rest.pop("generation", 1), spec=spec)
    made["metadata"] |= rest
    return made


def unread(labels: dict[str, str]) -> Any:
    """Returns a policy with the same schedule, and words elsewhere that this release does not know."""
    made = scheduling(labels)
    return {**made, "spec": {**made["spec"], "retention": {"keepLast": "as many as it takes"}}}


MATHS = {"team": "math"}
WITHOUT = policy("math", MATHS)
TIMINGS: dict[str, tuple[Any, Any, set[str]]] = {
    "one that comes wakes those that it selects": (None, scheduling(MATHS), {"math"}),
    "one that goes wakes those that it selected": (scheduling(MATHS), None, {"math"}),
    "one for everybody wakes everybody here": (None, scheduling({}), {"math", "plain"}),
    "another schedule": (scheduling(MATHS), scheduling(MATHS, every=5, generation=2), {"math"}),
    "another selector wakes the former and the present ones": (
        scheduling({"team": "plain"}),
        scheduling(MATHS, generation=2),
        {"math", "plain"},
    ),
    "one that begins to say when": (WITHOUT, scheduling(MATHS, generation=2), {"math"}),
    "one that says no more when": (
        scheduling(MATHS),
        {**WITHOUT, "metadata": obj("math", generation=2)["metadata"]},
        {"math"},
    ),
    "one that is being deleted": (scheduling(MATHS), scheduling(MATHS, deletionTimestamp="now"), {"math"}),
    "one made anew under its name": (scheduling(MATHS), scheduling(MATHS, uid="another"), {"math"}),
    "an edit of something else": (scheduling(MATHS), scheduling(MATHS, generation=2), set()),
    "one that can be read again, though its schedule is the same": (
        unread(MATHS),
        scheduling(MATHS, generation=2),
        {"math"},
    ),
    "one that cannot be read any more": (
        scheduling(MATHS),
        {**unread(MATHS), "metadata": obj("math", generation=2)["metadata"]},
        {"math"},
    ),
    "one that says nothing of it": (None, WITHOUT, set()),
    "an echo of its status": (scheduling(MATHS), {**scheduling(MATHS), "status": {"trainingRuns": 1}}, set()),
}


@pytest.mark.parametrize("name", TIMINGS)
def test_a_policy_wakes_the_runs_whose_schedule_it_decides(store: Store, name: str) -> None:
    """Their hand-over may have to say something else; what decides nothing about saves wakes no run."""
    for label in ("math", "plain"):
        store.apply(TRAINING_RUNS.kind, obj(label, labels={"team": label}))
    store.apply(TRAINING_RUNS.kind, obj("far", namespace="other", labels=MATHS))
    before, after, expected = TIMINGS[name]
    key = ObjectKey(CHECKPOINT_POLICIES.kind, "team", "math")

    found = {one.name for one in wakes(store, Change(key, before, after)) if one.kind == TRAINING_RUNS.kind}

    assert found == expected
