"""Leader election in a `Lease` object: carries out what `Candidacy` decides. Used by the engine.

A Lease never fences by itself: a leader that was frozen may finish a request after another took over. What is not
idempotent must carry its own key; the engine's part is to stop everything in time.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

import structlog

from tinker_operator.engine.keys import KubeObject, Monotonic, ObjectKey, Resource
from tinker_operator.engine.kube_errors import KubeError, WriteConflict
from tinker_operator.engine.lease import Candidacy, LeaseRecord, LeaseTimings
from tinker_operator.engine.objects import ObjectApi
from tinker_operator.engine.timestamps import micro_time, moment_of

LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease")

ATTEMPTS_PER_DEADLINE = 2
"""An attempt that hangs is given up early enough that another fits before the deadline."""


class LeadershipLost(Exception):
    """Another replica leads, or may lead. Nothing may be written any more.

    Attributes:
        remedy: Present because the words are ours, and so may be logged.
    """

    remedy = ""


class LeaseStorage(Protocol):
    """Where the record is kept; a write is a compare-and-swap."""

    async def read(self) -> LeaseRecord | None:
        """The record as stored, or None."""

    async def write(self, record: LeaseRecord) -> LeaseRecord:
        """Store it in place of the version it names, or as the first; return it as stored.

        Raises:
            WriteConflict: Another version is stored.
        """


class KubeLease:
    """The record in a Lease object of Kubernetes.

    Args:
        api: The API server.
        namespace: Where the Lease is.
        name: What it is called.
    """

    def __init__(self, api: ObjectApi, namespace: str, name: str) -> None:
        self._api = api
        self._key = ObjectKey(LEASES.kind, namespace, name)

    async def read(self) -> LeaseRecord | None:
        """The record as stored, or None when there is no Lease."""
        lease = await self._api.get_object(LEASES, self._key.namespace, self._key.name)
        return None if lease is None else _record(lease)

    async def write(self, record: LeaseRecord) -> LeaseRecord:
        """Create the Lease, or replace the version that the record names.

        Raises:
            WriteConflict: There is another version.
            KubeError: As for any request.
        """
        lease = _lease(self._key, record)
        if record.resource_version:
            return _record(await self._api.replace(LEASES, self._key, lease))
        return _record(await self._api.create(LEASES, self._key.namespace, lease))


class Elector:
    """One replica's part in the election.

    Args:
        storage: Where the record is.
        identity: Unique to this process.
        timings: How patient it is.
        monotonic: Clock of the decisions, in seconds; the one that the event loop's timers follow.
        clock: Aware wall-clock time, written for people.
        kind: The rules: those of one holder, or those of a group that holds together.
    """

    def __init__(
        self,
        storage: LeaseStorage,
        identity: str,
        *,
        timings: LeaseTimings,
        monotonic: Monotonic,
        clock: Callable[[], datetime],
        kind: type[Candidacy] = Candidacy,
    ) -> None:
        self._storage = storage
        self._candidacy = kind(identity, timings)
        self._timings = timings
        self._monotonic = monotonic
        self._clock = clock
        self._log = structlog.get_logger(__name__).bind(identity=identity)
        self._complaint = ""
        self.resigned = False

    def leads(self) -> bool:
        """Whether this replica leads at this moment."""
        return self._candidacy.leads(self._monotonic())

    async def acquire(self) -> None:
        """Wait until this replica leads. Whatever is wrong with the API server is waited out, and logged."""
        while not self.leads():
            await self._attempt()
            if not self.leads():
                await asyncio.sleep(self._timings.retry_seconds)
        self._log.info("lease_acquired")

    async def hold(self) -> None:
        """Keep renewing. Network errors are borne until the deadline.

        Raises:
            LeadershipLost: Always, in the end.
        """
        while self.leads():
            await asyncio.sleep(min(self._timings.retry_seconds, self._left()))
            if self.leads():
                await self._attempt()
        self._log.error("lease_lost")
        raise LeadershipLost("another replica leads, or the lease could not be renewed in time")

    async def release(self) -> None:
        """Stop leading, and tell the others so that they need not wait. Failing to tell is logged, not raised."""
        record = self._candidacy.resign(self._clock())
        if record is None:
            return
        self.resigned = True
        try:
            async with asyncio.timeout(self._timings.retry_seconds):
                await self._storage.write(record)
        except (KubeError, TimeoutError) as fault:
            self._log.warning("lease_not_released", error=str(fault))
        else:
            self._log.info("lease_released")

    async def _attempt(self) -> None:
        try:
            async with asyncio.timeout(self._attempt_seconds()):
                await self._bid()
        except WriteConflict:
            await self._look()
        except (KubeError, TimeoutError) as fault:
            self._complain(str(fault) or "the API server did not answer in time")

    async def _bid(self) -> None:
        if self._candidacy.looks_first or not self.leads():
            await self._read()
        asked_at = self._monotonic()
        record = self._candidacy.bid(asked_at, self._clock())
        if record is not None:
            self._candidacy.won(await self._storage.write(record), asked_at)
        self._complaint = ""

    async def _look(self) -> None:
        """Somebody else wrote: see who, so that a leader that lost stops now and not at its deadline."""
        try:
            async with asyncio.timeout(self._attempt_seconds()):
                await self._read()
        except (KubeError, TimeoutError) as fault:
            self._complain(str(fault) or "the API server did not answer in time")

    async def _read(self) -> None:
        asked_at = self._monotonic()
        self._candidacy.observe(await self._storage.read(), self._monotonic(), asked_at)

    def _complain(self, complaint: str) -> None:
        if complaint != self._complaint:
            self._complaint = complaint
            self._log.warning("lease_attempt_failed", error=complaint)

    def _left(self) -> float:
        return self._candidacy.seconds_left(self._monotonic())

    def _attempt_seconds(self) -> float:
        patience = self._timings.deadline_seconds / ATTEMPTS_PER_DEADLINE
        return min(patience, self._left()) if self.leads() else patience


def _record(lease: KubeObject) -> LeaseRecord:
    spec = lease.get("spec") or {}
    return LeaseRecord(
        holder=spec.get("holderIdentity") or "",
        duration_seconds=int(spec.get("leaseDurationSeconds") or 0),
        transitions=int(spec.get("leaseTransitions") or 0),
        acquired_at=moment_of(spec.get("acquireTime")),
        renewed_at=moment_of(spec.get("renewTime")),
        resource_version=lease["metadata"]["resourceVersion"],
    )


def _lease(key: ObjectKey, record: LeaseRecord) -> KubeObject:
    version = {"resourceVersion": record.resource_version} if record.resource_version else {}
    return {
        "apiVersion": LEASES.api_version,
        "kind": LEASES.kind,
        "metadata": {"name": key.name, "namespace": key.namespace, **version},
        "spec": {
            "holderIdentity": record.holder,
            "leaseDurationSeconds": record.duration_seconds,
            "leaseTransitions": record.transitions,
            **({"acquireTime": micro_time(record.acquired_at)} if record.acquired_at else {}),
            **({"renewTime": micro_time(record.renewed_at)} if record.renewed_at else {}),
        },
    }
