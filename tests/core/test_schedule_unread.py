"""While a policy cannot be read, what the hand-over says of saves stays; and nothing else is held up by it."""

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.builders import Playing, playing, training_run
from tests.core.strategies_policy import NAMESPACE, NOW, policy
from tests.core.strategies_policy import training_run as governed_run

from tinker_operator.api.checkpoint_policy import CheckpointPolicy
from tinker_operator.api.reasons import ConditionType
from tinker_operator.api.schedule_spec import Schedule, ScheduleStrategy
from tinker_operator.controllers.objects import CHECKPOINT_POLICIES, unread_schedules
from tinker_operator.core.conditions import find_condition
from tinker_operator.core.schedule import Deciding, deciding
from tinker_operator.core.schedule_unread import UnreadPolicy, is_undecided
from tinker_operator.engine.store import Store

pytestmark = pytest.mark.pure
DAY = timedelta(days=1)
TENS, ALL = Schedule(save_every=10), Schedule(strategy=ScheduleStrategy.ALL)
RUN = governed_run(labels={"team": "math"})


def readable(name: str, days_old: int, **changes: Any) -> CheckpointPolicy:
    return policy(name, **{"schedule": TENS, "created": NOW - days_old * DAY, **changes})


def as_unread(one: CheckpointPolicy) -> UnreadPolicy:
    """What is left of a policy when a word in it is not known."""
    metadata = one.metadata
    labels = one.spec.selector.match_labels
    return UnreadPolicy(metadata.namespace, metadata.name, metadata.creation_timestamp, labels)


UNREAD = {
    "the only one": ((), readable("x", 1), True),
    "the older of two": ((readable("a", 1),), readable("x", 2), True),
    "the younger of two has no say": ((readable("a", 2),), readable("x", 1), False),
    "of the same age the first by name": ((readable("b", 1),), readable("a", 1), True),
    "one that selects others": ((), readable("x", 1, labels={"team": "x"}), False),
    "one of another namespace": ((), readable("x", 1, namespace="other"), False),
    "beside a readable one without a schedule": ((readable("a", 9, schedule=None),), readable("x", 1), True),
}


@pytest.mark.parametrize("name", UNREAD)
def test_it_is_undecided_where_the_one_that_cannot_be_read_may_decide(name: str) -> None:
    policies, unread, undecided = UNREAD[name]
    assert is_undecided(RUN, policies, [as_unread(unread)]) is undecided


def test_one_whose_age_cannot_be_read_may_be_the_oldest() -> None:
    assert is_undecided(RUN, [readable("a", 9)], [UnreadPolicy(NAMESPACE, "x", None, {})])


scheduled = st.lists(
    st.builds(
        readable,
        st.sampled_from("abcd"),
        st.integers(0, 3),
        labels=st.sampled_from([{}, {"team": "math"}, {"team": "x"}]),
        schedule=st.sampled_from([TENS, ALL]),
    ),
    unique_by=lambda one: one.metadata.name,
)


@given(scheduled, st.sets(st.sampled_from("abcd")))
def test_what_is_said_is_what_would_be_said_if_all_could_be_read(
    policies: list[CheckpointPolicy], lost: set[str]
) -> None:
    """Whichever cannot be read: either the true one is found, or nothing is concluded."""
    known = [one for one in policies if one.metadata.name not in lost]
    unread = [as_unread(one) for one in policies if one.metadata.name in lost]
    truth = deciding(RUN, policies)

    undecided = is_undecided(RUN, known, unread)
    assert undecided is (truth is not None and truth.policy in lost)
    assert undecided or deciding(RUN, known) == truth


def told(game: Playing) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(game.service.hand_over or "")
    return document


def test_the_words_stay_until_the_policy_can_be_read() -> None:
    """To the byte, with nothing written, and what is remembered of checkpoints too; then the new ones come."""
    game = playing()
    game.schedule = Deciding("keep", TENS)
    game.settle()
    before, status = game.service.hand_over, game.run.status
    game.schedule, game.schedule_unread = None, True
    assert not [*game.decide().plan.actions]
    game.settle()

    assert game.service.hand_over == before
    assert game.run.status.hand_over == status.hand_over
    fresh = [find_condition(it.conditions, ConditionType.CHECKPOINT_FRESH) for it in (status, game.run.status)]
    assert fresh[0] is not None
    assert fresh[0] == fresh[1]
    assert not game.round()
    game.schedule, game.schedule_unread = Deciding("keep", ALL), False
    game.settle()
    assert told(game)["schedule"]["strategy"] == "All"


@pytest.mark.parametrize("mode", ["Recreate", "HandOver", "Relaunch"])
def test_a_recovery_meanwhile_hands_the_words_on(mode: str) -> None:
    """It is not held up, and the loop that goes on saves as before."""
    game = playing(training_run(recovery={"mode": mode}))
    game.schedule = Deciding("keep", TENS)
    game.settle()
    words = told(game)["schedule"]
    game.schedule, game.schedule_unread = None, True
    game.service.corrupt()
    game.settle(seconds=60)

    assert (told(game)["attempt"], told(game)["schedule"]) == (1, words)


@pytest.mark.parametrize("document", [None, "", "no JSON", "[]", '{"schedule": 7}', "{}"])
def test_where_nothing_stands_nothing_is_said(document: str | None) -> None:
    """A hand-over that somebody else spoilt, or a new run: it is written whole, without words of saves."""
    game = playing()
    game.schedule_unread = True
    game.service.hand_over = document
    game.settle()

    assert "schedule" not in told(game)
    assert told(game)["trainingRunId"] == game.run.status.training_run_id


SPEC = {"selector": {"matchLabels": {"team": "math"}}, "retention": {"keepLast": 1}, "schedule": {"strategy": "Hourly"}}
FOREIGN = {**SPEC, "schedule": {}, "export": {"what": "All", "to": {}, "format": "ONNX"}}


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        pytest.param(SPEC, 1, id="a strategy of a later release"),
        pytest.param(FOREIGN, 1, id="a word elsewhere"),
        pytest.param({**SPEC, "schedule": None, "retention": {}, "selector": 7}, 0, id="no schedule in it"),
        pytest.param({**SPEC, "schedule": {}}, 0, id="one that can be read"),
    ],
)
def test_a_policy_that_does_not_parse_is_read_as_far_as_it_goes(spec: dict[str, Any], found: int) -> None:
    store = Store()
    metadata = {"name": "x", "namespace": NAMESPACE, "uid": "u", "resourceVersion": "1"}
    created = {"creationTimestamp": "2026-05-01T12:00:00Z"}
    store.apply(CHECKPOINT_POLICIES.kind, {"metadata": {**metadata, **created}, "spec": spec})

    unread = list(unread_schedules(store))
    assert len(unread) == found
    assert all((it.name, it.labels, it.created is not None) == ("x", {"team": "math"}, True) for it in unread)
