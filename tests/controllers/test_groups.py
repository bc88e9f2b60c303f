"""What objects share that can be slow, and how a round that was held back says when to come back."""

from collections.abc import Hashable
from typing import Any, cast

import pytest

from tinker_operator.api.reasons import Reason
from tinker_operator.controllers.accounts import Account
from tinker_operator.controllers.groups import group_of
from tinker_operator.controllers.held_up import HeldUp, settled
from tinker_operator.controllers.objects import CHECKPOINT_POLICIES, TRAINING_RUNS
from tinker_operator.core.run_status import Requeue
from tinker_operator.core.world import Fault
from tinker_operator.engine.keys import ObjectKey
from tinker_operator.engine.store import Store

pytestmark = pytest.mark.pure


class Connections:
    """Accounts `one` and `two` have the same key."""

    def shared_by(self, account: Account) -> Hashable:
        return "shared" if account.secret in {"one", "two"} else account


def group(store: Store, kind: str, name: str, namespace: str = "team") -> Hashable:
    return group_of(store, cast("Any", Connections()), ObjectKey(kind, namespace, name))


@pytest.fixture
def store() -> Store:
    """A TrainingRun for each account."""
    made = Store()
    for secret in ("one", "two", "three"):
        spec = {"run": {"trainingRunId": "run"}, "credentialsRef": {"name": secret}}
        metadata = {"name": secret, "namespace": "team", "uid": secret, "generation": 1, "resourceVersion": "1"}
        made.apply(TRAINING_RUNS.kind, {"metadata": metadata, "spec": spec})
    return made


def test_runs_behind_one_connection_are_one_group_whatever_their_secrets_are_called(store: Store) -> None:
    one, two, three = (group(store, TRAINING_RUNS.kind, name) for name in ("one", "two", "three"))
    assert one == two != three


def test_asking_again_parses_nothing_and_keeps_nothing_more(store: Store) -> None:
    """The queue asks at every turn of every object."""
    group(store, TRAINING_RUNS.kind, "one")
    before = {derive: dict(made) for derive, made in store._derived.items()}
    for _ in range(3):
        group(store, TRAINING_RUNS.kind, "one")

    assert {derive: dict(made) for derive, made in store._derived.items()} == before


def test_policies_are_grouped_apart_and_by_namespace(store: Store) -> None:
    """A policy may govern runs behind many connections."""
    policies = {group(store, CHECKPOINT_POLICIES.kind, name) for name in ("a", "b")}
    assert len(policies) == 1
    assert group(store, CHECKPOINT_POLICIES.kind, "a", "other") not in policies
    assert group(store, TRAINING_RUNS.kind, "one") not in policies


def test_a_run_that_is_gone_shares_its_namespace(store: Store) -> None:
    assert group(store, TRAINING_RUNS.kind, "gone") == group(store, TRAINING_RUNS.kind, "gone too")


def test_a_round_that_was_held_back_says_when_to_come_back() -> None:
    with pytest.raises(HeldUp) as held:
        settled(Requeue(backed_off=True), Fault(Reason.RATE_LIMITED, "Later. Wait.", retry_after=7.0))
    assert held.value.retry_after == 7.0


def test_when_to_come_back_is_no_news() -> None:
    """It moves all the time: status and wakes must not follow it."""
    assert Fault(Reason.RATE_LIMITED, "Later.", retry_after=7.0) == Fault(Reason.RATE_LIMITED, "Later.")
