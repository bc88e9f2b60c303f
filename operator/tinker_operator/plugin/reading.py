"""Looks at cluster and service with the rights of the person who asks, and writes nothing anywhere.

A plan needs what the operator looks at: all TrainingRuns and policies, and what the service lists for those that are
governed. Who may read one namespace only gets a plan without the references from others, and is told so.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from tinker_operator.api.checkpoint_policy import CheckpointPolicy
from tinker_operator.api.reasons import Reason
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.controllers.accounts import OWN_ACCOUNT, Account, Credentials, Keyring, connect
from tinker_operator.controllers.objects import (
    CHECKPOINT_POLICIES,
    TRAINING_RUNS,
    account_of,
    checkpoint_policies,
    training_runs,
    unparsed,
)
from tinker_operator.controllers.observer import remote_answer
from tinker_operator.controllers.translate import fault_of, observed_run
from tinker_operator.core.inventory import Inventory, next_inventory
from tinker_operator.core.policy_references import followed_runs, run_key
from tinker_operator.core.policy_seen import governs
from tinker_operator.core.world import CheckpointsOf, Fault, RunView
from tinker_operator.engine.kube import KubeApi
from tinker_operator.engine.kube_errors import KubeForbidden
from tinker_operator.engine.store import Store
from tinker_operator.plugin.snapshot import RunKey, Sight, Snapshot
from tinker_operator.tinker.client import TinkerClient
from tinker_operator.tinker.errors import TinkerError

LISTINGS_AT_ONCE = 8
_NO_KEY = Fault(
    Reason.NO_CREDENTIALS,
    "The operator lists it with a key that you may not read. Set TINKER_API_KEY to a key of the same owner.",
    needs_user=True,
)


@dataclass(frozen=True, slots=True)
class Access:
    """How the services are reached.

    Attributes:
        own: The key of the person who asks, used where a TrainingRun's Secret may not be read.
        default_url: Base URL for Secrets that name none.
        allowed_urls: Base URLs that a Secret may name.
    """

    own: Credentials | None
    default_url: str
    allowed_urls: frozenset[str]


@dataclass(slots=True)
class _Service:
    """One connection and what it says of the runs."""

    client: TinkerClient | Fault
    inventory: Inventory = field(default_factory=Inventory)

    def view(self, run_id: str) -> RunView:
        return self.client if isinstance(self.client, Fault) else self.inventory.view(run_id)


async def read_cluster(api: KubeApi, namespace: str) -> tuple[Store, bool]:
    """Returns all TrainingRuns and policies, and whether they are those of the whole cluster.

    Args:
        api: The API server.
        namespace: What is read where the whole may not be.

    Raises:
        KubeError: Not even the namespace could be read.
    """
    try:
        return await _objects(api, None), True
    except KubeForbidden:
        return await _objects(api, namespace), False


async def _objects(api: KubeApi, namespace: str | None) -> Store:
    store = Store()
    for resource in (TRAINING_RUNS, CHECKPOINT_POLICIES):
        async for obj in api.list_objects(resource, namespace):
            store.apply(resource.kind, obj)
    return store


async def look(
    api: KubeApi,
    store: Store,
    asked: Iterable[CheckpointPolicy],
    access: Access,
    clock: Callable[[], datetime],
    *,
    whole: bool,
) -> Snapshot:
    """Returns the snapshot that plans of these policies need.

    Args:
        api: The API server, for Secrets.
        store: What `read_cluster` read.
        asked: The policies to plan for.
        access: How the services are reached.
        clock: Wall clock, timezone-aware.
        whole: Whether the store is of the whole cluster.
    """
    runs, wanted = tuple(training_runs(store)), tuple(asked)
    governed = [run for run in runs if any(governs(policy, run) for policy in wanted)]
    services = await _services(api, governed, access, clock)
    try:
        sights = await _sights(governed, services)
    finally:
        for service in services.values():
            if isinstance(service.client, TinkerClient):
                await service.client.close()
    broken = unparsed(store)
    if broken is not None:
        sights = {key: dict.fromkeys(its, Sight(broken)) for key, its in sights.items()}
    return Snapshot(clock(), whole, runs, tuple(checkpoint_policies(store)), sights)


async def _services(
    api: KubeApi, runs: Iterable[TrainingRun], access: Access, clock: Callable[[], datetime]
) -> Mapping[Account, _Service]:
    watched: dict[Account, list[str]] = {}
    for run in runs:
        watched.setdefault(account_of(run), []).extend(followed_runs(run))
    keyring = Keyring(api, access.own, access.default_url, access.allowed_urls)
    return {account: await _looked_at(api, keyring, account, ids, clock) for account, ids in watched.items()}


async def _looked_at(
    api: KubeApi, keyring: Keyring, account: Account, watched: Iterable[str], clock: Callable[[], datetime]
) -> _Service:
    credentials = await credentials_of(api, keyring, account)
    client = credentials if isinstance(credentials, Fault) else connect(credentials, account)
    if isinstance(client, Fault):
        return _Service(client)
    try:
        listing = [observed_run(run) for run in await client.training_runs()]
    except TinkerError as error:
        await client.close()
        return _Service(fault_of(error))
    return _Service(client, next_inventory(Inventory(), listing, watched=watched, now=clock()))


async def credentials_of(api: KubeApi, keyring: Keyring, account: Account) -> Credentials | Fault:
    """Returns whose key is used: one's own stands in for a Secret that may not be read, not for one that is wrong."""
    if account != OWN_ACCOUNT:
        try:
            await api.get_secret(account.namespace, account.secret)
        except KubeForbidden:
            return keyring.own or _NO_KEY
    elif keyring.own is None:
        return _NO_KEY
    return await keyring.credentials(account)


async def _sights(runs: Iterable[TrainingRun], services: Mapping[Account, _Service]) -> dict[RunKey, dict[str, Sight]]:
    slots = asyncio.Semaphore(LISTINGS_AT_ONCE)

    async def sight(run: TrainingRun, run_id: str) -> tuple[RunKey, str, Sight]:
        service = services[account_of(run)]
        if isinstance(service.client, Fault):
            return run_key(run), run_id, Sight(service.client, service.client)
        async with slots:
            listing = await remote_answer(CheckpointsOf(run_id), service.client)
        return run_key(run), run_id, Sight(service.view(run_id), listing)

    found = await asyncio.gather(*(sight(run, run_id) for run in runs for run_id in followed_runs(run)))
    sights: dict[RunKey, dict[str, Sight]] = {}
    for key, run_id, one in found:
        sights.setdefault(key, {})[run_id] = one
    return sights
