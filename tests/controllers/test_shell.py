"""What a new object may be decided on: nothing that was looked up before it came."""

from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from tests.core.builders import FIRST, START, UNREACHABLE, training_run

from tinker_operator.api.run_status import TrainingRunStatus
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.controllers.accounts import Account
from tinker_operator.controllers.arrivals import Arrivals
from tinker_operator.controllers.objects import TRAINING_RUNS
from tinker_operator.controllers.services import Service
from tinker_operator.controllers.shell import Shell
from tinker_operator.core.inventory import Inventory
from tinker_operator.core.run_plan import SILENT_SECONDS
from tinker_operator.core.world import ObservedRun
from tinker_operator.engine.keys import ObjectKey
from tinker_operator.engine.store import Store

pytestmark = pytest.mark.pure

KNOWN = Inventory(runs={FIRST: ObservedRun(FIRST, "m")}, observed_at=START)


@dataclass
class Looked:
    """Services with one connection, whose newest look began at a time."""

    service: Service = field(default_factory=lambda: Service(cast("Any", None), KNOWN))

    def of(self, _account: Account) -> Service:
        return self.service

    def inventory_of(self, _account: Account) -> Inventory:
        return self.service.inventory


def shell_at(came: float, looked_from: float, inventory: Inventory = KNOWN) -> Shell:
    """Returns a shell whose object came, and whose service was looked at, at these times."""
    store = Store()
    arrivals = Arrivals(store, lambda: came)
    metadata = {"name": "sft", "namespace": "team", "uid": "uid-1", "resourceVersion": "1"}
    store.apply(TRAINING_RUNS.kind, {"metadata": metadata})
    services = Looked(Service(cast("Any", None), inventory, looked_from=looked_from))
    nothing = cast("Any", None)
    return Shell(
        store, nothing, cast("Any", services), nothing, nothing, arrivals, nothing, nothing, nothing, "test", nothing
    )


def bound() -> TrainingRun:
    """Returns an object that follows its run already."""
    return training_run(status=TrainingRunStatus(origin=FIRST, training_run_id=FIRST))


TABLE: dict[str, tuple[Shell, TrainingRun, bool]] = {
    "a look that began before the object came tells it nothing": (shell_at(10, 9), training_run(), False),
    "a look that began after it came tells all": (shell_at(10, 11), training_run(), True),
    "an object that is bound knows its run": (shell_at(10, 9), bound(), True),
    "trouble is told to a new object, too": (shell_at(10, 9, Inventory(fault=UNREACHABLE)), training_run(), True),
}


@pytest.mark.parametrize("name", TABLE)
def test_an_object_is_decided_on_what_was_seen_in_its_time(name: str) -> None:
    """Its predecessor of the same name may have made a run that an older look does not show."""
    shell, run, told = TABLE[name]

    assert (shell.inventory_of(run) != Inventory()) == told


@dataclass
class NotLooked:
    """Services of which the first look is still under way, or has told what is wrong; and who is asked for a look."""

    known: Any = None
    asked: list[Account] = field(default_factory=list)

    def of(self, _account: Account) -> Any:
        return self.known

    def soon(self, account: Account) -> None:
        self.asked.append(account)


WAITS: dict[str, tuple[float, Any, float]] = {
    "a new object waits for what is left of the fifteen seconds": (2.0, None, SILENT_SECONDS - 2.0),
    "after them it is told that nothing is known": (SILENT_SECONDS, None, 0.0),
    "a look that failed has said something": (2.0, UNREACHABLE, 0.0),
    "a look that succeeded, too": (2.0, Service(cast("Any", None), KNOWN), 0.0),
}


@pytest.mark.parametrize("name", WAITS)
def test_no_round_begins_before_the_first_look(name: str) -> None:
    """The look is asked for, and wakes the object; until then there is nothing that a round could say."""
    waited, known, expected = WAITS[name]
    now, services = [0.0], NotLooked(known)
    store, nothing = Store(), cast("Any", None)
    arrivals = Arrivals(store, lambda: now[0])
    metadata = {"name": "sft", "namespace": "team", "uid": "uid-1", "resourceVersion": "1", "generation": 1}
    store.apply(TRAINING_RUNS.kind, {"metadata": metadata, "spec": {"run": {"trainingRunId": FIRST}}})
    now[0] = waited
    rest = (nothing, arrivals, nothing, nothing, nothing, "test", nothing)
    shell = Shell(store, nothing, cast("Any", services), cast("Any", services), *rest)

    assert shell.first_look_in(ObjectKey(TRAINING_RUNS.kind, "team", "sft")) == expected
    assert len(services.asked) == (expected > 0)


def test_what_does_not_parse_is_told_so_at_once() -> None:
    """It names no service to wait for."""
    store, nothing, services = Store(), cast("Any", None), NotLooked()
    store.apply(
        TRAINING_RUNS.kind, {"metadata": {"name": "sft", "namespace": "team", "uid": "u", "resourceVersion": "1"}}
    )
    rest = (nothing, Arrivals(store, lambda: 0.0), nothing, nothing, nothing, "test", nothing)
    shell = Shell(store, nothing, cast("Any", services), cast("Any", services), *rest)

    assert shell.first_look_in(ObjectKey(TRAINING_RUNS.kind, "team", "sft")) == 0.0


def test_a_policy_waits_for_no_look() -> None:
    """It is about many services, and says of each what is missing."""
    nothing = cast("Any", None)
    shell = Shell(Store(), *(nothing,) * 8, "test", nothing)

    assert shell.first_look_in(ObjectKey("CheckpointPolicy", "team", "sft")) == 0.0
