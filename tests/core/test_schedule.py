"""Whose schedule holds, what the others are told, and that it reaches the hand-over of every run that it is for."""

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.builders import FIRST, Playing, playing, training_run
from tests.core.legality import illegalities
from tests.core.strategies_policy import NAMESPACE, NOW, policy
from tests.core.strategies_policy import training_run as governed_run

from tinker_operator.api.checkpoint_policy import CheckpointPolicy
from tinker_operator.api.meta import ConditionStatus
from tinker_operator.api.policy_status import CheckpointPolicyStatus
from tinker_operator.api.reasons import ConditionType, Reason
from tinker_operator.api.schedule_spec import Schedule, ScheduleMetric, ScheduleStrategy
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.core.conditions import find_condition
from tinker_operator.core.policy import next_policy_status, plan_policy
from tinker_operator.core.policy_references import references
from tinker_operator.core.policy_seen import Governed, PolicySeen
from tinker_operator.core.schedule import Deciding, deciding, with_conflict
from tinker_operator.core.world import WriteHandOver

pytestmark = pytest.mark.pure

DAY = timedelta(days=1)
TENS = Schedule(save_every=10)
RUN = governed_run(labels={"team": "math"})


def scheduling(name: str, days_old: int = 1, **changes: Any) -> CheckpointPolicy:
    """Returns a policy that says when to save."""
    return policy(name, **{"schedule": TENS, "created": NOW - days_old * DAY, **changes})


DELETED = scheduling("deleted", 9)
DELETED = DELETED.model_copy(update={"metadata": DELETED.metadata.model_copy(update={"deletion_timestamp": NOW})})
CHOICES: Mapping[str, tuple[Sequence[CheckpointPolicy], str | None]] = {
    "nobody says anything": ((), None),
    "a policy without a schedule takes no part, however old": ((policy("plain", created=NOW - 9 * DAY),), None),
    "the only one decides": ((scheduling("a"),), "a"),
    "the oldest decides": ((scheduling("a", 1), scheduling("b", 2)), "b"),
    "of the same age the first by name does": ((scheduling("b"), scheduling("a")), "a"),
    "one that selects other runs has no say": ((scheduling("a", 5, labels={"team": "x"}), scheduling("b", 1)), "b"),
    "one of another namespace has none": ((scheduling("a", 5, namespace="other"), scheduling("b", 1)), "b"),
    "a suspended one still decides": ((scheduling("a", 5, suspend=True), scheduling("b", 1)), "a"),
    "one on its way out does not": ((DELETED, scheduling("b", 1)), "b"),
    "one whose age is not known is the youngest": ((scheduling("a", created=None), scheduling("b", 1)), "b"),
}


@pytest.mark.parametrize("name", CHOICES)
def test_the_oldest_policy_with_a_schedule_decides(name: str) -> None:
    """A table."""
    policies, winner = CHOICES[name]

    found = deciding(RUN, policies)

    assert (found.policy if found else None) == winner


policies_at_will = st.lists(
    st.builds(
        scheduling,
        st.sampled_from("abc"),
        st.integers(0, 2),
        labels=st.sampled_from([{}, {"team": "math"}, {"team": "x"}]),
        schedule=st.sampled_from([None, TENS, Schedule(strategy=ScheduleStrategy.ALL)]),
    ),
    unique_by=lambda one: one.metadata.name,
)


def seen_of(policies: Sequence[CheckpointPolicy], *runs: TrainingRun) -> PolicySeen:
    """Returns what a policy is decided on, of these TrainingRuns."""
    return PolicySeen(tuple(Governed(one) for one in runs), tuple(policies), references(runs))


def conflicted(asked: CheckpointPolicy, policies: Sequence[CheckpointPolicy], *runs: TrainingRun) -> Any:
    """Returns the condition Conflicted of a policy, None when there is none."""
    status = with_conflict(asked, CheckpointPolicyStatus(), seen_of(policies, *runs), NOW)
    return find_condition(status.conditions, ConditionType.CONFLICTED)


@given(policies_at_will, st.randoms())
def test_the_choice_depends_on_nothing_but_the_policies(policies: list[CheckpointPolicy], chance: Any) -> None:
    """Neither on their order, nor on those without a word; the one that decides is the only one not overruled."""
    found = deciding(RUN, policies)
    shuffled = [one for one in policies if one.spec.schedule is not None]
    chance.shuffle(shuffled)

    assert deciding(RUN, shuffled) == found
    for one in policies:
        told = conflicted(one, policies, RUN)
        says, governs = one.spec.schedule is not None, one.spec.selector.match_labels.get("team") != "x"
        assert (told is not None) is says
        overruled = says and governs and found is not None and found.policy != one.metadata.name
        assert told is None or (told.status is ConditionStatus.TRUE) is overruled


def test_a_policy_that_is_overruled_somewhere_is_told_by_whom_and_where() -> None:
    """And that its retention is in force all the same: Ready is as it was."""
    older = scheduling("older", 5, labels={"team": "math"})
    younger = scheduling("younger", 1)
    all_of = conflicted(younger, (older, younger), RUN)
    some_of = conflicted(younger, (older, younger), RUN, governed_run("other"))

    assert (all_of.status, all_of.reason) == (ConditionStatus.TRUE, Reason.SCHEDULE_OVERRULED)
    assert "CheckpointPolicy older" in all_of.message
    assert "all of" in all_of.message
    assert "some of" in some_of.message
    assert conflicted(older, (older, younger), RUN).reason == Reason.SCHEDULE_IN_FORCE


def test_many_that_overrule_are_not_all_named() -> None:
    """A message fits its field."""
    others = [scheduling(f"p{number}", 5, labels={"app": str(number)}) for number in range(9)]
    runs = [governed_run(f"r{number}", labels={"app": str(number)}) for number in range(9)]
    mine = scheduling("mine", 1)

    assert "CheckpointPolicies p0, p1, p2, p3, p4 and others" in conflicted(mine, (*others, mine), *runs).message


@given(policies_at_will)
def test_every_status_with_a_conflict_is_legal_and_stands_still(policies: list[CheckpointPolicy]) -> None:
    """Through the whole report of a policy, twice: the second says the same to the byte."""
    for one in policies:
        seen = seen_of(policies, RUN)
        plan = plan_policy(one, seen, NOW)
        status = with_conflict(one, next_policy_status(one, seen, plan, (), NOW), seen, NOW)
        again = one.model_copy(update={"status": status})
        later = NOW + DAY

        assert illegalities(1, status.observed_generation, status.conditions) == []
        assert [condition.type for condition in status.conditions] == [
            kind for kind in ConditionType if find_condition(status.conditions, kind)
        ]
        assert with_conflict(again, next_policy_status(again, seen, plan, (), later), seen, later) == status


BEST = Schedule(
    strategy=ScheduleStrategy.BEST,
    metric=ScheduleMetric(name="loss"),
    min_interval_seconds=60,
    ttl_seconds=7200,
    save_sampler=True,
)


def told(game: Playing) -> dict[str, Any]:
    """Returns the hand-over as it is."""
    document: dict[str, Any] = json.loads(game.service.hand_over or "")
    return document


@pytest.mark.parametrize("mode", ["Recreate", "HandOver", "Relaunch"])
@pytest.mark.parametrize("enabled", [True, False])
def test_the_hand_over_of_a_run_that_trains_follows_the_policy(mode: str, enabled: bool) -> None:
    """It comes, changes and goes in one round of one write each, with Ready as it was and nothing written at rest."""
    game = playing(training_run(recovery={"mode": mode, "enabled": enabled}))
    plain = game.service.hand_over
    assert "schedule" not in told(game)
    assert game.run.status.hand_over is not None
    for held in (Deciding("keep", TENS), Deciding("keep", BEST), Deciding("other", BEST), None):
        game.schedule = held
        plan = game.decide()
        writes = [one for one in plan.plan.actions if isinstance(one, WriteHandOver)]
        game.settle()
        status = game.run.status

        assert len(writes) <= 1
        ready = find_condition(status.conditions, ConditionType.READY)
        assert ready is not None
        assert ready.status is ConditionStatus.TRUE
        assert status.hand_over is not None
        assert status.hand_over.schedule_policy == (held.policy if held else None)
        assert not game.round()
    assert game.service.hand_over == plain


def test_the_hand_over_says_all_that_the_policy_says() -> None:
    """In the words of the policy."""
    game = playing()
    game.schedule = Deciding("keep", BEST)
    game.settle()

    assert told(game)["schedule"] == {
        "strategy": "Best",
        "saveEvery": 100,
        "saveBest": False,
        "metric": {"name": "loss", "mode": "Min"},
        "minIntervalSeconds": 60,
        "ttlSeconds": 7200,
        "saveSampler": True,
    }


@pytest.mark.parametrize("mode", ["HandOver", "Relaunch"])
def test_a_loop_that_is_to_make_the_successor_is_told_too(mode: str) -> None:
    """The hand-over of an attempt carries the schedule, and a change of it while the loop is awaited."""
    game = playing(training_run(recovery={"mode": mode}))
    game.schedule = Deciding("keep", TENS)
    game.settle()
    game.service.corrupt()
    game.settle(seconds=60)
    attempt = told(game)
    game.schedule = Deciding("keep", BEST)
    game.settle()

    assert (attempt["attempt"], attempt["schedule"]["saveEvery"]) == (1, 10)
    assert (told(game)["attempt"], told(game)["schedule"]["strategy"]) == (1, "Best")


@pytest.mark.parametrize("held_back", [{"suspend": True}, {"managementPolicy": "ObserveOnly"}])
def test_a_run_that_nothing_is_done_about_keeps_the_hand_over_that_it_has(held_back: Mapping[str, Any]) -> None:
    """Suspend and ObserveOnly mean no action at all."""
    game = playing(training_run(held_back))
    game.schedule = Deciding("keep", TENS)
    game.settle()

    assert game.service.hand_over is None
    assert game.run.status.training_run_id == FIRST
    assert RUN.metadata.namespace == NAMESPACE
