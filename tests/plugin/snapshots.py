"""Snapshots for the tests of the plugin: a generated world, and one that a person could have."""

from datetime import timedelta

from tests.core.strategies_policy import NOW, UNREACHABLE, World, policy, training_run

from tinker_operator.api.checkpoint_policy import CheckpointPolicy
from tinker_operator.api.policy_status import CheckpointPolicyStatus, MarkedCheckpoint
from tinker_operator.api.recovery_spec import Metric
from tinker_operator.api.retention_spec import CheckpointType, KeepBest, RetentionAction
from tinker_operator.core.policy_references import run_key
from tinker_operator.core.world import CheckpointKind, CheckpointsOf, ObservedCheckpoint, ObservedRun
from tinker_operator.plugin.snapshot import Sight, Snapshot

GIB = 1024**3
LONG_RUN = "9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d:train:0"


def snapshot_of(world: World) -> Snapshot:
    """What the plugin would have looked at."""
    seen = world.seen()
    sights = {
        run_key(one.run): {
            run_id: Sight(view, one.answers[CheckpointsOf(run_id)]) for run_id, view in one.views.items()
        }
        for one in seen.governed
    }
    return Snapshot(NOW, whole=True, runs=world.runs, policies=world.policies, sights=sights)


def saved(run_id: str, step: int, hours_old: float, **facts: object) -> ObservedCheckpoint:
    kind = facts.pop("kind", CheckpointKind.TRAINING)
    word = "weights" if kind is CheckpointKind.TRAINING else "sampler_weights"
    name = facts.pop("name", f"step-{step:06}")
    made: dict[str, object] = {
        "time": NOW - timedelta(hours=hours_old),
        "size_bytes": int(1.37 * GIB) + step * 4096,
        "metadata": {"step": str(step), "loss": f"{4 - step / 4000:.3f}"},
    }
    return ObservedCheckpoint(f"tinker://{run_id}/{word}/{name}", run_id, kind=kind, **{**made, **facts})  # type: ignore[arg-type]


def everyday(action: RetentionAction = RetentionAction.DELETE) -> World:
    """Two TrainingRuns that are seen and one that is not; grace, a budget, pins, samplers."""
    math = [saved(LONG_RUN, step * 500, 200 - step * 14) for step in range(1, 15)]
    math[2] = saved(LONG_RUN, 1500, 158, metadata={"pinned": "true", "step": "1500", "loss": "3.6"})
    math[5] = saved(LONG_RUN, 3000, 116, public=True, size_bytes=None)
    play = [
        saved(LONG_RUN, step * 500, 190 - step * 14, kind=CheckpointKind.SAMPLER, size_bytes=40_000_000)
        for step in (1, 5)
    ]
    long_name = "experiment-with-a-very-long-name-that-somebody-generated-from-all-hyper-parameters-lr-1e-4-step-10"
    bio = [
        saved("c0ffee:train:1", 10, 30, name=long_name),
        saved("c0ffee:train:1", 20, 2),
        saved("c0ffee:train:1", 30, 0.2),
    ]
    runs = (
        training_run("math-sft", lineage=(LONG_RUN,), current=LONG_RUN),
        training_run("bio-dpo", lineage=("c0ffee:train:1",), current="c0ffee:train:1"),
        training_run("chem-rl", lineage=("beef:train:0",), current="beef:train:0"),
    )
    listings = {LONG_RUN: (*math, *play), "c0ffee:train:1": tuple(bio), "beef:train:0": ()}
    views = {run_id: ObservedRun(run_id, "Qwen/Qwen3-8B") for run_id in listings}
    return World(
        (_kept(action, math),), runs, listings, views, {("chem-rl", "beef:train:0"): (UNREACHABLE, UNREACHABLE)}
    )


def _kept(action: RetentionAction, math: list[ObservedCheckpoint]) -> CheckpointPolicy:
    waiting = (
        MarkedCheckpoint(
            path=it.path, time=it.time, size_bytes=it.size_bytes, training_run="math-sft", due_since=NOW - age
        )
        for it, age in zip(
            math[:4], [timedelta(hours=2), timedelta(hours=1), timedelta(), timedelta(minutes=20)], strict=True
        )
    )
    return policy(
        "keep-what-counts",
        action=action,
        namespace="lab",
        keep_last=5,
        keep_best=KeepBest(count=2, metric=Metric(name="loss")),
        checkpoint_types=(CheckpointType.TRAINING, CheckpointType.SAMPLER),
        grace_period_seconds=3600,
        max_deletions_per_hour=1,
        max_total_bytes=7 * GIB,
        status=CheckpointPolicyStatus(marked=tuple(waiting)),
    )
