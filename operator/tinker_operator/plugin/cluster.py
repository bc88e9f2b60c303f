"""One cluster as the person who asks may see it, and the services behind its objects.

Commands read through it, and through it alone change what an object asks for: the operator does the rest.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from tinker_operator.api.checkpoint_policy import CheckpointPolicy
from tinker_operator.api.meta import ApiModel
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.cli.settings import InvalidSettings
from tinker_operator.controllers.accounts import OWN_ACCOUNT, Account, Keyring, connect
from tinker_operator.controllers.objects import CHECKPOINT_POLICIES, TRAINING_RUNS, account_of, parsed
from tinker_operator.core.policy_references import followed_runs
from tinker_operator.core.world import Fault
from tinker_operator.engine.keys import ObjectKey, Resource, key_of
from tinker_operator.engine.kube import KubeApi
from tinker_operator.plugin.endings import Failed
from tinker_operator.plugin.place import Place
from tinker_operator.plugin.reading import credentials_of
from tinker_operator.tinker.client import TinkerClient

FIELD_MANAGER = "kubectl-tinker"
M = TypeVar("M", bound=ApiModel)


@dataclass(slots=True)
class Cluster:
    """An open connection to an API server.

    Attributes:
        api: The API server.
        place: Where is looked.
        unreadable: Objects of listings that do not parse, as kind, namespace and name; their controller tells why.
    """

    api: KubeApi
    place: Place
    unreadable: set[str] = field(default_factory=set)
    _clients: dict[Account, TinkerClient | Fault] = field(default_factory=dict)

    @classmethod
    @asynccontextmanager
    async def opened(cls, place: Place) -> AsyncIterator["Cluster"]:
        """Gives the connection, and closes it with all that was opened through it.

        Raises:
            CredentialsInvalid: The kubeconfig cannot be used.
        """
        async with await KubeApi.connect(place.kubeconfig, place.context) as api:
            cluster = cls(api, place)
            try:
                yield cluster
            finally:
                await cluster.close_clients()

    async def close_clients(self) -> None:
        """Closes the connections to services."""
        for client in self._clients.values():
            if isinstance(client, TinkerClient):
                await client.close()
        self._clients.clear()

    async def training_run(self, name: str) -> TrainingRun:
        """Returns the TrainingRun of this name.

        Raises:
            InvalidSettings: There is none.
            Failed: It does not parse.
            KubeError: The API server did not answer, or does not allow it.
        """
        return await self.one(TRAINING_RUNS, TrainingRun, name)

    async def one(self, resource: Resource, model: type[M], name: str) -> M:
        """Returns an object of the place's namespace.

        Raises:
            InvalidSettings: There is none of this name.
            Failed: It does not parse.
            KubeError: The API server did not answer, or does not allow it.
        """
        found = await self.api.get_object(resource, self.place.namespace, name)
        if found is None:
            where = f"in namespace {self.place.namespace}: kubectl get {resource.plural} -A lists those that there are"
            raise InvalidSettings(f"there is no {resource.kind} {name} {where}")
        one = parsed(model, found)
        if one is None:
            told = f"{key_of(resource.kind, found)} does not parse"
            raise Failed(f"{told}: apply crds/ of this version, and correct the object.")
        return one

    async def training_runs(self, namespace: str | None) -> tuple[TrainingRun, ...]:
        """Returns all TrainingRuns of a namespace, or of all, by namespace and name."""
        return await self._all(TRAINING_RUNS, TrainingRun, namespace)

    async def policies(self, namespace: str | None) -> tuple[CheckpointPolicy, ...]:
        """Returns all CheckpointPolicies of a namespace, or of all, by namespace and name."""
        return await self._all(CHECKPOINT_POLICIES, CheckpointPolicy, namespace)

    async def _all(self, resource: Resource, model: type[M], namespace: str | None) -> tuple[M, ...]:
        found = []
        async for it in self.api.list_objects(resource, namespace):
            one = parsed(model, it)
            if one is None:
                self.unreadable.add(str(key_of(resource.kind, it)))
            else:
                found.append((key_of(resource.kind, it), one))
        return tuple(one for _, one in sorted(found, key=lambda pair: pair[0]))

    async def follower_of(self, run_id: str) -> TrainingRun | None:
        """Returns the TrainingRun of the namespace that follows a run; the one that follows it now, before others."""
        runs = [run for run in await self.training_runs(self.place.namespace) if run_id in followed_runs(run)]
        return next((run for run in runs if run.status.training_run_id == run_id), next(iter(runs), None))

    async def client(self, run: TrainingRun | None) -> TinkerClient | Fault:
        """Returns the service of a TrainingRun under its key, or under one's own where there is none to be read.

        Args:
            run: The TrainingRun; None for one's own key.
        """
        account = OWN_ACCOUNT if run is None else account_of(run)
        if account not in self._clients:
            access = self.place.access
            keyring = Keyring(self.api, access.own, access.default_url, access.allowed_urls)
            credentials = await credentials_of(self.api, keyring, account)
            self._clients[account] = credentials if isinstance(credentials, Fault) else connect(credentials, account)
        return self._clients[account]

    async def service(self, run: TrainingRun | None) -> TinkerClient:
        """Returns the same, where nothing can be done without it.

        Raises:
            Failed: There is no key that can be used.
        """
        client = await self.client(run)
        if isinstance(client, Fault):
            raise Failed(client.message)
        return client

    async def changed(
        self, resource: Resource, one: TrainingRun | CheckpointPolicy, changes: Mapping[str, object], *, dry_run: bool
    ) -> None:
        """Changes what an object asks for, if it is still as it was seen.

        Args:
            resource: Its kind.
            one: The object, as it was seen.
            changes: A JSON merge patch.
            dry_run: Have it checked only.

        Raises:
            KubeError: The API server did not answer, does not allow it or does not accept it.
        """
        key = ObjectKey(resource.kind, one.metadata.namespace, one.metadata.name)
        version = one.metadata.resource_version
        await self.api.patch(resource, key, changes, version, manager=FIELD_MANAGER, dry_run=dry_run)
