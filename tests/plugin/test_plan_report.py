"""A report says what the operator's own plan says, and a dump of a snapshot gives the same report."""

import json
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.core.strategies_policy import NOW, World, checkpoint, deleted_paths, policy, training_run, worlds
from tests.plugin.snapshots import everyday, snapshot_of

from tinker_operator.api.hook_spec import Hook, HookJob
from tinker_operator.api.meta import ObjectMeta
from tinker_operator.api.policy_status import CheckpointPolicyStatus
from tinker_operator.api.retention_spec import RetentionAction
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.core.policy import next_policy_status, plan_policy
from tinker_operator.core.world import ObservedRun
from tinker_operator.plugin.files import Given
from tinker_operator.plugin.planning import Asked
from tinker_operator.plugin.planning import reported as reported_of
from tinker_operator.plugin.report import Fate, PolicyReport, fates_of, report_on
from tinker_operator.plugin.snapshot import Snapshot, UnreadableDump, dumped, restored

pytestmark = pytest.mark.pure
law = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
SECRET = "tml-never-in-a-file"


def reported(snapshot: Snapshot) -> PolicyReport:
    asking = snapshot.policies[0]
    return report_on(asking, snapshot.seen(asking), NOW)


def requested(world: World) -> set[str]:
    """What the operator deletes until nothing is left to delete, as announcing and deleting goes."""
    found: set[str] = set()
    while True:
        seen = world.seen()
        status = next_policy_status(world.policy, seen, plan_policy(world.policy, seen, NOW), (), NOW)
        status = status.model_copy(
            update={"validation": world.policy.status.validation, "exports": world.policy.status.exports}
        )
        asked = world.policy.model_copy(update={"status": status})
        world = replace(world, policies=(asked, *world.policies[1:]))
        paths = deleted_paths(plan_policy(asked, world.seen(), NOW).plan.actions)
        if not paths:
            return found
        found |= set(paths)
        world = world.without(paths)


@law
@given(worlds(deletes=True))
def test_what_goes_by_the_report_is_what_the_operator_deletes(world: World) -> None:
    """Where other policies have budgets, room that a deletion makes may keep more than was said; never less."""
    report = reported(snapshot_of(world))
    goes = {it.path for it in report.checkpoints if it.fate is Fate.GOES}
    budgets = [it.spec.retention.max_total_bytes for it in world.policies[1:]]
    deleted = requested(world)
    assert deleted <= goes
    if not any(budgets):
        assert deleted == goes


@law
@given(worlds())
def test_every_checkpoint_is_told_once_and_the_totals_add_up(world: World) -> None:
    report = reported(snapshot_of(world))
    judged = plan_policy(world.policy, world.seen(), NOW).judged
    assert sorted(it.path for it in report.checkpoints) == sorted(one.checkpoint.path for one in judged)
    assert sum(one.checkpoints for one in report.totals.values()) == len(judged)
    assert sum(one.bytes for one in report.totals.values()) == sum(one.checkpoint.size_bytes or 0 for one in judged)
    assert all((it.fate is Fate.STAYS) == bool(it.because) for it in report.checkpoints)
    assert all((it.fate is Fate.STAYS) == (it.rule is None) for it in report.checkpoints)


@law
@given(worlds())
def test_a_dump_gives_the_same_report(world: World) -> None:
    snapshot = snapshot_of(world)
    again = restored(dumped(snapshot))
    assert reported(again) == reported(snapshot)
    assert dumped(again) == dumped(snapshot)


@law
@given(worlds(), st.sampled_from(list(RetentionAction)))
def test_an_edit_that_changes_nothing_changes_no_fate(world: World, action: RetentionAction) -> None:
    retention = world.policy.spec.retention.model_copy(update={"action": action})
    same = world.policy.model_copy(update={"spec": world.policy.spec.model_copy(update={"retention": retention})})
    snapshot = snapshot_of(world).with_policy(same)
    before = fates_of(same, snapshot.seen(same), NOW)
    report = report_on(same, snapshot.seen(same), NOW, before)
    assert all(it.was is it.fate for it in report.checkpoints)


def test_grace_a_gap_and_an_older_policy_are_told() -> None:
    """One world with most fates in it."""
    report = reported(snapshot_of(everyday()))
    told = {fate: total.checkpoints for fate, total in report.totals.items() if total.checkpoints}
    assert told == {Fate.STAYS: 10, Fate.GOES: 2, Fate.WAITS: 7}
    assert [gap.training_run for gap in report.gaps] == ["chem-rl"]
    ends = {it.not_before for it in report.checkpoints if it.fate is Fate.GOES}
    assert all(end is not None and end <= NOW for end in ends)

    older = policy("older", created=NOW.replace(year=2020))
    younger = policy("younger", created=NOW)
    listed = {"r1": (checkpoint("old", 9), checkpoint("new"))}
    world = World((younger, older), (training_run(),), listed, {"r1": ObservedRun("r1", "m")}, {})
    left = reported(snapshot_of(world))
    assert left.totals[Fate.LEFT].checkpoints == 1
    assert left.left_to == ("lab/older",)


def hiding(run: TrainingRun) -> TrainingRun:
    """The same with a secret wherever a person might have put one."""
    template = {"spec": {"template": {"spec": {"containers": [{"name": "c", "env": [{"value": SECRET}]}]}}}}
    hook = Hook(name="tell", job=HookJob.model_validate({"template": template}))
    recovery = run.spec.recovery.model_copy(update={"on_recovery": (hook,)})
    spec = run.spec.model_copy(update={"recovery": recovery})
    metadata = run.metadata.model_copy(update={"annotations": {"last": SECRET}})
    return run.model_copy(update={"spec": spec, "metadata": metadata})


def test_a_dump_holds_no_secret() -> None:
    """Not from an annotation, a hook's Job, the metadata of a run or that of a checkpoint."""
    world = everyday()
    listings = {
        run: tuple(replace(it, metadata={**it.metadata, "note": SECRET, "pinned": SECRET}) for it in its)
        for run, its in world.listings.items()
    }
    views = {run: replace(view, metadata={"token": SECRET}) for run, view in world.views.items()}
    metadata = ObjectMeta(name="keep-what-counts", namespace="lab", annotations={"last": SECRET})
    asking = world.policy.model_copy(update={"metadata": metadata, "status": CheckpointPolicyStatus()})
    runs = tuple(map(hiding, world.runs))
    text = dumped(snapshot_of(replace(world, listings=listings, views=views, runs=runs, policies=(asking,))))
    assert SECRET not in text
    assert '"loss": "3.375"' in text


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"version": 2}, id="another version"),
        pytest.param({"kind": "Pod"}, id="another kind"),
        pytest.param({"sights": [{}]}, id="a part is missing"),
    ],
)
def test_what_is_no_dump_is_refused_with_a_remedy(change: dict[str, object]) -> None:
    text = json.dumps({**json.loads(dumped(snapshot_of(everyday()))), **change})
    with pytest.raises(UnreadableDump, match="write it anew with --dump"):
        restored(text)


def test_an_edited_policy_goes_on_where_the_one_in_the_cluster_stands() -> None:
    """Its marks and its age are those of the one in the cluster; a manifest has neither."""
    snapshot = snapshot_of(everyday())
    present = snapshot.policies[0]
    manifest = present.model_copy(
        update={"metadata": ObjectMeta(name="keep-what-counts", namespace="lab"), "status": CheckpointPolicyStatus()}
    )
    (told,) = reported_of(Asked(None, None, Given(None, (manifest,)), None), snapshot).policies
    assert told.edited
    assert told.totals[Fate.GOES].checkpoints == 2
    assert all(it.was is it.fate for it in told.checkpoints)
