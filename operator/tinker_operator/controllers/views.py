"""Whether what other shards wrote is known here, before something is done that cannot be taken back.

A single operator knows what it wrote itself: that another object follows the same run, or that a checkpoint is being
restored. Between shards that news travels by the watch, which may be late. So a shard first writes down what it is
about to do, as ever; then it goes on only after a whole listing that began after that. Of two shards at least one has
then seen what the other one wrote.
"""

from collections.abc import Callable
from typing import Any

from tinker_operator.controllers.held_up import HeldUp
from tinker_operator.controllers.objects import CHECKPOINT_POLICIES, TRAINING_RUNS
from tinker_operator.engine.keys import KubeObject, Monotonic, ObjectKey
from tinker_operator.engine.store import Change, Store

_WAITING = "Another shard may know better. What there is is listed anew first; this takes a moment."


class Views:
    """Remembers since when each object claims what it claims.

    Args:
        store: Listened to.
        monotonic: Clock, in seconds; that of the listings.
        listed_from: When the newest listing that was completed began; None before the first.
        list_soon: Has everything listed.
    """

    def __init__(
        self,
        store: Store,
        monotonic: Monotonic,
        *,
        listed_from: Callable[[], float | None],
        list_soon: Callable[[], None],
    ) -> None:
        self._store, self._monotonic = store, monotonic
        self._listed_from, self._list_soon = listed_from, list_soon
        self._since: dict[ObjectKey, float] = {}
        store.listen(self._on_change)

    def await_others(self, key: ObjectKey) -> None:
        """Return if a round of this object may go on.

        Raises:
            HeldUp: It is about to act on a claim that is newer than the last listing; one was asked for.
        """
        obj = self._store.get(key)
        if obj is None or not _acts(key.kind, obj):
            return
        listed_from, since = self._listed_from(), self._since.get(key)
        if listed_from is None or since is None or listed_from <= since:
            self._list_soon()
            raise HeldUp(_WAITING)

    def _on_change(self, change: Change) -> None:
        if change.after is None:
            self._since.pop(change.key, None)
        elif change.before is None or _claims(change.before) != _claims(change.after):
            self._since[change.key] = self._monotonic()


def _acts(kind: str, obj: KubeObject) -> bool:
    """Whether the next round may make a run, or delete checkpoints."""
    status = obj.get("status") or {}
    if kind == TRAINING_RUNS.kind:
        in_flight = (status.get("recovery") or {}).get("inFlight")
        return in_flight is not None or bool(obj["metadata"].get("deletionTimestamp"))
    return kind == CHECKPOINT_POLICIES.kind and bool(status.get("deleting"))


def _claims(obj: KubeObject) -> tuple[Any, ...]:
    """What others have to know of before it is acted on: what is followed, restored and announced, and who goes."""
    status = obj.get("status") or {}
    said = (status.get(field) for field in ("trainingRunId", "lineage", "deleting"))
    in_flight = (status.get("recovery") or {}).get("inFlight") or {}
    return obj["metadata"]["uid"], obj["metadata"].get("deletionTimestamp"), in_flight.get("attempt"), *said
