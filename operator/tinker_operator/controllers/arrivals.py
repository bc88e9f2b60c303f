"""When each object came, so that what was looked up before is not taken for the truth about it.

An object that was deleted and made again must find what its predecessor made. A look at the service that began
before the object came may not show that yet, nor may one that began before the predecessor's last round ended: what
that round had begun at the service went on though the object was gone.
"""

from tinker_operator.controllers.objects import TRAINING_RUNS
from tinker_operator.engine.keys import Monotonic, ObjectKey
from tinker_operator.engine.store import Change, Store


class Arrivals:
    """Remembers when each TrainingRun was first seen.

    Args:
        store: Listened to.
        monotonic: Clock, in seconds; the one that looks are timed with.
    """

    def __init__(self, store: Store, monotonic: Monotonic) -> None:
        self._store = store
        self._monotonic = monotonic
        self._came: dict[str, float] = {}
        store.listen(self._on_change)

    def came(self, uid: str) -> float:
        """Returns when the object was first seen, on the monotonic clock; long ago if it is not known."""
        return self._came.get(uid, float("-inf"))

    def waited_seconds(self, uid: str) -> float:
        """Returns how long ago the object was first seen; infinite if it is not known."""
        return self._monotonic() - self.came(uid)

    def acted(self, key: ObjectKey, uid: str) -> None:
        """Takes note that something was done for an object: whoever has its name by now counts as having come now.

        Args:
            key: The object's name.
            uid: Its uid.
        """
        present = self._store.get(key)
        if present is not None and present["metadata"]["uid"] != uid:
            self._came[present["metadata"]["uid"]] = self._monotonic()

    def _on_change(self, change: Change) -> None:
        if change.key.kind != TRAINING_RUNS.kind:
            return
        if change.before is None and change.after is not None:
            self._came[change.after["metadata"]["uid"]] = self._monotonic()
        elif change.before is not None and change.after is None:
            self._came.pop(change.before["metadata"]["uid"], None)
