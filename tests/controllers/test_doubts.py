"""What one failed look changes for those who look, and for policies: the pace, and what may be deleted."""

from types import SimpleNamespace
from typing import Any

import pytest
from tests.core.builders import FIRST, START, training_run

from tinker_operator.api.reasons import Reason
from tinker_operator.api.run_status import TrainingRunStatus
from tinker_operator.controllers import checkpoint_policy, poller
from tinker_operator.controllers.accounts import Account
from tinker_operator.core.inventory import Inventory, failed_inventory, next_inventory
from tinker_operator.core.world import Fault, ObservedRun
from tinker_operator.engine.store import Store

pytestmark = pytest.mark.pure

ACCOUNT = Account("team", "tinker")


def doubted(reason: Reason) -> Inventory:
    """What is known after a look that failed in some way, and one before it that did not."""
    run = ObservedRun(FIRST, "model", is_lora=True, lora_rank=8, corrupted=False)
    well = next_inventory(Inventory(), [run], watched=[FIRST], now=START)
    return failed_inventory(well, Fault(reason, "It failed."), now=START)


@pytest.mark.parametrize(
    ("reason", "seconds"),
    [(Reason.SERVICE_UNREACHABLE, poller.DOUBT_SECONDS), (Reason.RATE_LIMITED, poller.FAULT_SECONDS)],
    ids=["it is looked again soon", "who was asked to wait waits"],
)
def test_how_soon_a_doubt_is_settled(reason: Reason, seconds: float) -> None:
    services: Any = SimpleNamespace(of=lambda _account: None)
    queue: Any = None
    looking = poller.Poller(services, Store(), queue, cluster_id="c", rng=lambda: 0.0, shortest_interval=1.0)

    assert looking._patience(ACCOUNT, doubted(reason)) == seconds


def test_for_a_policy_a_doubt_is_no_news_and_nothing_to_act_on() -> None:
    """What was told stands, which a fault of another reason would not leave; and no run can be seen."""
    inventory = doubted(Reason.SERVICE_UNREACHABLE)
    shell: Any = SimpleNamespace(services=SimpleNamespace(inventory_of=lambda _account: inventory))
    run = training_run(status=TrainingRunStatus(training_run_id=FIRST))

    governed = checkpoint_policy._governed(shell, run, {}, None)

    assert {view.reason for view in governed.views.values() if isinstance(view, Fault)} == {Reason.OBSERVING}
    assert all(isinstance(view, Fault) for view in governed.views.values())
