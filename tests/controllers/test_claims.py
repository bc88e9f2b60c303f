"""One run, one TrainingRun: who has it when several name it."""

import pytest

from tinker_operator.controllers.claims import Claims
from tinker_operator.controllers.objects import TRAINING_RUNS
from tinker_operator.engine.keys import KubeObject, ObjectKey
from tinker_operator.engine.store import Store

pytestmark = pytest.mark.pure


def put(store: Store, name: str, day: int, *follows: str, names: str = "r", version: int = 1) -> ObjectKey:
    """Puts a TrainingRun of an age into the store that names a run in spec, and follows or followed these in status."""
    obj: KubeObject = {
        "metadata": {
            "name": name,
            "namespace": "team",
            "uid": name,
            "resourceVersion": str(version),
            "creationTimestamp": f"2026-01-{day:02d}T00:00:00Z",
        },
        "spec": {"run": {"trainingRunId": names}},
        "status": {"trainingRunId": follows[-1], "lineage": list(follows)} if follows else {},
    }
    store.apply(TRAINING_RUNS.kind, obj)
    return ObjectKey(TRAINING_RUNS.kind, "team", name)


@pytest.fixture
def store() -> Store:
    """An empty store."""
    return Store()


def test_the_older_one_has_the_run(store: Store) -> None:
    """Whatever order they came in."""
    claims = Claims(store)
    young = put(store, "young", 2, "r")
    old = put(store, "old", 1, "r")

    assert claims.had_by(old) is None
    assert claims.had_by(young) == "team/old"


def test_of_the_same_age_the_name_decides(store: Store) -> None:
    """Exactly one has it."""
    claims = Claims(store)
    keys = [put(store, name, 1, "r") for name in ("b", "a")]

    assert [claims.had_by(key) for key in keys] == ["team/a", None]


def test_naming_a_run_is_not_having_it(store: Store) -> None:
    """An older object that never saw the run through its own key keeps nobody from it."""
    claims = Claims(store)
    put(store, "blind", 1)
    young = put(store, "young", 2, "r")

    assert claims.had_by(young) is None


def test_the_successor_and_the_lost_run_both_belong_to_the_lineage(store: Store) -> None:
    """What one follows or followed, a younger one may not adopt."""
    claims = Claims(store)
    put(store, "old", 1, "r", "successor")
    late, thief = put(store, "late", 2), put(store, "thief", 2, names="successor")

    assert claims.had_by(late) == "team/old"
    assert claims.had_by(thief) == "team/old"


def restoring(store: Store, name: str, day: int) -> ObjectKey:
    """Puts a TrainingRun that restores the run."""
    key = put(store, name, day, "r")
    before = store.get(key) or {}
    status = {**before["status"], "recovery": {"inFlight": {"fromTrainingRunId": "r"}}}
    store.apply(TRAINING_RUNS.kind, {"metadata": {**before["metadata"], "resourceVersion": "9"}, "status": status})
    return key


def test_who_has_gone_on_from_a_run_has_it_though_another_is_older(store: Store) -> None:
    """An older object that came to see the run late makes no second successor, and takes none away."""
    claims = Claims(store)
    young = put(store, "young", 2, "r", "successor")
    old = put(store, "old", 1, "r")

    assert claims.had_by(old) == "team/young"
    assert claims.had_by(young) is None


def test_who_restores_a_run_has_it_though_another_is_older(store: Store) -> None:
    """Its successor is not there yet, and may be made already."""
    claims = Claims(store)
    old, young = put(store, "old", 1, "r"), restoring(store, "young", 2)

    assert claims.had_by(old) == "team/young"
    assert claims.had_by(young) is None


def test_two_that_find_each_other_restoring_both_let_go(store: Store) -> None:
    """Neither can know how far the other is; afterwards the older one begins."""
    claims = Claims(store)
    old, young = restoring(store, "old", 1), restoring(store, "young", 2)

    assert claims.had_by(old) == "team/young"
    assert claims.had_by(young) == "team/old"


def test_a_claim_ends_when_the_older_one_follows_another_run(store: Store) -> None:
    """The younger has the run then."""
    claims = Claims(store)
    put(store, "old", 1, "r")
    young = put(store, "young", 2, "r")
    put(store, "old", 1, "other", names="other", version=2)

    assert claims.had_by(young) is None


def test_a_deleted_object_claims_nothing(store: Store) -> None:
    """Nor does one that was never there."""
    claims = Claims(store)
    old = put(store, "old", 1, "r")
    young = put(store, "young", 2, "r")
    stored = store.get(old)
    assert stored is not None
    store.discard(TRAINING_RUNS.kind, stored)

    assert claims.had_by(young) is None
    assert claims.had_by(old) is None
