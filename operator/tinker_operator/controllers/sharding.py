"""What a process that works on a share of the objects does differently: whom it leads against, and whom it looks after.

The store holds all objects in every shard: what must stay is decided by all of them. Worked on are those of the shard.
"""

import time
from collections.abc import Callable
from datetime import datetime

from tinker_operator.controllers.objects import CHECKPOINT_POLICIES, TRAINING_RUNS
from tinker_operator.controllers.poller import Poller
from tinker_operator.controllers.services import Services
from tinker_operator.controllers.tracked import tracked
from tinker_operator.core.shards import Shard
from tinker_operator.engine.elector import Elector, KubeLease
from tinker_operator.engine.fence import Leadership
from tinker_operator.engine.keys import ObjectKey
from tinker_operator.engine.lease import LeaseTimings
from tinker_operator.engine.objects import ObjectApi
from tinker_operator.engine.shard_elector import ShardElector
from tinker_operator.engine.shared_lease import SharedCandidacy
from tinker_operator.engine.store import Change, Store

LEASE_NAME = "tinker-operator"
"""Of the single operator, or of all shards of a layout together."""


class Ownership:
    """Which objects are this shard's, and which it has to know about.

    Args:
        shard: The shard.
        store: Listened to, for the policies that there are.
    """

    def __init__(self, shard: Shard, store: Store) -> None:
        self._shard = shard
        self._policies: dict[str, set[ObjectKey]] = {}
        store.listen(self._on_change)

    def owns(self, key: ObjectKey) -> bool:
        """Tells whether this shard works on an object."""
        return self._shard.owns(key.namespace, key.name)

    def concerns(self, key: ObjectKey) -> bool:
        """Tells whether this shard looks at the run of a TrainingRun: for its own sake, or for that of a policy."""
        return bool(self._policies.get(key.namespace)) or self.owns(key)

    def _on_change(self, change: Change) -> None:
        if change.key.kind == CHECKPOINT_POLICIES.kind and self.owns(change.key):
            here = self._policies.setdefault(change.key.namespace, set())
            (here.discard if change.after is None else here.add)(change.key)


class Neighbours:
    """Has runs looked at that a policy of this shard may govern and that another shard works on.

    Args:
        ownership: Which those are.
        store: Listened to.
        services: Tells what is known.
        poller: Asked for a look.
    """

    def __init__(self, ownership: Ownership, store: Store, services: Services, poller: Poller) -> None:
        self._ownership, self._store, self._services, self._poller = ownership, store, services, poller
        store.listen(self._on_change)

    def _on_change(self, change: Change) -> None:
        if change.key.kind == TRAINING_RUNS.kind:
            self._ask_for(change.key)
        elif change.key.kind == CHECKPOINT_POLICIES.kind and change.before is None and self._ownership.owns(change.key):
            for key in tuple(self._store.by_kind(TRAINING_RUNS.kind)):
                if key.namespace == change.key.namespace:
                    self._ask_for(key)

    def _ask_for(self, key: ObjectKey) -> None:
        run = self._store.derived(key, tracked)
        if run is None or self._ownership.owns(key) or not self._ownership.concerns(key):
            return
        known = self._services.inventory_of(run.account)
        if self._services.of(run.account) is None or not known.knows(run.followed):
            self._poller.soon(run.account)


def leadership(
    api: ObjectApi, namespace: str | None, shard: Shard, identity: str, clock: Callable[[], datetime]
) -> Leadership | None:
    """Returns this process' claim to act; None for one that has no rival.

    Args:
        api: Where Leases are.
        namespace: Theirs; None for no election.
        shard: The share that is claimed.
        identity: Unique to this process.
        clock: Wall clock, for people who look at the Lease.
    """
    if namespace is None:
        return None
    alone = KubeLease(api, namespace, LEASE_NAME)
    timings = LeaseTimings()
    if shard.count == 1:
        return Elector(alone, identity, timings=timings, monotonic=time.monotonic, clock=clock)
    own = KubeLease(api, namespace, f"{LEASE_NAME}-shard-{shard.index}")
    return ShardElector(
        Elector(alone, shard.layout, timings=timings, monotonic=time.monotonic, clock=clock, kind=SharedCandidacy),
        Elector(own, identity, timings=timings, monotonic=time.monotonic, clock=clock),
    )
