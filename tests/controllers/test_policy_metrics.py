"""Series of policies: one set for each object, and none of an object that is gone."""

from datetime import UTC, datetime

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from tinker_operator.api.policy_status import DueRule, KeepReason
from tinker_operator.controllers.objects import CHECKPOINT_POLICIES, TRAINING_RUNS
from tinker_operator.controllers.policy_metrics import FigureBook, PolicyCollector
from tinker_operator.core.policy_figures import Amount, Figures
from tinker_operator.engine.keys import KubeObject, ObjectKey
from tinker_operator.engine.store import Store

pytestmark = pytest.mark.pure

TOLD = datetime(2026, 1, 1, tzinfo=UTC)
KEEP = ObjectKey(CHECKPOINT_POLICIES.kind, "lab", "keep")
RUN = ObjectKey(TRAINING_RUNS.kind, "lab", "sft")
FIGURES = Figures(
    kept=Amount(3, 300),
    due=Amount(2, 200),
    kept_by_reason={KeepReason.KEEP_LAST: 3, KeepReason.NEWEST: 1},
    newest={"sft": TOLD, "never-there": TOLD},
)


def obj(key: ObjectKey, uid: str, **fields: object) -> KubeObject:
    metadata = {"namespace": key.namespace, "name": key.name, "uid": uid, "resourceVersion": uid}
    return {"metadata": metadata, **fields}


@pytest.fixture
def store() -> Store:
    """A policy, and a TrainingRun whose status knows an older checkpoint."""
    store = Store()
    store.apply(KEEP.kind, obj(KEEP, "1"))
    status = {"lastCheckpoint": {"path": "tinker://r/weights/x", "time": "2025-12-31T00:00:00Z"}}
    store.apply(RUN.kind, obj(RUN, "2", spec={"run": {"trainingRunId": "r"}}, status=status))
    return store


def series(store: Store, book: FigureBook) -> list[str]:
    registry = CollectorRegistry()
    registry.register(PolicyCollector(store, book))
    return [line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")]


def told(book: FigureBook) -> FigureBook:
    book.tell(KEEP, "1", FIGURES, {DueRule.NOT_KEPT: 4})
    return book


def test_the_figures_of_a_pass_are_shown(store: Store) -> None:
    shown = series(store, told(FigureBook()))
    assert 'tinker_operator_policy_checkpoints{namespace="lab",policy="keep",state="due"} 2.0' in shown
    assert 'tinker_operator_policy_checkpoint_bytes{namespace="lab",policy="keep",state="kept"} 300.0' in shown
    assert 'tinker_operator_policy_kept_checkpoints{namespace="lab",policy="keep",reason="KeepLast"} 3.0' in shown
    assert 'tinker_operator_policy_deletions_total{namespace="lab",policy="keep",rule="MaxTotalBytes"} 0.0' in shown


def test_the_newer_of_status_and_a_look_is_shown_and_nothing_of_a_run_that_is_not_there(store: Store) -> None:
    name = "tinker_operator_training_run_newest_checkpoint_timestamp_seconds"
    before = [line for line in series(store, FigureBook()) if line.startswith(name)]
    after = [line for line in series(store, told(FigureBook())) if line.startswith(name)]
    labels = '{namespace="lab",training_run="sft"}'
    assert [float(line.removeprefix(name + labels)) for line in before] == [TOLD.timestamp() - 86_400]
    assert [float(line.removeprefix(name + labels)) for line in after] == [TOLD.timestamp()]


def test_a_blind_pass_leaves_the_figures_and_counts_go_on(store: Store) -> None:
    book = told(FigureBook())
    before = series(store, book)
    book.tell(KEEP, "1", None, {})
    assert series(store, book) == before
    book.tell(KEEP, "1", None, {DueRule.NOT_KEPT: 1})
    assert 'tinker_operator_policy_deletions_total{namespace="lab",policy="keep",rule="NotKept"} 5.0' in series(
        store, book
    )


def test_series_go_with_their_object_and_do_not_come_back_with_its_name(store: Store) -> None:
    book = told(FigureBook())
    assert series(store, book)
    for key, uid in ((KEEP, "1"), (RUN, "2")):
        store.discard(key.kind, obj(key, uid))
    store.apply(KEEP.kind, obj(KEEP, "9"))
    assert series(store, book) == []
    book.tell(KEEP, "9", None, {DueRule.NOT_KEPT: 1})
    assert 'tinker_operator_policy_deletions_total{namespace="lab",policy="keep",rule="NotKept"} 1.0' in series(
        store, book
    )


def test_an_object_that_came_again_between_two_scrapes_begins_anew() -> None:
    book = told(FigureBook())
    book.tell(KEEP, "9", None, {})
    assert book.figures == {}
    assert book.deletions[KEEP] == dict.fromkeys(DueRule, 0)


def test_verdicts_and_exports_are_counted_as_status_has_them() -> None:
    """Also by a replica that has made no pass."""
    store = Store()
    record = {"path": "tinker://r/weights/x", "trainingRun": "sft", "target": "s3://b/p", "job": "export-1"}
    status = {
        "validation": {"counts": {"Good": 4, "NotLoadable": 1}, "unvalidated": 2},
        "exports": [{**record, "state": "Succeeded"}, {**record, "state": "Succeeded"}, {**record, "state": "Failed"}],
    }
    spec = {"selector": {"matchLabels": {}}, "retention": {"keepLast": 1}}
    store.apply(KEEP.kind, obj(KEEP, "1", spec=spec, status=status))
    shown = series(store, FigureBook())

    where = 'namespace="lab",policy="keep"'
    assert [line for line in shown if "validated" in line] == [
        f'tinker_operator_policy_validated_checkpoints{{{where},verdict="Good"}} 4.0',
        f'tinker_operator_policy_validated_checkpoints{{{where},verdict="NotLoadable"}} 1.0',
        f'tinker_operator_policy_validated_checkpoints{{{where},verdict="Unvalidated"}} 2.0',
    ]
    assert [line for line in shown if "exports" in line] == [
        f'tinker_operator_policy_exports{{{where},state="Failed"}} 1.0',
        f'tinker_operator_policy_exports{{{where},state="Succeeded"}} 2.0',
    ]
