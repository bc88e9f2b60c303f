"""checkpointTypes: what is not governed is never touched, and no type takes the place of another."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.core.strategies_policy import (
    NOW,
    UNREACHABLE,
    World,
    checkpoint,
    deleted_paths,
    policy,
    training_run,
    worlds,
)

from tinker_operator.api.checkpoint_policy import CheckpointPolicy
from tinker_operator.api.policy_status import DueRule, KeepReason
from tinker_operator.api.retention_spec import CheckpointType, Retention, RetentionAction
from tinker_operator.core.policy import next_policy_status, plan_policy
from tinker_operator.core.policy_group import governing, group_of, kinds_of
from tinker_operator.core.policy_references import References
from tinker_operator.core.retention import Claim, Due, Judgement, Kept, judge
from tinker_operator.core.world import CheckpointKind, ObservedCheckpoint, ObservedRun

pytestmark = pytest.mark.pure
law = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

TRAINING, SAMPLER, EXTERNAL = CheckpointType.TRAINING, CheckpointType.SAMPLER, CheckpointType.EXTERNAL
SETS = ((TRAINING,), (SAMPLER,), (EXTERNAL,), (TRAINING, SAMPLER), (SAMPLER, EXTERNAL), (EXTERNAL, TRAINING, SAMPLER))
KINDS = {"weights": CheckpointKind.TRAINING, "sampler_weights": CheckpointKind.SAMPLER}
KINDS |= {"external_weights": CheckpointKind.EXTERNAL, "curious": CheckpointKind.UNKNOWN}
KIND_OF = {
    TRAINING: CheckpointKind.TRAINING,
    SAMPLER: CheckpointKind.SAMPLER,
    EXTERNAL: CheckpointKind.EXTERNAL,
}


def filed(word: str, name: str, hours_old: float | None = 1, **facts: Any) -> ObservedCheckpoint:
    """A checkpoint of the kind that the word in the middle of its path says."""
    return checkpoint(name, hours_old, path=f"tinker://r1/{word}/{name}", kind=KINDS[word], **facts)


def judged(retention: Retention, *listed: ObservedCheckpoint, corrupted: bool = False) -> dict[str, Judgement]:
    observed = (ObservedRun("r1", "m", corrupted=corrupted),)
    group = group_of({"r1": listed}, observed, ("r1",), kinds_of(retention))
    said = judge([Claim(group, retention)], References(), NOW)
    return {path.removeprefix("tinker://r1/"): judgement for path, judgement in said.items()}


def going(judgements: dict[str, Judgement]) -> set[str]:
    return {path for path, one in judgements.items() if isinstance(one, Due)}


def both(**rules: object) -> Retention:
    return Retention.model_validate({"keep_last": 1, "checkpoint_types": (TRAINING, SAMPLER), **rules})


TWO_OF_EACH = tuple(
    filed(word, name, age) for word in ("weights", "sampler_weights") for name, age in (("old", 9), ("new", 1))
)


def test_each_type_is_counted_by_itself() -> None:
    """One name in two types is two checkpoints, and the newest of each stays."""
    assert going(judged(both(), *TWO_OF_EACH)) == {"weights/old", "sampler_weights/old"}


@pytest.mark.parametrize("types", SETS, ids="+".join)
def test_what_is_not_of_a_governed_type_is_not_judged(types: tuple[CheckpointType, ...]) -> None:
    """An unknown type is of none of them."""
    listed = [filed(word, name, age) for word in KINDS for name, age in (("old", 9), ("new", 1))]
    words = {word for word, kind in KINDS.items() if kind in {KIND_OF[it] for it in types}}
    said = judged(Retention(keep_last=1, checkpoint_types=types), *listed)
    assert said.keys() == {f"{word}/{name}" for word in words for name in ("old", "new")}
    assert going(said) == {f"{word}/old" for word in words}


def test_the_newest_sampler_checkpoint_of_a_run_is_protected_as_such() -> None:
    kept = judged(both(keep_last=None, keep_names=("none",)), *TWO_OF_EACH)["sampler_weights/new"]
    assert kept == Kept((KeepReason.NEWEST,))


def test_the_floor_counts_training_checkpoints_alone() -> None:
    said = judged(both(minimum_good=2), *TWO_OF_EACH)
    assert going(said) == {"sampler_weights/old"}


def test_a_recovery_needs_training_checkpoints_alone() -> None:
    said = judged(both(), *TWO_OF_EACH, corrupted=True)
    assert going(said) == {"sampler_weights/old"}
    assert said["weights/old"] == Kept((KeepReason.RECOVERY_IN_FLIGHT,))


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        pytest.param({"public": True}, KeepReason.PUBLISHED, id="a published one stays"),
        pytest.param({"metadata": {"pinned": "true"}}, KeepReason.PINNED, id="a pinned one stays"),
        pytest.param({"time": None}, KeepReason.FUTURE_TIME, id="one without a time stays"),
    ],
)
def test_protections_hold_for_every_type(facts: dict[str, object], reason: KeepReason) -> None:
    said = judged(both(), filed("sampler_weights", "old", 9, **facts), filed("sampler_weights", "new"))
    assert said["sampler_weights/old"] == Kept((reason,))


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        pytest.param("weights", CheckpointKind.SAMPLER, id="a sampler filed under training"),
        pytest.param("sampler_weights", CheckpointKind.TRAINING, id="training filed under sampler"),
        pytest.param("sampler_weights", CheckpointKind.EXTERNAL, id="external filed under sampler"),
    ],
)
def test_a_type_that_its_path_contradicts_proves_nothing(word: str, kind: CheckpointKind) -> None:
    """The path decides what a deletion hits."""
    lies = replace(filed(word, "old", 9), kind=kind)
    said = judged(both(checkpoint_types=(TRAINING, SAMPLER, EXTERNAL)), lies, *TWO_OF_EACH[1::2])
    assert said[f"{word}/old"] == Kept((KeepReason.FUTURE_TIME,))


def test_a_sampler_path_without_its_middle_part_is_left_alone() -> None:
    """No deletion could name it."""
    lone = checkpoint("x", 9, path="tinker://r1/play", kind=CheckpointKind.SAMPLER)
    assert judged(both(), lone, *TWO_OF_EACH)["play"] == Kept((KeepReason.FUTURE_TIME,))


def test_a_budget_takes_other_types_before_training() -> None:
    """400 bytes of 100 each, and room for 250: both old ones of the other type and of none of training."""
    names = [("a", 9), ("b", 8), ("c", 7)]
    listed = [filed(word, *it) for word in ("weights", "sampler_weights") for it in names]
    said = judged(both(keep_last=3, max_total_bytes=450), *listed)
    assert going(said) == {"sampler_weights/a", "sampler_weights/b"}
    assert said["sampler_weights/a"] == Due(DueRule.MAX_TOTAL_BYTES)


def test_a_policy_has_no_say_over_a_type_that_it_does_not_govern() -> None:
    """One that only reports keeps what it governs; the other type goes."""
    own = both()
    group = group_of({"r1": TWO_OF_EACH}, kinds=kinds_of(own))
    other = Retention(keep_last=9)
    claims = [Claim(group, own), Claim(governing(group, kinds_of(other)), other, own=False, deletes=False)]
    said = judge(claims, References(), NOW)
    assert {path for path, one in said.items() if isinstance(one, Due)} == {"tinker://r1/sampler_weights/old"}


def test_an_older_policy_that_does_not_govern_the_type_leaves_it_to_the_younger() -> None:
    """Otherwise nobody would delete it."""
    older = policy("older", created=NOW.replace(year=2020))
    younger = policy("younger", created=NOW, checkpoint_types=(TRAINING, SAMPLER))
    seen = World((younger, older), (training_run(),), {"r1": TWO_OF_EACH}, {"r1": ObservedRun("r1", "m")}, {}).seen()
    plan = plan_policy(younger, seen, NOW)
    assert [one.checkpoint.path for one in plan.pending] == ["tinker://r1/sampler_weights/old"]
    assert plan.left_to == ("lab/older",)


def test_a_policy_that_only_reports_keeps_nothing_of_a_type_that_it_does_not_govern() -> None:
    """The whole plan says so, not its judgement alone."""
    reports = policy("reports", action=RetentionAction.REPORT, keep_last=9)
    asking = policy("asking", checkpoint_types=(TRAINING, SAMPLER))
    seen = World((asking, reports), (training_run(),), {"r1": TWO_OF_EACH}, {"r1": ObservedRun("r1", "m")}, {}).seen()
    pending = plan_policy(asking, seen, NOW).pending
    assert [one.checkpoint.path for one in pending] == ["tinker://r1/sampler_weights/old"]


def also_filed(world: World) -> World:
    """The same world, in which each checkpoint was also saved as every other kind, under the same name."""
    others = [(word, kind) for word, kind in KINDS.items() if kind is not CheckpointKind.TRAINING]
    return replace(
        world,
        listings={
            run: (*its, *(replace(it, path=_under(it.path, word), kind=kind) for it in its for word, kind in others))
            for run, its in world.listings.items()
        },
    )


def _under(path: str, word: str) -> str:
    return path.replace("/weights/", f"/{word}/")


def governed_as(world: World, types: Iterable[tuple[CheckpointType, ...]]) -> World:
    return replace(world, policies=tuple(map(_of_types, world.policies, types)))


def _of_types(it: CheckpointPolicy, types: tuple[CheckpointType, ...]) -> CheckpointPolicy:
    retention = it.spec.retention.model_copy(update={"checkpoint_types": types})
    return it.model_copy(update={"spec": it.spec.model_copy(update={"retention": retention})})


type_sets = st.tuples(*[st.sampled_from(SETS)] * 3)


def requested(world: World) -> list[str]:
    """Passes until nothing is due any more, as `announce, delete` goes."""
    found: list[str] = []
    while True:
        seen = world.seen()
        status = next_policy_status(world.policy, seen, plan_policy(world.policy, seen, NOW), (), NOW)
        asked = world.policy.model_copy(update={"status": status})
        world = replace(world, policies=(asked, *world.policies[1:]))
        paths = deleted_paths(plan_policy(asked, world.seen(), NOW).plan.actions)
        if not paths:
            return found
        found += paths
        world = world.without(paths)


@law
@given(worlds(deletes=True), type_sets)
def test_nothing_of_a_type_that_is_not_governed_is_ever_deleted(
    world: World, types: tuple[tuple[CheckpointType, ...], ...]
) -> None:
    world = governed_as(also_filed(world), types)
    kinds = {KIND_OF[it] for it in types[0]}
    words = {word for word, kind in KINDS.items() if kind in kinds}
    deleted = requested(world)
    assert {path.split("/")[3] for path in deleted} <= words
    listed = {it.path: it.kind for its in world.listings.values() for it in its}
    assert {listed[path] for path in deleted} <= kinds


@law
@given(worlds(), type_sets)
def test_other_types_change_nothing_for_training_checkpoints(
    world: World, types: tuple[tuple[CheckpointType, ...], ...]
) -> None:
    """Whether they are there, and whether a policy governs them: every judgement is the same, a budget's too."""
    with_training = [tuple(dict.fromkeys((TRAINING, *its))) for its in types]
    plain = plan_policy(world.policy, world.seen(), NOW)
    fuller = governed_as(also_filed(world), with_training)
    full = plan_policy(fuller.policy, fuller.seen(), NOW)
    said = {one.checkpoint.path: one.judgement for one in full.judged}
    assert {one.checkpoint.path: said[one.checkpoint.path] for one in plain.judged} == {
        one.checkpoint.path: one.judgement for one in plain.judged
    }
    assert plain.gaps == full.gaps


def test_a_gap_holds_up_every_type() -> None:
    """A listing that is not there is none of any type."""
    asking = policy(checkpoint_types=(TRAINING, SAMPLER))
    faults = {("sft", "r1"): (None, UNREACHABLE)}
    world = World((asking,), (training_run(),), {"r1": TWO_OF_EACH}, {"r1": ObservedRun("r1", "m")}, faults)
    plan = plan_policy(asking, world.seen(), NOW)
    assert plan.blind
    assert plan.pending == ()
