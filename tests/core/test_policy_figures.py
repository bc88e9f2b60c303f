"""The figures of a pass are those of its plan and of what came of it."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from tests.core.strategies_policy import HOUR, NOW, UNREACHABLE, World, checkpoint, policy, training_run, worlds

from tinker_operator.api.policy_status import DeletingCheckpoint, DueRule, KeepReason
from tinker_operator.core.policy import next_policy_status, plan_policy
from tinker_operator.core.policy_figures import Amount, deletions, figures
from tinker_operator.core.world import DeleteCheckpoint, Done, ObservedRun, Performed, SetCheckpointTtl

pytestmark = pytest.mark.pure
law = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def small(**rules: object) -> World:
    listed = {"r1": (checkpoint("old", 9), checkpoint("pinned", 5, metadata={"pinned": "true"}), checkpoint("new"))}
    return World((policy(**rules),), (training_run(),), listed, {"r1": ObservedRun("r1", "m")}, {})  # type: ignore[arg-type]


@law
@given(worlds())
def test_figures_say_what_status_says(world: World) -> None:
    """Before and after the actions of the pass."""
    seen = world.seen()
    status = next_policy_status(world.policy, seen, plan_policy(world.policy, seen, NOW), (), NOW)
    asked = world.policy.model_copy(update={"status": status})
    plan = plan_policy(asked, seen, NOW)
    for performed in ((), tuple(Performed(action, Done()) for action in plan.plan.actions)):
        told = next_policy_status(asked, seen, plan, performed, NOW)
        its = figures(plan, performed, NOW)
        if plan.blind:
            continue
        assert its.kept == Amount(told.kept_count, told.kept_bytes)
        assert its.due == Amount(told.due_count, told.due_bytes)
        assert its.expiring.checkpoints == told.expiring_count
        assert {str(reason): count for reason, count in its.kept_by_reason.items()} == told.kept_by_reason
        assert all(count <= its.kept_by_reason[reason] for reason, count in its.protected.items())
        assert sum(deletions(plan, performed).values()) == told.deleted_total - status.deleted_total - len(
            plan.fates.vanished
        )


def test_what_a_protection_alone_keeps_is_told() -> None:
    world = small()
    its = figures(plan_policy(world.policy, world.seen(), NOW), (), NOW)
    assert its.protected == Counter({KeepReason.PINNED: 1})
    assert its.kept_by_reason[KeepReason.NEWEST] == 1
    assert its.newest == {"sft": NOW - HOUR}


def test_a_deletion_is_counted_by_its_rule_and_one_that_failed_is_not() -> None:
    world = small()
    old = world.listings["r1"][0]
    entry = DeletingCheckpoint(path=old.path, time=old.time, training_run="sft", size_bytes=old.size_bytes)
    status = world.policy.status.model_copy(update={"deleting": (entry,)})
    asked = world.policy.model_copy(update={"status": status})
    plan = plan_policy(asked, world.seen(), NOW)
    (action,) = plan.plan.actions
    assert isinstance(action, DeleteCheckpoint)
    assert deletions(plan, [Performed(action, Done())]) == {DueRule.NOT_KEPT: 1}
    assert deletions(plan, [Performed(action, UNREACHABLE)]) == {}
    assert deletions(plan, [Performed(SetCheckpointTtl(old.path, None), Done())]) == {}
    assert figures(plan, [Performed(action, Done())], NOW).due == Amount()


def test_what_was_saved_within_the_second_of_the_pass_is_the_newest() -> None:
    saved_at = NOW + timedelta(microseconds=999_999)
    listed = {"r1": (replace(checkpoint("now"), time=saved_at), checkpoint("new", 1))}
    world = World((policy(),), (training_run(),), listed, {"r1": ObservedRun("r1", "m")}, {})
    assert figures(plan_policy(world.policy, world.seen(), NOW), (), NOW).newest == {"sft": saved_at}


def test_a_time_ahead_is_newest_of_nothing() -> None:
    listed = {"r1": (checkpoint("never", -9), checkpoint("new"))}
    world = World((policy(),), (training_run(),), listed, {"r1": ObservedRun("r1", "m")}, {})
    assert figures(plan_policy(world.policy, world.seen(), NOW), (), NOW).newest == {"sft": NOW - HOUR}
