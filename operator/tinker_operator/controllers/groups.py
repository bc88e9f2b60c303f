"""What objects share that can be slow: the composition root has the work queue bound how many of it are in work.

A round waits for its service. Were all workers free to wait for one that hangs, everybody else's objects would wait
with them.
"""

from collections.abc import Hashable

from tinker_operator.controllers.objects import TRAINING_RUNS
from tinker_operator.controllers.services import Services
from tinker_operator.controllers.tracked import tracked
from tinker_operator.engine.keys import ObjectKey
from tinker_operator.engine.store import Store

ROOM = 32
"""Rounds of one connection at a time."""


def group_of(store: Store, services: Services, key: ObjectKey) -> Hashable:
    """Returns what the object shares: its kind, and its TrainingRun's connection, or else its namespace.

    The kind belongs to it so that a long listing of a policy's checkpoints delays no recovery.

    Args:
        store: Tells whose key an object uses.
        services: Tells which accounts share a connection.
        key: The object.
    """
    run = store.derived(key, tracked) if key.kind == TRAINING_RUNS.kind else None
    return (key.kind, key.namespace if run is None else services.shared_by(run.account))
