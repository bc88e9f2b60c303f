"""How often a TrainingRun is written while it begins and after it was recovered: no word that the next one replaces."""

from datetime import timedelta

import pytest
from tests.core.builders import CLUSTER, FIRST, MODEL, RANK, FakeService, Playing, playing, training_run
from tests.core.recovery_world import TRAINER

from tinker_operator.api.meta import ConditionStatus
from tinker_operator.api.reasons import ConditionType, Reason
from tinker_operator.api.run_status import TrainingRunStatus
from tinker_operator.core.conditions import find_condition
from tinker_operator.core.inventory import Inventory
from tinker_operator.core.run_plan import SILENT_SECONDS, RunPlan, plan_run
from tinker_operator.core.run_status import next_run_status
from tinker_operator.core.seen import RunSeen
from tinker_operator.core.world import Answer, Fault, HandOverSeen, Performed, Question, ReadHandOver, WriteHandOver

pytestmark = pytest.mark.pure


def new() -> Playing:
    """A TrainingRun that nobody has reconciled yet."""
    service = FakeService()
    service.add_run(FIRST, 10, 20)
    return Playing(training_run(), service)


def planned(game: Playing, waited_seconds: float) -> RunPlan:
    """What is decided before the first look, so long after the object was seen."""
    return plan_run(game.run, RunSeen(CLUSTER, Inventory(), waited_seconds=waited_seconds), game.now)


def ready(status: TrainingRunStatus) -> tuple[ConditionStatus, str] | None:
    """What Ready says."""
    found = find_condition(status.conditions, ConditionType.READY)
    return (found.status, found.reason) if found else None


def test_nothing_is_said_while_the_first_look_is_under_way() -> None:
    """A new object is not written, and comes back by itself should nobody wake it."""
    game = new()
    plan = planned(game, 1.0)

    assert next_run_status(game.run, plan, (), game.now) == game.run.status
    assert plan.plan.wake_after == SILENT_SECONDS - 1.0


@pytest.mark.parametrize("waited_seconds", [SILENT_SECONDS, 60.0, float("inf")])
def test_a_service_that_is_slow_to_answer_is_told_of(waited_seconds: float) -> None:
    """Silence has an end."""
    game = new()
    status = next_run_status(game.run, planned(game, waited_seconds), (), game.now)

    assert ready(status) == (ConditionStatus.FALSE, Reason.OBSERVING)


def test_the_first_word_says_what_is_followed_and_the_second_that_it_is_live() -> None:
    """Two writes, no more: the first does nothing yet, the second comes with the hand-over."""
    game = new()
    game.look()

    first = game.decide()
    assert first.plan.actions == ()
    game.report(first, game.act(first))
    assert game.run.status.training_run_id == game.run.spec.run.training_run_id
    assert ready(game.run.status) == (ConditionStatus.FALSE, Reason.HANDING_OVER)

    second = game.decide()
    assert [type(action) for action in second.plan.actions] == [WriteHandOver]
    game.report(second, game.act(second))
    assert ready(game.run.status) == (ConditionStatus.TRUE, Reason.LIVE)
    assert game.run.status.hand_over is not None
    assert game.round() is False


def test_a_hand_over_that_could_not_be_written_is_not_called_live() -> None:
    """Ready waits for it, and says for what."""
    game = new()
    game.look()
    game.round()
    plan = game.decide()
    down = Fault(Reason.KUBERNETES_FAULT, "The API server is away.")
    game.report(plan, tuple(Performed(action, down) for action in plan.plan.actions))

    assert ready(game.run.status) == (ConditionStatus.FALSE, Reason.HANDING_OVER)
    assert game.run.status.hand_over is None


def test_a_recovery_is_four_writes() -> None:
    """Its beginning, its session, its successor, and the hand-over; not that the successor was not seen yet."""
    game = playing()
    game.service.corrupt()
    before = len(set(map(str, game.statuses)))
    game.look()
    game.look()
    for _ in range(12):
        game.round()
        recovered = game.run.status.recoveries
        if recovered and not game.inventory.knows(game.run.status.training_run_id):
            assert ready(game.run.status) == (ConditionStatus.FALSE, Reason.RECOVERING)
            game.round()
            assert ready(game.run.status) == (ConditionStatus.FALSE, Reason.RECOVERING)
            game.look()

    assert ready(game.run.status) == (ConditionStatus.TRUE, Reason.LIVE)
    assert len(set(map(str, game.statuses))) - before <= 4


def test_a_successor_that_is_not_listed_is_told_of() -> None:
    """Once a look had the time to show it, its absence is said."""
    game = playing()
    game.service.corrupt()
    game.look()
    game.look()
    while not game.run.status.recoveries:
        game.round()
    successor = game.run.status.training_run_id or ""
    gone = game.service.runs.pop(successor)
    game.now += timedelta(seconds=1)
    game.look()
    game.round()

    assert ready(game.run.status) == (ConditionStatus.FALSE, Reason.CONFIRMING)
    game.service.runs[successor] = gone


@pytest.mark.parametrize("refused", ["forbidden", "foreign"])
def test_a_hand_over_that_is_refused_for_good_is_told_once(refused: str) -> None:
    """Status does not go back and forth between what is to come and why it cannot."""
    answers: dict[str, Answer] = {
        "forbidden": Fault(Reason.KUBERNETES_FAULT, "Leave is missing. Grant it.", needs_user=True),
        "foreign": HandOverSeen("somebody else's", foreign=True),
    }

    class Refusing(FakeService):
        def answer(self, question: Question) -> Answer:
            return answers[refused] if isinstance(question, ReadHandOver) else super().answer(question)

    game = Playing(training_run(), Refusing())
    game.service.add_run(FIRST, 10)
    game.look()
    for _ in range(10):
        game.round()

    told = [ready(status) for status in game.statuses]
    assert told[1:] == [told[1]] * 9
    assert told[0] == (ConditionStatus.FALSE, Reason.HANDING_OVER)


def test_a_run_whose_loop_is_still_to_be_launched_is_not_called_live_for_its_hand_over() -> None:
    """In mode Relaunch the Job comes after it: Ready is said once, at the end."""
    create = {"baseModel": MODEL, "lora": {"rank": RANK}}
    spec = {"run": {"create": create}, "trainer": TRAINER}
    game = Playing(training_run(spec, recovery={"mode": "Relaunch"}), FakeService())
    game.settle()
    said = [found[0] for status in game.statuses if (found := ready(status)) is not None]

    assert ConditionStatus.TRUE in said
    assert ConditionStatus.FALSE not in said[said.index(ConditionStatus.TRUE) :]
