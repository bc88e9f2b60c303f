"""An operator that starts has looked at nothing yet: what it told before stands until it has."""

import pytest
from tests.core.builders import Playing, playing, training_run

from tinker_operator.api.meta import ConditionStatus
from tinker_operator.api.reasons import ConditionType, Reason
from tinker_operator.core.conditions import find_condition
from tinker_operator.core.inventory import Inventory
from tinker_operator.core.world import Fault

pytestmark = pytest.mark.pure

DOWN = Fault(Reason.SERVER_FAULT, "The service answers 500.")


def ready(game: Playing) -> tuple[ConditionStatus, str]:
    """Returns status and reason of Ready."""
    found = find_condition(game.run.status.conditions, ConditionType.READY)
    assert found is not None
    return found.status, found.reason


def restarted(game: Playing) -> Playing:
    """Forgets what was observed, as an operator that starts has."""
    game.inventory = Inventory()
    return game


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({}, id="a healthy run"),
        pytest.param({"suspend": True}, id="a suspended run"),
        pytest.param({"managementPolicy": "ObserveOnly"}, id="a run that is only observed"),
    ],
)
def test_before_the_first_look_nothing_is_written(spec: dict[str, object]) -> None:
    game = restarted(playing(training_run(spec)))
    before = game.run.status

    assert not game.round()
    assert game.run.status == before


def test_a_first_look_that_fails_leaves_a_healthy_run_ready_for_three_polls() -> None:
    """As in the midst of its life: Synced tells at once, Ready when three poll intervals are over."""
    game = restarted(playing())
    polls = game.run.spec.poll_interval_seconds
    game.service.down = DOWN
    game.look()
    game.round()
    synced = find_condition(game.run.status.conditions, ConditionType.SYNCED)
    assert synced is not None
    assert (synced.status, synced.reason) == (ConditionStatus.FALSE, Reason.SERVER_FAULT)
    assert ready(game) == (ConditionStatus.TRUE, Reason.LIVE)

    game.settle(3 * polls - 1)
    assert ready(game) == (ConditionStatus.TRUE, Reason.LIVE)
    game.settle(1)
    assert ready(game) == (ConditionStatus.FALSE, Reason.SERVER_FAULT)


def test_a_key_that_cannot_be_read_at_first_leaves_a_healthy_run_ready_too() -> None:
    """The API server did not answer once, for the Secret."""
    game = restarted(playing())
    unread = Fault(Reason.KUBERNETES_FAULT, "The API server did not answer.")
    game.inventory = Inventory(fault=unread, failing_since=game.now)
    game.round()

    assert ready(game) == (ConditionStatus.TRUE, Reason.LIVE)


def test_an_object_that_was_edited_meanwhile_is_observed_anew() -> None:
    """What was told of another generation says nothing of this one."""
    game = restarted(playing())
    metadata = game.run.metadata.model_copy(update={"generation": game.run.metadata.generation + 1})
    game.run = game.run.model_copy(update={"metadata": metadata})
    game.round()

    assert ready(game) == (ConditionStatus.FALSE, Reason.OBSERVING)


def test_a_word_of_another_release_is_not_repeated() -> None:
    """It would be no legal status of this one."""
    game = restarted(playing())
    status = game.run.status
    strange = tuple(it.model_copy(update={"reason": "FromTheFuture"}) for it in status.conditions)
    game.run = game.run.model_copy(update={"status": status.model_copy(update={"conditions": strange})})
    game.round()

    assert ready(game) == (ConditionStatus.FALSE, Reason.OBSERVING)
