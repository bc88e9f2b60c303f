"""Whatever cannot be taken back rests on listings of its own pass: the runs that a pass has to list anew."""

from collections.abc import Iterable
from datetime import datetime

import pytest
from hypothesis import given
from tests.core.strategies_policy import NOW, World, checkpoint, policy, training_run, worlds

from tinker_operator.api.checkpoint_policy import CheckpointPolicy
from tinker_operator.api.policy_status import CheckpointPolicyStatus, DeletingCheckpoint
from tinker_operator.api.publish_spec import Publish
from tinker_operator.api.recovery_spec import ValidationLevel
from tinker_operator.api.retention_spec import RetentionAction
from tinker_operator.api.validation_spec import CheckpointValidation
from tinker_operator.api.validation_status import PublishedCheckpoint, PublishingStatus
from tinker_operator.core.policy import next_policy_status, plan_policy
from tinker_operator.core.policy_export import plan_export
from tinker_operator.core.policy_publishing import plan_publishing
from tinker_operator.core.policy_references import followed_runs
from tinker_operator.core.policy_relisting import to_list_anew
from tinker_operator.core.policy_seen import PolicySeen
from tinker_operator.core.policy_validation import plan_validation
from tinker_operator.core.world import ObservedRun

pytestmark = pytest.mark.pure


def at_stake(asking: CheckpointPolicy, seen: PolicySeen, now: datetime = NOW) -> frozenset[str]:
    plan = plan_policy(asking, seen, now)
    return to_list_anew(
        asking,
        seen,
        plan,
        publishing=plan_publishing(asking, seen, plan, now),
        validation=plan_validation(asking, seen, plan, "cluster", now),
        exports=plan_export(asking, plan, now),
    )


def runs_of(paths: Iterable[str]) -> set[str]:
    return {path.removeprefix("tinker://").partition("/")[0] for path in paths}


@given(worlds())
def test_every_run_that_a_deletion_depends_on_is_at_stake(world: World) -> None:
    """Deleted, extended, announced or marked: its run, and all that the same TrainingRuns follow."""
    seen = world.seen()
    plan = plan_policy(world.policy, seen, NOW)
    after = next_policy_status(world.policy, seen, plan, (), NOW)
    touched = {action.path for action in plan.plan.actions if hasattr(action, "path")}
    touched |= {it.path for it in (*after.deleting, *world.policy.status.deleting)}
    touched |= {it.path for it in after.marked if it not in world.policy.status.marked}

    found, runs = at_stake(world.policy, seen), runs_of(touched)
    for one in seen.governed:
        if not runs.isdisjoint(followed_runs(one.run)):
            assert found.issuperset(followed_runs(one.run))


OLD, NEW, FAR = checkpoint("old", 9), checkpoint("new"), checkpoint("far", run_id="r3")
SFT = training_run(lineage=("r1", "r2"), current="r2")
OTHER = training_run("other", lineage=("r3",), current="r3")
ENTRY = DeletingCheckpoint(path=OLD.path, time=OLD.time, training_run="sft", size_bytes=OLD.size_bytes)
PUBLISHED = PublishedCheckpoint(path=NEW.path, time=NEW.time, size_bytes=NEW.size_bytes, training_run="sft")
REPORT = RetentionAction.REPORT


def world(asking: CheckpointPolicy) -> World:
    listings = {"r1": (OLD,), "r2": (NEW,), "r3": (FAR,)}
    return World((asking,), (SFT, OTHER), listings, {run: ObservedRun(run, "m") for run in listings}, {})


CASES = [
    pytest.param(policy(action=REPORT), set(), id="what is only reported is not at stake"),
    pytest.param(policy(keep_last=9), set(), id="what is kept is not at stake"),
    pytest.param(policy(), {"r1", "r2"}, id="what goes is, with the whole lineage"),
    pytest.param(policy(grace_period_seconds=60), {"r1", "r2"}, id="what begins to wait is"),
    pytest.param(
        policy(keep_last=9, status=CheckpointPolicyStatus(deleting=(ENTRY,))),
        {"r1", "r2"},
        id="what was announced is, although it is kept by now",
    ),
]


@pytest.mark.parametrize(("asking", "expected"), CASES)
def test_only_the_runs_of_what_may_go_are_at_stake(asking: CheckpointPolicy, expected: set[str]) -> None:
    assert at_stake(asking, world(asking).seen()) == expected


def asks(status: CheckpointPolicyStatus | None = None, **spec: object) -> CheckpointPolicy:
    plain = policy(keep_last=9, action=REPORT, status=status)
    return plain.model_copy(update={"spec": plain.spec.model_copy(update=spec)})


def public(entry: PublishedCheckpoint) -> CheckpointPolicyStatus:
    return CheckpointPolicyStatus(publishing=PublishingStatus(checkpoints=(entry,)))


def test_what_is_to_be_public_or_not_any_more_is_at_stake() -> None:
    """The newest of both TrainingRuns; then one that is announced; then one that is not wanted any more."""
    for asking, expected in (
        (asks(publish=Publish.LATEST), {"r1", "r2", "r3"}),
        (asks(public(PUBLISHED), publish=Publish.LATEST), {"r1", "r2", "r3"}),
        (asks(public(PUBLISHED.model_copy(update={"public": True}))), {"r1", "r2"}),
    ):
        assert at_stake(asking, world(asking).seen()) == expected


def test_what_is_proven_now_is_at_stake() -> None:
    asking = asks(validation=CheckpointValidation())
    assert at_stake(asking, world(asking).seen()) == {"r1", "r2", "r3"}


def test_a_verdict_by_the_listing_alone_is_at_stake() -> None:
    """An empty checkpoint is found so without a call of its own."""
    asking = asks(validation=CheckpointValidation(level=ValidationLevel.LISTED))
    found = world(asking)
    assert at_stake(asking, found.seen()) == {"r1", "r2", "r3"}
    plan = plan_policy(asking, found.seen(), NOW)
    section = plan_validation(asking, found.seen(), plan, "cluster", NOW).section
    told = asking.model_copy(update={"status": CheckpointPolicyStatus(validation=section)})
    assert at_stake(told, found.seen()) == set()
