"""A work queue that takes no other keys than those of its own shard, whoever adds them.

The store knows all objects, and the pollers and the watch wake whom they like; here is the one place where a process
that has a share of the objects lets go of the others.
"""

from collections.abc import Callable
from typing import Any

from tinker_operator.engine.keys import ObjectKey
from tinker_operator.engine.workqueue import Priority, WorkQueue


class OwnQueue(WorkQueue):
    """Keys to be worked on by this shard; constructed as its parent is.

    Args:
        owns: Whether a key belongs to this shard; the answer never changes.
    """

    def __init__(self, *arguments: Any, owns: Callable[[ObjectKey], bool], **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._owns = owns

    def add(self, key: ObjectKey, priority: Priority = Priority.CHANGED) -> None:
        """Have a key worked on, if it is this shard's.

        Args:
            key: What to work on.
            priority: As for the parent.
        """
        if self._owns(key):
            super().add(key, priority)
