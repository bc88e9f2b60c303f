"""Which run a round is about, said on every line of the log that comes from it.

The composition root puts `with_bearings` around the one function that reconciles; `traces` says the same of its spans.
"""

from structlog.contextvars import bind_contextvars, clear_contextvars

from tinker_operator.controllers.objects import TRAINING_RUNS
from tinker_operator.engine.keys import ObjectKey
from tinker_operator.engine.store import Store
from tinker_operator.engine.workers import Reconcile


def bearings(store: Store, key: ObjectKey) -> dict[str, str | int | None]:
    """Returns the run that an object follows and its newest attempt, as the store has them; nothing of a policy.

    Args:
        store: Objects as the cluster has them.
        key: The object; one that is gone follows nothing any more.
    """
    if key.kind != TRAINING_RUNS.kind:
        return {}
    status = (store.get(key) or {}).get("status") or {}
    recovery = status.get("recovery") or {}
    return {"run": status.get("trainingRunId"), "attempt": recovery.get("attempt") or 0}


def with_bearings(reconcile: Reconcile, store: Store) -> Reconcile:
    """Returns the function that does the same, with its lines of the log saying of which object and run they are.

    What a line says itself stands. They still hold when it has failed, for whoever tells of that.

    Args:
        reconcile: What brings one object forward.
        store: Objects as the cluster has them.
    """

    async def told(key: ObjectKey) -> float | None:
        clear_contextvars()
        bind_contextvars(kind=key.kind, namespace=key.namespace, name=key.name, **bearings(store, key))
        try:
            return await reconcile(key)
        finally:
            bind_contextvars(**bearings(store, key))

    return told
