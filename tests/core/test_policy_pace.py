"""How fast a policy deletes, and what it extends: the grace period, the cap of an hour, the expiry of what stays."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.core.strategies_policy import (
    HOUR,
    NOW,
    UNREACHABLE,
    World,
    checkpoint,
    deleted_paths,
    path,
    policy,
    training_run,
    world_of,
    worlds,
)

from tinker_operator.api.checkpoint_policy import CheckpointPolicy
from tinker_operator.api.policy_status import MARKED_LIMIT, CheckpointPolicyStatus, DueRule
from tinker_operator.api.reasons import ConditionType, Reason
from tinker_operator.api.retention_spec import RetentionAction
from tinker_operator.core.conditions import find_condition
from tinker_operator.core.policy import next_policy_status, plan_policy
from tinker_operator.core.policy_references import references
from tinker_operator.core.policy_seen import Governed, PolicySeen
from tinker_operator.core.retention import Due
from tinker_operator.core.world import (
    Action,
    Answer,
    CheckpointsOf,
    Done,
    ObservedCheckpoint,
    ObservedRun,
    Performed,
    SetCheckpointTtl,
)

pytestmark = pytest.mark.pure

OLD, NEW = path("r1", "old"), path("r1", "new")
LISTING = (checkpoint("old", 9), checkpoint("new", 1))
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
GRACE = timedelta(seconds=600)


def seen(listing: Answer = LISTING, *others: CheckpointPolicy) -> PolicySeen:
    run = training_run()
    one = Governed(run, {"r1": ObservedRun("r1", "base")}, {CheckpointsOf("r1"): listing})
    return PolicySeen((one,), others, references((run,)))


class Story:
    """Rounds of one policy over one run; all that it remembers is its status, as after a restart in every round."""

    def __init__(self, listing: Iterable[ObservedCheckpoint] = LISTING, **rules: Any) -> None:
        self.listing = tuple(listing)
        self.policy = policy(**rules)
        self.deleted: list[tuple[datetime, str]] = []
        self.extended: list[str] = []
        self.broken = False

    def at(self, now: datetime) -> CheckpointPolicyStatus:
        """One round at this time, in which everything succeeds."""
        world = seen(UNREACHABLE if self.broken else self.listing)
        plan = plan_policy(self.policy, world, now)
        gone = deleted_paths(plan.plan.actions)
        self.deleted += [(now, it) for it in gone]
        self.extended += extended(plan.plan.actions)
        self.listing = tuple(
            replace(it, expires_at=None) if it.path in self.extended else it
            for it in self.listing
            if it.path not in gone
        )
        performed = [Performed(it, Done()) for it in plan.plan.actions]
        status = next_policy_status(self.policy, world, plan, performed, now)
        self.policy = self.policy.model_copy(update={"status": status})
        return status

    def edit(self, **rules: Any) -> None:
        """Another spec, the same status."""
        self.policy = policy(status=self.policy.status, generation=2, **rules)


def extended(actions: Iterable[Action]) -> list[str]:
    return [it.path for it in actions if isinstance(it, SetCheckpointTtl)]


def test_what_nothing_keeps_is_marked_first_and_goes_when_its_grace_is_over() -> None:
    story = Story(grace_period_seconds=600)
    status = story.at(NOW)
    assert [(it.path, it.due_since) for it in status.marked] == [(OLD, NOW)]
    assert [(it.path, it.rule, it.not_before) for it in status.next_deletions] == [(OLD, DueRule.NOT_KEPT, NOW + GRACE)]
    assert [it.due_since for it in status.due] == [NOW]
    assert not story.at(NOW + GRACE - SECOND).deleting
    assert [it.path for it in story.at(NOW + GRACE).deleting] == [OLD]
    assert story.at(NOW + GRACE + SECOND).marked == ()
    assert story.deleted == [(NOW + GRACE + SECOND, OLD)]


def test_a_policy_whose_checkpoints_wait_is_ready_and_says_so() -> None:
    ready = find_condition(Story(grace_period_seconds=600).at(NOW).conditions, ConditionType.READY)
    assert ready is not None
    assert (ready.status, ready.reason) == ("True", Reason.ENFORCED)
    assert "grace period" in ready.message


def test_a_change_that_keeps_it_again_takes_the_mark_away() -> None:
    story = Story(grace_period_seconds=600)
    story.at(NOW)
    story.edit(grace_period_seconds=600, keep_last=2)
    assert story.at(NOW + GRACE).marked == ()
    story.edit(grace_period_seconds=600)
    assert [it.due_since for it in story.at(NOW + GRACE + SECOND).marked] == [NOW + GRACE + SECOND]
    assert story.deleted == []


def test_a_checkpoint_saved_anew_under_the_same_name_waits_anew() -> None:
    story = Story(grace_period_seconds=600)
    story.at(NOW)
    story.listing = (checkpoint("old", 8), LISTING[1])
    assert [it.due_since for it in story.at(NOW + GRACE).marked] == [NOW + GRACE]


def test_a_listing_that_fails_does_not_begin_the_wait_anew() -> None:
    story = Story(grace_period_seconds=600)
    story.at(NOW)
    story.broken = True
    assert [it.due_since for it in story.at(NOW + GRACE).marked] == [NOW]
    assert story.deleted == []


@pytest.mark.parametrize("rules", [{"action": RetentionAction.REPORT}, {"suspend": True}], ids=["Report", "suspended"])
def test_no_wait_runs_while_nothing_may_be_deleted(rules: dict[str, Any]) -> None:
    status = Story(grace_period_seconds=600, **rules).at(NOW)
    assert status.marked == ()
    assert [(it.path, it.not_before) for it in status.next_deletions] == [(OLD, None)]


def test_marks_are_bounded_and_the_rest_waits_longer() -> None:
    many = (checkpoint(f"c{number:04}", 2000 - number) for number in range(MARKED_LIMIT + 2))
    status = Story(many, grace_period_seconds=600).at(NOW)
    assert (len(status.marked), status.due_count) == (MARKED_LIMIT, MARKED_LIMIT + 1)
    assert status.marked[0].path == path("r1", "c0000")


MANY = tuple(checkpoint(f"c{number:02}", 100 - number) for number in range(40))


def test_the_cap_of_an_hour_holds_and_what_is_left_follows() -> None:
    story = Story(MANY, max_deletions_per_hour=12)
    for minute in range(30):
        story.at(NOW + minute * MINUTE)
    assert len(story.deleted) == 12
    for minute in range(30, 240):
        story.at(NOW + minute * MINUTE)
    assert len(story.deleted) == 39


def test_while_the_cap_holds_it_does_not_look_again_at_once() -> None:
    story = Story(MANY, max_deletions_per_hour=3)
    story.at(NOW)
    story.at(NOW)
    plan = plan_policy(story.policy, seen(story.listing), NOW)
    assert (plan.plan.actions, plan.plan.wake_after) == ((), plan.interval)


@given(st.integers(1, 15), st.lists(st.integers(0, 4000), min_size=1, max_size=40))
def test_no_hour_ever_sees_more_deletions_than_the_cap(cap: int, steps: list[int]) -> None:
    story, now = Story(MANY, max_deletions_per_hour=cap), NOW
    for step in steps:
        now += step * SECOND
        story.at(now)
    times = [at for at, _ in story.deleted]
    assert all(sum(at <= other < at + HOUR for other in times) <= cap for at in times)


def expires(hours: float, **facts: Any) -> tuple[ObservedCheckpoint, ...]:
    """`new`, which stays, expires in so many hours."""
    return LISTING[0], checkpoint("new", 1, expires_at=NOW + hours * HOUR, **facts)


EXTENSIONS = [
    ("what stays and expires within a day is extended", {"extend_ttl": True}, expires(23), [NEW], [NEW]),
    ("what expires later is left for later", {"extend_ttl": True}, expires(25), [], []),
    ("what has expired cannot be extended", {"extend_ttl": True}, expires(-1), [NEW], []),
    ("without extendTTL it is shown alone", {}, expires(23), [NEW], []),
    (
        "Report never extends",
        {"extend_ttl": True, "action": RetentionAction.REPORT},
        expires(23),
        [NEW],
        [],
    ),
    ("a suspended policy never extends", {"extend_ttl": True, "suspend": True}, expires(23), [NEW], []),
    (
        "what nothing keeps is neither shown nor extended",
        {"extend_ttl": True},
        (checkpoint("old", 9, expires_at=NOW + HOUR), LISTING[1]),
        [],
        [],
    ),
]


@pytest.mark.parametrize(
    ("rules", "listing", "shown", "asked"), [it[1:] for it in EXTENSIONS], ids=[it[0] for it in EXTENSIONS]
)
def test_what_stays_does_not_expire(
    rules: dict[str, Any], listing: tuple[ObservedCheckpoint, ...], shown: list[str], asked: list[str]
) -> None:
    plan = plan_policy(policy(**rules), seen(listing), NOW)
    status = next_policy_status(policy(**rules), seen(listing), plan, (), NOW)
    assert [it.path for it in status.expiring] == shown
    assert status.expiring_count == len(shown)
    assert extended(plan.plan.actions) == asked
    assert all(it.seconds is None for it in plan.plan.actions if isinstance(it, SetCheckpointTtl))


def test_what_was_extended_is_shown_no_more_and_asked_for_once() -> None:
    story = Story(expires(23), extend_ttl=True)
    assert story.at(NOW).expiring == ()
    story.at(NOW + MINUTE)
    assert story.extended == [NEW]


def test_what_only_another_policy_keeps_is_not_extended() -> None:
    listing = (checkpoint("old", 9, expires_at=NOW + HOUR), LISTING[1])
    asked = policy(extend_ttl=True)
    plan = plan_policy(asked, seen(listing, policy("other", keep_last=2)), NOW)
    assert extended(plan.plan.actions) == []
    assert plan.soon == ()


def test_an_extension_that_fails_is_told_and_tried_again() -> None:
    asked, world = policy(extend_ttl=True), seen(expires(23))
    plan = plan_policy(asked, world, NOW)
    status = next_policy_status(asked, world, plan, [Performed(plan.plan.actions[0], UNREACHABLE)], NOW)
    synced = find_condition(status.conditions, ConditionType.SYNCED)
    assert synced is not None
    assert (synced.status, synced.reason) == ("False", Reason.SERVICE_UNREACHABLE)
    assert [it.path for it in status.expiring] == [NEW]


def test_names_of_rules_count_in_status() -> None:
    status = Story((*LISTING, checkpoint("older", 20)), keep_last=2, max_total_bytes=100).at(NOW)
    assert status.kept_by_reason == {"KeepLast": 1, "MinimumGood": 1, "Newest": 1}
    assert status.due_by_rule == {"MaxTotalBytes": 1, "NotKept": 1}
    assert [(it.path, it.rule) for it in status.next_deletions] == [
        (path("r1", "older"), DueRule.NOT_KEPT),
        (OLD, DueRule.MAX_TOTAL_BYTES),
    ]


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(worlds(deletes=True), st.lists(st.tuples(st.integers(1, 700), st.integers(1, 4)), min_size=3, max_size=12))
def test_nothing_goes_that_was_not_due_at_every_look_for_as_long_as_its_grace(
    world: World, looks: list[tuple[int, int]]
) -> None:
    """The policy changes its mind from look to look; a look that kept a checkpoint makes it wait anew."""
    now, due_at = NOW, list[tuple[datetime, set[str]]]()
    for seconds, keep_last in looks:
        now += seconds * SECOND
        world = with_policy(world, keep_last=keep_last)
        plan = plan_policy(world.policy, world.seen(), now)
        due_at.append((now, {one.checkpoint.path for one in plan.judged if isinstance(one.judgement, Due)}))
        gone = deleted_paths(plan.plan.actions)
        for it in gone:
            assert all(it in due for at, due in due_at if at > now - GRACE)
            assert any(at <= now - GRACE for at, _ in due_at)
        performed = [Performed(it, Done()) for it in plan.plan.actions]
        status = next_policy_status(world.policy, world.seen(), plan, performed, now)
        told = world.policy.model_copy(update={"status": status})
        world = replace(world.without(gone), policies=(told, *world.policies[1:]))


def with_policy(world: World, keep_last: int) -> World:
    """The world whose first policy keeps so many and waits ten minutes."""
    spec = world.policy.spec
    rules = spec.retention.model_copy(update={"keep_last": keep_last, "grace_period_seconds": 600})
    asked = world.policy.model_copy(update={"spec": spec.model_copy(update={"retention": rules})})
    return replace(world, policies=(asked, *world.policies[1:]))


def test_the_worlds_of_that_law_delete_something() -> None:
    """Or it would hold of any code."""
    deleted = 0
    for seed in range(40):
        world = with_policy(world_of(seed, 2, 1, 6, 1, deletes=True), keep_last=1)
        for minute in (0, 11, 12):
            plan = plan_policy(world.policy, world.seen(), NOW + minute * MINUTE)
            deleted += len(deleted_paths(plan.plan.actions))
            status = next_policy_status(world.policy, world.seen(), plan, (), NOW + minute * MINUTE)
            world = replace(world, policies=(world.policy.model_copy(update={"status": status}),))
    assert deleted > 100
