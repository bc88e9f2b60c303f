"""A shard works on its own, looks at what its policies govern, and waits for what others wrote before it acts."""

from collections.abc import Callable
from typing import Any

import pytest

from tinker_operator.api.training_run import TrainingRun
from tinker_operator.cli.settings import InvalidSettings, Settings
from tinker_operator.controllers.accounts import Account
from tinker_operator.controllers.held_up import HeldUp
from tinker_operator.controllers.objects import CHECKPOINT_POLICIES, TRAINING_RUNS, key_of_run, parsed
from tinker_operator.controllers.sharding import Neighbours, Ownership
from tinker_operator.controllers.views import Views
from tinker_operator.core.inventory import Inventory
from tinker_operator.core.shards import WHOLE, Shard, shard_of
from tinker_operator.engine.keys import KubeObject, ObjectKey
from tinker_operator.engine.own_queue import OwnQueue
from tinker_operator.engine.store import Store
from tinker_operator.engine.workqueue import Priority

pytestmark = pytest.mark.pure
TEAM = "team"


def named(shard: int, count: int = 2, prefix: str = "run") -> str:
    """Returns a name in a shard."""
    return next(name for name in (f"{prefix}-{n}" for n in range(99)) if shard_of(TEAM, name, count) == shard)


MINE, THEIRS = named(0), named(1)
KEEP_MINE, KEEP_THEIRS = named(0, prefix="keep"), named(1, prefix="keep")


class Cluster:
    """A store, and the versions of what is in it."""

    def __init__(self) -> None:
        self.store, self.version = Store(), 0

    def put(self, kind: str, name: str, namespace: str = TEAM, **parts: Any) -> ObjectKey:
        self.version += 1
        metadata: dict[str, Any] = {"namespace": namespace, "name": name, "uid": f"{kind}-{name}"}
        metadata |= {"resourceVersion": str(self.version)}
        metadata |= parts.pop("metadata", {})
        run, policy = {"run": {"trainingRunId": "r"}}, {"selector": {"matchLabels": dict[str, str]()}}
        spec: dict[str, Any] = {**run} if kind == TRAINING_RUNS.kind else {**policy}
        obj: KubeObject = {"kind": kind, "metadata": metadata, "spec": spec | parts.pop("spec", {}), **parts}
        self.store.apply(kind, obj)
        return ObjectKey(kind, namespace, name)

    def run(self, name: str, **parts: Any) -> TrainingRun:
        found = parsed(TrainingRun, self.store.get(self.put(TRAINING_RUNS.kind, name, **parts)))
        assert found is not None
        return found


async def test_a_queue_takes_the_keys_of_its_shard_alone() -> None:
    """Whatever the way they come by."""
    queue = OwnQueue(lambda: 0.0, owns=lambda key: Shard(0, 2).owns(key.namespace, key.name))
    mine, theirs = (ObjectKey(TRAINING_RUNS.kind, TEAM, name) for name in (MINE, THEIRS))
    for key in (theirs, mine, theirs):
        queue.add(key, Priority.REMOTE)
        queue.add_after(key, 0.0)

    assert len(queue) == 1
    assert await queue.get() == mine


def test_a_shard_looks_at_its_own_runs_and_at_those_that_its_policies_may_govern() -> None:
    cluster = Cluster()
    ownership = Ownership(Shard(0, 2), cluster.store)
    made = cluster.run(MINE), cluster.run(THEIRS), cluster.run(THEIRS, namespace="other-1")
    mine, theirs, elsewhere = map(key_of_run, made)

    assert [ownership.concerns(one) for one in (mine, theirs)] == [True, False]
    cluster.put(CHECKPOINT_POLICIES.kind, KEEP_THEIRS)
    assert not ownership.concerns(theirs), "that policy is another shard's"
    cluster.put(CHECKPOINT_POLICIES.kind, KEEP_MINE)
    assert ownership.concerns(theirs)
    gone = cluster.store.get(ObjectKey(CHECKPOINT_POLICIES.kind, TEAM, KEEP_MINE))
    assert gone is not None
    cluster.store.discard(CHECKPOINT_POLICIES.kind, gone)
    assert not ownership.concerns(theirs), "the policy is gone"
    assert ownership.concerns(elsewhere) == Shard(0, 2).owns("other-1", THEIRS)


class Asked:
    """Services that know nothing, and a poller that notes whom it was asked to look at."""

    def __init__(self) -> None:
        self.accounts: list[Account] = []
        self.known = Inventory()

    def of(self, account: Account) -> object:
        return account if account in self.accounts else None

    def inventory_of(self, _account: Account) -> Inventory:
        return self.known

    def soon(self, account: Account) -> None:
        self.accounts.append(account)


@pytest.mark.parametrize("policy_first", [True, False], ids=["the policy first", "the run first"])
def test_a_run_of_another_shard_is_looked_at_for_the_sake_of_a_policy(policy_first: bool) -> None:
    """Whichever of the two comes first, and only once there is both."""
    cluster, asked = Cluster(), Asked()
    Neighbours(Ownership(Shard(0, 2), cluster.store), cluster.store, asked, asked)  # type: ignore[arg-type]
    secret = {"credentialsRef": {"name": "key"}}
    steps: list[Callable[[], ObjectKey]] = [
        lambda: cluster.put(CHECKPOINT_POLICIES.kind, KEEP_MINE),
        lambda: cluster.put(TRAINING_RUNS.kind, THEIRS, spec=secret),
    ]
    first, second = steps if policy_first else reversed(steps)
    first()
    assert asked.accounts == []
    second()

    assert asked.accounts == [Account(TEAM, "key")]


class Listings:
    """Listings, by hand."""

    def __init__(self, cluster: Cluster) -> None:
        self.now, self.asked = 10.0, 0
        self.began_at: float | None = None
        self.views = Views(cluster.store, lambda: self.now, listed_from=lambda: self.began_at, list_soon=self.soon)

    def soon(self) -> None:
        self.asked += 1

    def goes_on(self, key: ObjectKey) -> bool:
        try:
            self.views.await_others(key)
        except HeldUp:
            return False
        return True


IN_FLIGHT = {"trainingRunId": "r", "recovery": {"inFlight": {"attempt": 1}}}
ACTS = [
    pytest.param(TRAINING_RUNS.kind, {"status": IN_FLIGHT}, id="an attempt is under way"),
    pytest.param(TRAINING_RUNS.kind, {"metadata": {"deletionTimestamp": "now"}}, id="a TrainingRun goes"),
    pytest.param(CHECKPOINT_POLICIES.kind, {"status": {"deleting": [{"path": "p"}]}}, id="a deletion is announced"),
]


@pytest.mark.parametrize(("kind", "parts"), ACTS)
def test_before_it_acts_a_shard_awaits_a_listing_that_began_after_its_claim(kind: str, parts: dict[str, Any]) -> None:
    cluster = Cluster()
    listings = Listings(cluster)
    key = cluster.put(kind, MINE, **parts)
    assert not listings.goes_on(key), "there was no listing yet"
    for began_at, goes_on in ((9.0, False), (10.0, False), (10.5, True)):
        listings.began_at = began_at
        assert listings.goes_on(key) == goes_on

    assert listings.asked == 3


@pytest.mark.parametrize(("kind", "parts"), ACTS)
def test_a_new_claim_needs_a_new_listing_and_progress_does_not(kind: str, parts: dict[str, Any]) -> None:
    cluster = Cluster()
    listings = Listings(cluster)
    key = cluster.put(kind, MINE, **parts)
    listings.now, listings.began_at = 20.0, 11.0
    cluster.put(kind, MINE, **{**parts, "status": {**parts.get("status", {}), "observedGeneration": 1}})
    assert listings.goes_on(key)

    changed = {**IN_FLIGHT, "trainingRunId": "r2", "deleting": [{"path": "q"}]}
    cluster.put(kind, MINE, **{**parts, "status": changed})
    assert not listings.goes_on(key)
    listings.began_at = 20.1
    assert listings.goes_on(key)


@pytest.mark.parametrize("kind", [TRAINING_RUNS.kind, CHECKPOINT_POLICIES.kind])
def test_what_only_watches_awaits_nothing(kind: str) -> None:
    cluster = Cluster()
    listings = Listings(cluster)

    assert listings.goes_on(cluster.put(kind, MINE))
    assert listings.goes_on(ObjectKey(kind, TEAM, "gone"))
    assert listings.asked == 0


def read(shard: str | None, lease_namespace: str | None, pod: str = "") -> Shard:
    settings = Settings.read(
        {"POD_NAME": pod},
        kubeconfig=None,
        namespaces=(),
        cluster_id=None,
        allowed_urls=(),
        lease_namespace=lease_namespace,
        shard=shard,
    )
    return settings.deployment().shard


def test_a_shard_is_set_by_number_or_by_pod() -> None:
    assert read(None, None) == WHOLE
    assert read("0/1", None) == WHOLE
    assert read("1/3", "ops") == Shard(1, 3)
    assert read("auto/3", "ops", "operator-5") == Shard(2, 3)


@pytest.mark.parametrize(
    ("shard", "lease_namespace", "told"),
    [
        pytest.param("3/3", "ops", "--shard '3/3': there is no shard", id="no such shard"),
        pytest.param("third", "ops", "--shard 'third': .* give 0/3", id="no shard at all"),
        pytest.param("auto/3", "ops", "POD_NAME", id="no pod"),
        pytest.param("1/3", None, "--lease-namespace", id="no election"),
    ],
)
def test_a_shard_that_cannot_be_is_refused_in_one_line(shard: str, lease_namespace: str | None, told: str) -> None:
    with pytest.raises(InvalidSettings, match=told) as error:
        read(shard, lease_namespace)

    assert "\n" not in str(error.value)
