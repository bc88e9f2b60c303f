"""One failed look is a doubt: it is told of when the next one fails too, and until then nothing rests on it."""

from datetime import timedelta

import pytest
from tests.core.builders import FIRST, START, UNREACHABLE, playing

from tinker_operator.api.meta import Condition, ConditionStatus
from tinker_operator.api.reasons import ConditionType, Reason
from tinker_operator.api.run_status import Creation
from tinker_operator.core import freshness, run_plan
from tinker_operator.core.conditions import find_condition
from tinker_operator.core.inventory import Inventory, failed_inventory, next_inventory
from tinker_operator.core.inventory_change import change_between
from tinker_operator.core.world import Fault, ObservedRun

pytestmark = pytest.mark.pure

WRONG_KEY = Fault(Reason.UNAUTHORIZED, "The key is wrong. Give another.", needs_user=True)
LATER = START + timedelta(minutes=1)


def looked(previous: Inventory | None = None) -> Inventory:
    """A look that succeeded."""
    run = ObservedRun(FIRST, "model", is_lora=True, lora_rank=8, corrupted=False)
    return next_inventory(previous or Inventory(), [run], watched=[FIRST], now=START)


def failed(previous: Inventory, fault: Fault = UNREACHABLE) -> Inventory:
    """A look that failed."""
    return failed_inventory(previous, fault, now=LATER)


def test_one_failed_look_concerns_nobody_and_the_second_everybody() -> None:
    """Ten thousand objects are not woken for a passing trouble."""
    well = looked()
    once, twice = failed(well), failed(failed(well))

    assert not change_between(well, once).concerns(FIRST, "")
    assert change_between(once, twice).concerns(FIRST, "")
    assert (once.fault, twice.fault) == (None, UNREACHABLE)


def test_a_look_that_succeeds_ends_the_doubt() -> None:
    """Failed, well, failed is one failure in a row, twice."""
    again = failed(looked(failed(looked())))

    assert again.fault is None
    assert again.doubt == UNREACHABLE


@pytest.mark.parametrize(
    ("previous", "fault"),
    [(Inventory(), UNREACHABLE), (looked(), WRONG_KEY), (failed(failed(looked())), WRONG_KEY)],
    ids=["nothing was seen before", "only a person can mend it", "looks fail anyway, now otherwise"],
)
def test_what_leaves_nothing_to_doubt_is_told_at_once(previous: Inventory, fault: Fault) -> None:
    """There is nothing that could stand meanwhile, or waiting mends nothing."""
    assert failed(previous, fault).fault == fault
    assert failed(previous, fault).doubt is None


def test_the_trouble_is_counted_from_the_first_look_that_failed() -> None:
    """The doubt takes nothing off the grace that a healthy run has."""
    last = failed_inventory(failed(looked()), UNREACHABLE, now=LATER + timedelta(hours=1))

    assert last.failing_since == LATER


def test_what_cannot_be_taken_back_does_not_rest_on_a_doubt() -> None:
    """A deletion sees the trouble at once; so does whoever asks whether the view is current."""
    once = failed(looked())

    assert isinstance(once.view(FIRST), ObservedRun)
    assert once.strict_view(FIRST) == UNREACHABLE
    assert not once.is_current


def test_the_status_of_a_run_at_rest_bears_one_failed_look() -> None:
    """Not a byte is written; the second failed look is told."""
    game = playing()
    before = game.run.status
    game.service.down = UNREACHABLE
    game.look()
    game.round()
    assert game.run.status == before

    game.look()
    game.round()
    synced = find_condition(game.run.status.conditions, ConditionType.SYNCED)
    assert synced is not None
    assert synced.status is ConditionStatus.FALSE


def test_an_attempt_goes_on_only_by_the_newest_look() -> None:
    """A successor that the failed look would have shown must not be made a second time."""
    game = playing()
    game.service.corrupt()
    for _ in range(3):
        game.look()
        game.round()
    assert game.run.status.recovery.in_flight is not None
    sessions = dict(game.service.sessions)
    game.service.down = UNREACHABLE
    game.look()
    game.service.down = None
    plan = game.decide()

    assert plan.decision.fault == UNREACHABLE
    assert not plan.plan.actions
    assert game.service.sessions == sessions


@pytest.mark.parametrize(
    ("creation", "creates"),
    [
        (None, False),
        (Creation(), True),
        (Creation(refused_generation=1), False),
        (Creation(refused_generation=7), True),
    ],
    ids=["an adopted run is at rest", "a run is being made", "a refused one is at rest", "a new spec is made anew"],
)
def test_only_what_is_being_made_waits_for_the_newest_look(creation: Creation | None, *, creates: bool) -> None:
    """A creation that was refused is told once, not again with each look that fails."""
    run = playing().run
    changed = run.model_copy(update={"status": run.status.model_copy(update={"creation": creation, "session": None})})

    assert run_plan._creates(changed) is creates


def test_a_word_of_another_release_is_not_said_again() -> None:
    """What a newer operator found stands nowhere in the way of recoveries after a way back."""
    run = playing().run
    told = Condition(
        type=ConditionType.CHECKPOINT_FRESH, status=ConditionStatus.TRUE, reason="WordOfTomorrow", message="Well.",
        last_transition_time=START, observed_generation=1,
    )  # fmt: skip
    changed = run.model_copy(update={"status": run.status.model_copy(update={"conditions": (told,)})})

    assert freshness._as_before(changed).reason is Reason.NOT_OBSERVED
