"""Laws of a CheckpointPolicy over hostile worlds: what holds whatever the service lists and whoever refers to it."""

import json
import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.core.legality import illegalities
from tests.core.strategies_policy import (
    HOUR,
    NAMESPACE,
    NOW,
    SIZES,
    UNREACHABLE,
    World,
    deleted_paths,
    world_of,
    worlds,
)

from tinker_operator.api.checkpoint_policy import CheckpointPolicy
from tinker_operator.api.export_status import ExportState
from tinker_operator.api.meta import ObjectMeta, to_wire
from tinker_operator.api.policy_status import CheckpointPolicyStatus, DueRule, KeepReason
from tinker_operator.api.recovery_spec import Metric
from tinker_operator.api.retention_spec import KeepBest
from tinker_operator.core.policy import PolicyPlan, conclude, next_policy_status, plan_policy, still_due
from tinker_operator.core.policy_journal import DELETIONS_PER_PASS
from tinker_operator.core.policy_references import followed_runs
from tinker_operator.core.policy_seen import governs, policy_questions
from tinker_operator.core.retention import Due, Kept
from tinker_operator.core.retention_rules import GUARDS, RULES
from tinker_operator.core.world import (
    Absent,
    Action,
    CheckpointKind,
    DeleteCheckpoint,
    Done,
    Fault,
    ObservedCheckpoint,
    Outcome,
    Performed,
    PreconditionFailed,
    SetCheckpointTtl,
)

pytestmark = pytest.mark.pure
T = TypeVar("T")
law = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

NUMBERS = ("keep_last", "minimum_good", "keep_within_seconds", "keep_hourly", "keep_daily", "keep_weekly")
RULE_NAMES = ("keep_last", "keep_best", "keep_every_steps", "keep_within_seconds", "keep_hourly", "keep_names")
OUTCOMES: tuple[Outcome, ...] = (Done(), Done(), UNREACHABLE, PreconditionFailed("another checkpoint now"))


def planned(world: World, policy: CheckpointPolicy | None = None) -> PolicyPlan:
    asking = policy or world.policy
    return plan_policy(asking, world.seen(asking), NOW)


def due(world: World) -> set[str]:
    return {one.checkpoint.path for one in planned(world).judged if isinstance(one.judgement, Due)}


def done(actions: Iterable[Action]) -> tuple[Performed, ...]:
    return tuple(Performed(action, Done()) for action in actions)


def with_status(world: World, status: CheckpointPolicyStatus) -> World:
    asked = world.policy.model_copy(update={"status": status})
    return replace(world, policies=(asked, *world.policies[1:]))


def announced(world: World) -> World:
    """The world one round later, in which nothing was deleted, nothing proven and nothing exported."""
    return with_status(world, beside(world, _status(world)))


def beside(world: World, status: CheckpointPolicyStatus) -> CheckpointPolicyStatus:
    """The status with what the policy's other concerns write, as it stands."""
    before = world.policy.status
    return status.model_copy(update={"validation": before.validation, "exports": before.exports})


def wire(status: CheckpointPolicyStatus) -> str:
    return json.dumps(to_wire(status))


def clear_runs(world: World) -> list[str]:
    """Names of the governed TrainingRuns about which nothing at all is missing."""
    seen = world.seen()
    return [
        one.run.metadata.name
        for one in seen.governed
        if not any(isinstance(it, Fault | Absent | None) for it in one.views.values())
        and all(isinstance(it, tuple) for it in one.answers.values())
    ]


def training_of(world: World, name: str) -> list[ObservedCheckpoint]:
    run = next(run for run in world.runs if run.metadata.name == name)
    listed = [it for run_id in followed_runs(run) for it in world.listings.get(run_id, ())]
    return [it for it in listed if it.kind is CheckpointKind.TRAINING]


def test_the_worlds_hold_everything_that_the_laws_speak_of() -> None:
    """A law over worlds without deletions, or without a protection, would hold of any code."""
    seen: Counter[str] = Counter()
    for seed in range(600):
        dice = random.Random(seed)  # noqa: S311 - worlds, not secrets
        plan = planned(announced(world_of(seed, *map(dice.choice, SIZES))))
        whys = (one.judgement.because for one in plan.judged if isinstance(one.judgement, Kept))
        seen.update({str(reason) for because in whys for reason in because})
        facts = {
            "actions": plan.plan.actions,
            "more than one pass": len(plan.pending) > DELETIONS_PER_PASS,
            "gaps beside judged ones": plan.gaps and plan.judged,
            "deletions beside gaps": plan.gaps and plan.plan.actions,
            "blind": plan.blind,
            "withheld": any(one.withheld and isinstance(one.judgement, Due) for one in plan.judged),
        }
        seen.update(name for name, holds in facts.items() if holds)
    assert {str(reason) for reason in KeepReason} <= seen.keys()
    assert seen["actions"] > 100
    assert min(seen[name] for name in facts) >= 3


@law
@given(worlds())
def test_every_training_checkpoint_is_either_kept_or_due_and_told_once(world: World) -> None:
    plan = planned(world)
    told = [one.checkpoint.path for one in plan.judged]
    assert len(told) == len(set(told))
    assert {it.path for name in clear_runs(world) for it in training_of(world, name)} <= set(told)
    assert all(isinstance(one.judgement, Due) or one.judgement.because for one in plan.judged)


@law
@given(worlds(faults=False))
def test_in_a_sound_world_all_governed_training_checkpoints_are_told_of(world: World) -> None:
    names = [run.metadata.name for run in world.runs if governs(world.policy, run)]
    expected = {it.path for name in names for it in training_of(world, name)}
    assert {one.checkpoint.path for one in planned(world).judged} == expected


@law
@given(worlds(), worlds())
def test_one_more_policy_never_makes_one_more_due(world: World, another: World) -> None:
    extra = another.policy.model_copy(update={"metadata": ObjectMeta(name="one more", namespace=NAMESPACE)})
    assert due(replace(world, policies=(*world.policies, extra))) <= due(world)


@law
@given(worlds(), st.sampled_from(NUMBERS), st.integers(1, 9999), st.integers(0, 2))
def test_a_higher_number_never_makes_one_more_due(world: World, field: str, more: int, which: int) -> None:
    world, chosen = unbounded(world), which % len(world.policies)
    raised = [_raised(it, field, more) if n == chosen else it for n, it in enumerate(world.policies)]
    assert due(replace(world, policies=tuple(raised))) <= due(world)


def changed(policy: CheckpointPolicy, **rules: object) -> CheckpointPolicy:
    """The policy with other rules."""
    retention = policy.spec.retention.model_copy(update=rules)
    return policy.model_copy(update={"spec": policy.spec.model_copy(update={"retention": retention})})


def _raised(policy: CheckpointPolicy, field: str, more: int) -> CheckpointPolicy:
    return changed(policy, **{field: (getattr(policy.spec.retention, field) or 0) + more})


def unbounded(world: World) -> World:
    """The world in which no policy has a budget: a budget alone may take away for what a rule adds."""
    return replace(world, policies=tuple(changed(it, max_total_bytes=None) for it in world.policies))


@law
@given(worlds(), worlds(), st.integers(0, 2))
def test_one_more_rule_never_makes_one_more_due(world: World, another: World, which: int) -> None:
    """Rules of the other world's first policy, where this one has none."""
    world, chosen = unbounded(world), which % len(world.policies)
    given = another.policy.spec.retention
    own = world.policies[chosen].spec.retention
    extra = {name: getattr(given, name) for name in RULE_NAMES if getattr(own, name) is None}
    more = [changed(it, **extra) if n == chosen else it for n, it in enumerate(world.policies)]
    assert due(replace(world, policies=tuple(more))) <= due(world)


@law
@given(worlds(), st.integers(1, 2**40), st.integers(0, 2))
def test_a_larger_budget_never_makes_one_more_due(world: World, more: int, which: int) -> None:
    chosen = which % len(world.policies)
    tight = [changed(it, max_total_bytes=it.spec.retention.max_total_bytes or 150) for it in world.policies]
    wide = [_raised(it, "max_total_bytes", more) if n == chosen else it for n, it in enumerate(tight)]
    assert due(replace(world, policies=tuple(wide))) <= due(replace(world, policies=tuple(tight)))


@law
@given(worlds())
def test_a_budget_takes_only_what_rules_alone_keep(world: World) -> None:
    """What is protected, or needed for the floor, is the same with it and without."""
    tight = replace(world, policies=(changed(world.policy, max_total_bytes=1), *world.policies[1:]))
    roomy = {one.checkpoint.path: one.judgement for one in planned(unbounded(world)).judged}
    for path in due(tight) - due(unbounded(world)):
        judgement = roomy[path]
        assert isinstance(judgement, Kept)
        assert set(judgement.because) <= {*RULES, KeepReason.OTHER_POLICY}


@law
@given(worlds(), st.integers(0, 2), st.integers(1, 9999))
def test_one_more_of_the_best_never_makes_one_more_due(world: World, which: int, more: int) -> None:
    world, chosen = unbounded(world), which % len(world.policies)
    best = KeepBest(count=1, metric=Metric(name="loss"))
    few = [changed(it, keep_best=best) if n == chosen else it for n, it in enumerate(world.policies)]
    many = [
        changed(it, keep_best=best.model_copy(update={"count": 1 + more})) if n == chosen else it
        for n, it in enumerate(world.policies)
    ]
    assert due(replace(world, policies=tuple(many))) <= due(replace(world, policies=tuple(few)))


@law
@given(worlds(faults=False, deletes=True))
def test_the_floor_of_good_checkpoints_holds_for_each_training_run_to_the_end(world: World) -> None:
    """Counted by the test itself: what could be resumed from before, against what still can."""
    after = _carried_out(world)[0]
    for run in world.runs:
        if governs(world.policy, run):
            before = _good(world, run.metadata.name)
            least = min(world.policy.spec.retention.minimum_good, len(before))
            assert len(before & _good(after, run.metadata.name)) >= least


def _good(world: World, name: str) -> set[str]:
    refused = world.seen().references.refused
    entries: dict[str, list[ObservedCheckpoint]] = {}
    for it in training_of(world, name):
        entries.setdefault(it.path, []).append(it)
    return {path for path, its in entries.items() if path not in refused and all(map(_is_resumable, its))}


def _is_resumable(it: ObservedCheckpoint) -> bool:
    proven = it.time is not None and it.time <= NOW and it.path.startswith(f"tinker://{it.run_id}/")
    return proven and it.size_bytes != 0 and (it.expires_at is None or it.expires_at > NOW)


@law
@given(worlds(deletes=True))
def test_no_checkpoint_that_anything_refers_to_is_ever_deleted(world: World) -> None:
    requested = set(_carried_out(world)[1])
    assert not requested & _referred(world)


def _referred(world: World) -> set[str]:
    """Written out on purpose in another way than the code does it; of listings only what the policy is shown."""
    shown = [its for one in world.seen().governed for its in one.answers.values() if isinstance(its, tuple)]
    listings = {its[0].run_id: its for its in shown if its}
    found: set[str | None] = {it.path for its in listings.values() for it in its if _speaks_for_itself(it)}
    for one in world.policies:
        unsent = (it for it in one.status.exports if it.state is not ExportState.SUCCEEDED)
        found |= {it.path for it in unsent if one.spec.export is not None}
    for run in world.runs:
        status = run.status
        found |= {run.spec.recovery.checkpoint, status.recovery.restored_from}
        found |= {status.hand_over.checkpoint} if status.hand_over else set()
        if status.recovery.in_flight:
            journal = status.recovery.in_flight
            found |= {journal.checkpoint, *(it.checkpoint for it in journal.candidates)}
            found |= {it.path for it in listings.get(journal.from_training_run_id, ())}
            found |= {status.last_checkpoint.path} if status.last_checkpoint else set()
    for its in listings.values():
        past = [it for it in its if it.kind is CheckpointKind.TRAINING and it.time is not None and it.time <= NOW]
        found |= {max(past, key=lambda it: (it.time, it.path)).path} if past else set()
    return {path for path in found if path is not None}


def _speaks_for_itself(it: ObservedCheckpoint) -> bool:
    pinned = it.metadata.get("pinned", "").strip().lower() in {"true", "1", "yes"}
    at_home = it.path.startswith(f"tinker://{it.run_id}/")
    if it.kind is not CheckpointKind.TRAINING:
        return at_home
    return pinned or it.public or not at_home or it.time is None or it.time > NOW


@law
@given(worlds(deletes=True))
def test_the_last_checkpoint_of_a_governed_corrupted_run_is_never_deleted(world: World) -> None:
    followed = {run_id for run in world.runs if governs(world.policy, run) for run_id in followed_runs(run)}
    lasts = [view.last_checkpoint for view in world.views.values() if view.corrupted and view.run_id in followed]
    assert not set(_carried_out(world)[1]) & {it.path for it in lasts if it is not None}


@law
@given(worlds(), st.randoms(use_true_random=False))
def test_the_order_of_anything_does_not_matter(world: World, chance: random.Random) -> None:
    turned = replace(
        world,
        policies=(world.policy, *_shuffled(world.policies[1:], chance)),
        runs=tuple(_shuffled(world.runs, chance)),
        listings={run: tuple(_shuffled(world.listings[run], chance)) for run in _shuffled(world.listings, chance)},
    )
    assert planned(turned) == planned(world)
    assert wire(_status(turned)) == wire(_status(world))


def _shuffled(items: Iterable[T], chance: random.Random) -> list[T]:
    ordered = list(items)
    chance.shuffle(ordered)
    return ordered


def _status(world: World, now: datetime = NOW) -> CheckpointPolicyStatus:
    return next_policy_status(world.policy, world.seen(), planned(world), (), now)


def _carried_out(world: World) -> tuple[World, list[str]]:
    """Passes until a plan is empty; returns the world that is left and all paths whose deletion was requested."""
    requested: list[str] = []
    while paths := deleted_paths(planned(world := announced(world)).plan.actions):
        assert len(paths) <= DELETIONS_PER_PASS
        requested += paths
        world = world.without(paths)
    return world, requested


@law
@given(worlds(deletes=True))
def test_carrying_out_the_plan_deletes_what_was_due_and_nothing_after_it(world: World) -> None:
    """Budgets of one policy alone: what another policy keeps may take a place that a budget made free."""
    world = world if len(world.policies) == 1 else unbounded(world)
    plan = planned(world)
    expected = {one.checkpoint.path for one in plan.pending}
    after, requested = _carried_out(world)
    assert sorted(requested) == sorted(expected)
    assert due(after) == due(world) - expected
    assert expected <= due(world)


@law
@given(worlds(faults=False, deletes=True))
def test_in_a_sound_world_everything_due_is_deleted(world: World) -> None:
    world = world if len(world.policies) == 1 else unbounded(world)
    after, requested = _carried_out(world)
    assert set(requested) == due(world)
    assert due(after) == set()


@law
@given(worlds(faults=False, deletes=True), st.randoms(use_true_random=False))
def test_a_crash_at_any_point_loses_no_count_and_deletes_nothing_unannounced(
    world: World, chance: random.Random
) -> None:
    """A round may end after any deletion, with or without an answer, and before or after its report."""
    gone: set[str] = set()
    for _ in range(12):
        plan, told = planned(world), {it.path for it in world.policy.status.deleting}
        performed, deleted = _interrupted(plan, chance)
        assert deleted <= told & due(world)
        status = next_policy_status(world.policy, world.seen(), plan, performed, NOW)
        gone |= deleted
        world = world.without(deleted)
        world = with_status(world, status) if chance.random() < 0.6 else world
    settled = announced(announced(world))
    assert settled.policy.status.deleted_total == len(gone)


def _interrupted(plan: PolicyPlan, chance: random.Random) -> tuple[tuple[Performed, ...], set[str]]:
    """Carries out a part of the plan; returns what is known of it, and what is really gone."""
    performed: list[Performed] = []
    deleted: set[str] = set()
    deletions = [it for it in plan.plan.actions if isinstance(it, DeleteCheckpoint)]
    for action in deletions[: chance.randrange(11)]:
        answered, lands = chance.random() < 0.7, chance.random() < 0.7
        performed.append(Performed(action, Done() if answered and lands else UNREACHABLE))
        deleted |= set(deleted_paths([action])) if lands else set()
    return tuple(performed), deleted


@law
@given(worlds(deletes=True))
def test_while_status_cannot_be_written_nothing_goes_but_what_it_announced(world: World) -> None:
    frozen = announced(world)
    told = {it.path for it in frozen.policy.status.deleting}
    assert not deleted_paths(planned(world).plan.actions)
    for _ in range(3):
        paths = set(deleted_paths(planned(frozen).plan.actions))
        assert paths <= told
        frozen = frozen.without(paths)
    assert not deleted_paths(planned(frozen).plan.actions)


@law
@given(worlds(deletes=True), st.permutations(range(3)))
def test_no_two_policies_delete_the_same_checkpoint(world: World, ages: list[int]) -> None:
    aged = zip(world.policies, ages, strict=False)
    policies = tuple(_created(it, NOW - age * HOUR) for it, age in aged)
    plans = [planned(replace(world, policies=policies), it) for it in policies]
    paths = [one.checkpoint.path for plan in plans for one in plan.pending]
    assert len(paths) == len(set(paths))


def _created(policy: CheckpointPolicy, at: datetime) -> CheckpointPolicy:
    return policy.model_copy(update={"metadata": policy.metadata.model_copy(update={"creation_timestamp": at})})


@law
@given(worlds(deletes=True))
def test_a_fault_anywhere_in_a_training_run_deletes_none_of_its_checkpoints(world: World) -> None:
    requested = set(_carried_out(world)[1])
    for run in world.runs:
        faulty = any((run.metadata.name, run_id) in _real_faults(world) for run_id in followed_runs(run))
        if faulty and governs(world.policy, run):
            assert not requested & {it.path for it in training_of(world, run.metadata.name)}


def _real_faults(world: World) -> set[tuple[str, str]]:
    return {key for key, faults in world.faults.items() if any(faults)}


@law
@given(worlds(deletes=True))
def test_a_current_run_that_is_lost_deletes_nothing_of_its_training_run(world: World) -> None:
    requested = set(_carried_out(world)[1])
    for run in world.runs:
        current = run.status.training_run_id
        if current is not None and current not in world.listings and governs(world.policy, run):
            assert not requested & {it.path for it in training_of(world, run.metadata.name)}


@law
@given(worlds())
def test_a_policy_that_only_reports_or_is_suspended_deletes_nothing(world: World) -> None:
    for policy in world.policies:
        if policy.spec.suspend or policy.spec.retention.action == "Report":
            plan = planned(world, policy)
            assert not plan.plan.actions
            assert not plan.pending


@law
@given(worlds())
def test_no_policy_deletes_what_another_one_that_governs_the_run_keeps(world: World) -> None:
    """Rules only: OtherPolicy would be the question itself."""
    rules = {*RULES, *GUARDS}
    plans = [planned(world, policy) for policy in world.policies]
    kept = {
        one.checkpoint.path
        for plan in plans
        for one in plan.judged
        if isinstance(one.judgement, Kept) and rules & set(one.judgement.because)
    }
    assert not kept & _deletable_anywhere(plans) & _of_one_namespace(world)


def _deletable_anywhere(plans: Iterable[PolicyPlan]) -> set[str]:
    return {one.checkpoint.path for plan in plans for one in plan.pending}


def _of_one_namespace(world: World) -> set[str]:
    names = [run.metadata.name for run in world.runs if run.metadata.namespace == NAMESPACE]
    return {it.path for name in names for it in training_of(world, name)}


@law
@given(worlds())
def test_deletions_are_the_oldest_first_and_say_what_was_judged(world: World) -> None:
    plan = planned(announced(world))
    facts = {one.checkpoint.path: one.checkpoint for one in plan.judged}
    budget = {one.checkpoint.path for one in plan.judged if one.judgement == Due(DueRule.MAX_TOTAL_BYTES)}
    order = [(path in budget, facts[path].time) for path in deleted_paths(plan.plan.actions)]
    assert order == sorted(one for one in order if one[1] is not None)
    for action in (it for it in plan.plan.actions if isinstance(it, DeleteCheckpoint)):
        it = facts[action.path]
        assert (action.expected_time, action.expected_size) == (it.time, it.size_bytes)
        assert plan.training_run_of(it.path) in {run.metadata.name for run in world.runs}


@law
@given(worlds(), st.lists(st.sampled_from(OUTCOMES), max_size=10))
def test_every_status_is_legal_and_its_counts_agree(world: World, outcomes: list[Outcome]) -> None:
    world = announced(world)
    plan = planned(world)
    performed = tuple(map(Performed, plan.plan.actions, outcomes))
    status = next_policy_status(world.policy, world.seen(), plan, performed, NOW)
    assert illegalities(world.policy.metadata.generation, status.observed_generation, status.conditions) == []
    assert status.kept_count + status.due_count == status.checkpoints
    assert len(status.kept) == min(20, status.kept_count)
    assert len(status.due) == min(20, status.due_count)
    done = [it.action for it in performed if isinstance(it.outcome, Done)]
    assert status.deleted_total == len(deleted_paths(done)) == sum(it.count for it in status.recent_deletions)
    assert sum(status.due_by_rule.values()) == status.due_count
    assert {it.path for it in status.next_deletions} <= due(world)
    assert CheckpointPolicyStatus.model_validate(json.loads(wire(status))) == status


@law
@given(worlds(), st.lists(st.sampled_from(OUTCOMES), max_size=10))
def test_the_same_facts_give_the_same_status_to_the_byte(world: World, outcomes: list[Outcome]) -> None:
    """Whatever status stood before, a second look at an unchanged world adds nothing to it."""
    world = announced(world)
    plan = planned(world)
    performed = tuple(map(Performed, plan.plan.actions, outcomes))
    stale = next_policy_status(world.policy, world.seen(), plan, performed, NOW)
    first = with_status(world, _status(with_status(world, stale)))
    assert wire(_status(first, NOW + HOUR)) == wire(first.policy.status)


@law
@given(worlds(deletes=True))
def test_the_status_of_the_pass_that_deletes_the_last_is_what_the_next_look_finds(world: World) -> None:
    world = announced(world)
    plan = planned(world)
    while deleted_paths(plan.plan.actions):
        status = next_policy_status(world.policy, world.seen(), plan, done(plan.plan.actions), NOW)
        longer = [one.path for one in plan.plan.actions if isinstance(one, SetCheckpointTtl)]
        after = world.without(deleted_paths(plan.plan.actions)).extended(longer)
        world = with_status(after, beside(world, status))
        plan = planned(world)
        assert _stays(_status(world, NOW + HOUR)) == _stays(status) or deleted_paths(plan.plan.actions)


def _stays(status: CheckpointPolicyStatus) -> object:
    """What is told but for the reasons: what stays anyway may take a place that a deleted one had with a rule."""
    kept = [one.path for one in status.kept]
    facts = to_wire(status.model_copy(update={"kept": (), "kept_by_reason": {}}))
    return kept, facts


@law
@given(worlds(), st.lists(st.sampled_from(OUTCOMES), max_size=10))
def test_a_failed_deletion_is_never_tried_again_at_once(world: World, outcomes: list[Outcome]) -> None:
    plan = planned(announced(world))
    concluded = conclude(plan, tuple(map(Performed, plan.plan.actions, outcomes)))
    tried = outcomes[: len(plan.plan.actions)]
    if any(not isinstance(it, Done) for it in tried):
        assert concluded.wake_after == plan.interval
        assert concluded.wake_after is not None
    if UNREACHABLE in tried:
        assert concluded.retry


@law
@given(worlds())
def test_questions_are_the_governed_lineages_and_none_once_answered(world: World) -> None:
    governed = [run for run in world.runs if governs(world.policy, run)]
    asked = policy_questions(world.policy, world.runs, {})
    assert {it.run_id for it in asked} == {run_id for run in governed for run_id in followed_runs(run)}
    assert len(asked) == len(set(asked))
    assert policy_questions(world.policy, world.runs, dict.fromkeys(asked, Absent())) == ()


@law
@given(worlds(deletes=True), worlds(deletes=True), st.sampled_from(("same", "other runs", "other policies")))
def test_judging_what_concerns_a_deletion_is_judging_everything(world: World, later: World, moved: str) -> None:
    """Right before a deletion, whatever has become of the cluster since it was planned."""
    world = announced(world)
    now = {
        "same": world,
        "other runs": replace(world, runs=later.runs),
        "other policies": replace(world, policies=(world.policy, *later.policies[1:])),
    }[moved]
    whole = plan_policy(now.policy, now.seen(), NOW).plan.actions
    for entry in world.policy.status.deleting:
        run_id = entry.path.removeprefix("tinker://").partition("/")[0]
        action = DeleteCheckpoint(entry.path, run_id, entry.time, entry.size_bytes)
        assert still_due(action, world.policy, now.policy, now.seen(), NOW) == (action in whole)
