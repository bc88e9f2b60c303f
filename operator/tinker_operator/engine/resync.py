"""The anti-entropy listing: at the start and every few minutes, the store is made to agree with the cluster.

kopf delivers no deletion that happened while its watch was interrupted, so without this a ghost would stay for ever.
The first complete round is also the signal that the store is worth reconciling from.
"""

import asyncio
import random
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress

import structlog

from tinker_operator.engine.backoff import Backoff
from tinker_operator.engine.faults import described
from tinker_operator.engine.keys import Monotonic, ObjectKey, Resource, key_of
from tinker_operator.engine.kube_errors import KubeError
from tinker_operator.engine.objects import ObjectApi
from tinker_operator.engine.store import Store

SINGLE_READS = 50
"""So many objects are read one by one before all are listed: a page of whole objects costs as much as some dozens."""
SPREAD = 0.1
"""The share of the interval that chance takes off, so that replicas do not list at the same moment."""


class Resync:
    """Lists every resource, in rounds, into the store.

    Args:
        api: Where to list.
        store: What to bring up to date.
        resources: What to list.
        namespaces: Where; empty for all namespaces.
        interval_seconds: The pause between complete rounds.
        monotonic: Clock, in seconds.
        rng: A number drawn evenly from 0 to 1.
        backoff: The pauses after a round that failed.
    """

    def __init__(
        self,
        api: ObjectApi,
        store: Store,
        resources: Sequence[Resource],
        *,
        namespaces: Collection[str],
        interval_seconds: float,
        monotonic: Monotonic,
        rng: Callable[[], float] = random.random,
        backoff: Backoff | None = None,
    ) -> None:
        self._api = api
        self._store = store
        self._scopes = [(resource, namespace) for resource in resources for namespace in namespaces or (None,)]
        self._interval_seconds = interval_seconds
        self._monotonic = monotonic
        self._rng = rng
        self._backoff = backoff or Backoff()
        self._listed: set[tuple[Resource, str | None]] = set()
        self._complaints: dict[tuple[Resource, str | None], str] = {}
        self._soon = asyncio.Event()
        self._log = structlog.get_logger(__name__)
        self.synced = asyncio.Event()
        self.completed_at: float | None = None
        self._began: dict[tuple[Resource, str | None], float] = {}

    def listed_from(self, kinds: Collection[str]) -> float | None:
        """When the oldest of the newest listings of these kinds began; None before there is one of each.

        Args:
            kinds: Others may fail for as long as they like.
        """
        scopes = [scope for scope in self._scopes if scope[0].kind in kinds]
        return min((self._began[scope] for scope in scopes), default=None) if self._began.keys() >= {*scopes} else None

    def soon(self, seconds: float) -> None:
        """Have a round in so many seconds, unless one comes earlier. Needs a running event loop."""
        asyncio.get_running_loop().call_later(seconds, self._soon.set)

    async def run(self) -> None:
        """Round after round, until cancelled."""
        failures = 0
        while True:
            failures = 0 if await self._round() else failures + 1
            await self._pause(failures)

    async def _pause(self, failures: int) -> None:
        chance = self._rng()
        if failures:  # whoever wants one soon, wants one that succeeds
            await asyncio.sleep(self._backoff.seconds(failures, chance))
        else:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._soon.wait(), self._interval_seconds * (1.0 - SPREAD * chance))
        self._soon.clear()

    async def _round(self) -> bool:
        well = [await self._attempt(resource, namespace) for resource, namespace in self._scopes]
        if all(well):
            self.completed_at = self._monotonic()
        if len(self._listed) == len(self._scopes):
            self.synced.set()
        return all(well)

    async def _attempt(self, resource: Resource, namespace: str | None) -> bool:
        scope, began = (resource, namespace), self._monotonic()
        try:
            repaired = await self._list(resource, namespace)
        except KubeError as fault:
            self._failed(scope, fault)
            return False
        if repaired and scope in self._listed:
            self._log.info("resync_repaired", kind=resource.kind, namespace=namespace, objects=repaired)
        self._listed.add(scope)
        self._began[scope] = began
        self._complaints.pop(scope, None)
        return True

    async def _list(self, resource: Resource, namespace: str | None) -> int:
        """Returns how many objects were not stored as they are.

        Once everything was read, names and versions tell what has to be read anew: as a rule nothing.
        """
        if (resource, namespace) in self._listed:
            repaired = await self._compare(resource, namespace)
            if repaired is not None:
                return repaired
        listed, repaired, version = set[ObjectKey](), 0, 0
        async for page in self._api.list_pages(resource, namespace):
            version = page.resource_version
            for obj in page.objects:
                listed.add(key_of(resource.kind, obj))
                repaired += self._store.apply(resource.kind, obj, relisted=True) is not None
        ghosts = self._store.retain(resource.kind, listed, resource_version=version, namespace=namespace)
        return repaired + len(ghosts)

    async def _compare(self, resource: Resource, namespace: str | None) -> int | None:
        """Lists metadata, and reads what is news; None when that is too much to be read one by one."""
        listed, news, version = set[ObjectKey](), list[ObjectKey](), 0
        async for page in self._api.list_pages(resource, namespace, metadata_only=True):
            version = page.resource_version
            for obj in page.objects:
                listed.add(key := key_of(resource.kind, obj))
                if self._store.is_news(resource.kind, obj):
                    news.append(key)
            if len(news) > SINGLE_READS:
                return None
        repaired = [await self._read(resource, key) for key in news]
        # Afterwards: what is not stored by then, and no newer than the listing, would be taken for deleted.
        ghosts = self._store.retain(resource.kind, listed, resource_version=version, namespace=namespace)
        return sum(repaired) + len(ghosts)

    async def _read(self, resource: Resource, key: ObjectKey) -> bool:
        obj = await self._api.get_object(resource, key.namespace or None, key.name)
        return obj is not None and self._store.apply(resource.kind, obj, relisted=True) is not None

    def _failed(self, scope: tuple[Resource, str | None], fault: KubeError) -> None:
        if self._complaints.get(scope) != str(fault):
            self._complaints[scope] = str(fault)
            self._log.error("listing_failed", kind=scope[0].kind, namespace=scope[1], **described(fault))
