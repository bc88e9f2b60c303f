"""Which TrainingRuns follow the same run: two objects on one run would restore it twice, so one of them has it.

That is who has gone on from it, or is restoring it, whatever the ages: another successor would be a second one. Two
that find each other restoring both let go, and begin anew by age. Of those who merely follow it the older one has it.

What an object has is what it was seen to follow, through its own key: naming a run in spec is not enough to keep
another object, perhaps of another tenant, from it.
"""

from tinker_operator.controllers.objects import TRAINING_RUNS
from tinker_operator.engine.keys import KubeObject, ObjectKey
from tinker_operator.engine.store import Change, Store


class Claims:
    """An index from run id to the TrainingRuns that follow it, or followed it before its successor.

    Args:
        store: Listened to, so that a question costs a look-up and not a walk over every object.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._by_run: dict[str, set[ObjectKey]] = {}
        store.listen(self._on_change)

    def had_by(self, key: ObjectKey) -> str | None:
        """Returns the other TrainingRun that has a run of this one, as namespace/name; None for none."""
        mine = self._store.get(key)
        if mine is None:
            return None
        wanted = _wanted(mine) - _left(mine)
        rivals = {rival for run_id in wanted for rival in self._by_run.get(run_id, ()) if rival != key}
        ahead = {rival for rival in rivals if _has(self._store.get(rival)) & wanted}
        oldest = min(((_age(self._store.get(rival)), rival) for rival in ahead or rivals), default=None)
        if oldest is None or (not ahead and (_restoring(mine) or (_age(mine), key) < oldest)):
            return None
        return f"{oldest[1].namespace}/{oldest[1].name}"

    def _on_change(self, change: Change) -> None:
        if change.key.kind != TRAINING_RUNS.kind:
            return
        for run_id in _followed(change.before):
            self._by_run.get(run_id, set()).discard(change.key)
        for run_id in _followed(change.after):
            self._by_run.setdefault(run_id, set()).add(change.key)


def _wanted(obj: KubeObject) -> frozenset[str]:
    named = ((obj.get("spec") or {}).get("run") or {}).get("trainingRunId")
    current = (obj.get("status") or {}).get("trainingRunId")
    return frozenset(run_id for run_id in (named, current) if run_id)


def _followed(obj: KubeObject | None) -> frozenset[str]:
    status = (obj or {}).get("status") or {}
    return frozenset(run_id for run_id in (status.get("trainingRunId"), *status.get("lineage", ())) if run_id)


def _has(obj: KubeObject | None) -> frozenset[str]:
    return _left(obj) | _restoring(obj)


def _left(obj: KubeObject | None) -> frozenset[str]:
    """The runs that an object went on from."""
    status = (obj or {}).get("status") or {}
    return _followed(obj) - {status.get("trainingRunId")}


def _restoring(obj: KubeObject | None) -> frozenset[str]:
    in_flight = (((obj or {}).get("status") or {}).get("recovery") or {}).get("inFlight") or {}
    run_id = in_flight.get("fromTrainingRunId")
    return frozenset({run_id} if run_id else ())


def _age(obj: KubeObject | None) -> str:
    return str(((obj or {}).get("metadata") or {}).get("creationTimestamp", ""))
