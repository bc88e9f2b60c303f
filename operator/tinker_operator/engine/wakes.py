"""Which changes are worth a reconciliation.

Controllers give the engine a `Wakes` function. The rule they start from is `essential`: an echo of an own status
write, or another controller's bookkeeping, costs a comparison and nothing else.
"""

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from tinker_operator.engine.keys import KubeObject, ObjectKey
from tinker_operator.engine.store import Change

Wakes: TypeAlias = Callable[[Change], Iterable[ObjectKey]]
"""The keys that a change is to wake: its own, or those of objects that depend on it. Must not raise."""


def essential(change: Change, *, annotation_prefix: str = "") -> bool:
    """Whether a change can alter what ought to be done.

    New or gone objects, a new generation, the start of a deletion, other labels, or other annotations are; status,
    finalizers and the rest of metadata are not.

    Args:
        change: What happened.
        annotation_prefix: Only annotations that start with this count; empty for all.
    """
    if change.before is None or change.after is None:
        return True
    return _essence(change.before, annotation_prefix) != _essence(change.after, annotation_prefix)


def wake_itself(annotation_prefix: str = "") -> Wakes:
    """The plainest rule: an essential change wakes its own object.

    Args:
        annotation_prefix: As in `essential`.
    """

    def wakes(change: Change) -> Iterable[ObjectKey]:
        return (change.key,) if essential(change, annotation_prefix=annotation_prefix) else ()

    return wakes


def _essence(obj: KubeObject, annotation_prefix: str) -> tuple[Any, ...]:
    metadata = obj["metadata"]
    annotations = metadata.get("annotations") or {}
    return (
        metadata["uid"],
        metadata.get("generation"),
        metadata.get("deletionTimestamp"),
        metadata.get("labels") or {},
        {name: value for name, value in annotations.items() if name.startswith(annotation_prefix)},
    )
