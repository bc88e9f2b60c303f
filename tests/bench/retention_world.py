"""The worlds of the bench of retention: a number of TrainingRuns with so many checkpoints each, all told as values.

Everything follows from the sizes, so that two processes that are given the same sizes judge the same checkpoints.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tinker_operator.api.checkpoint_policy import CheckpointPolicy, CheckpointPolicySpec, RunSelector
from tinker_operator.api.meta import ObjectMeta
from tinker_operator.api.retention_spec import Retention, RetentionAction
from tinker_operator.api.run_spec import RunSource, TrainingRunSpec
from tinker_operator.api.run_status import TrainingRunStatus
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.core.policy_references import references
from tinker_operator.core.policy_seen import Governed, PolicySeen
from tinker_operator.core.world import CheckpointsOf, ObservedCheckpoint, ObservedRun

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEEP_LAST = 5
NAMESPACE = "bench"


@dataclass(frozen=True, slots=True)
class Sizes:
    """How big a world is.

    Attributes:
        policies: How many policies share the TrainingRuns evenly.
        runs: TrainingRuns, one run at the service for each.
        checkpoints: Checkpoints of each.
    """

    policies: int
    runs: int
    checkpoints: int

    @classmethod
    def read(cls, text: str) -> "Sizes":
        """Returns what `policies,runs,checkpoints` says."""
        return cls(*(int(part) for part in text.split(",")))

    def __str__(self) -> str:
        return f"{self.policies},{self.runs},{self.checkpoints}"


def listing(number: int, checkpoints: int) -> tuple[ObservedCheckpoint, ...]:
    """Returns what the service lists for a run: each a minute after the one before, told newest first."""
    run_id = run_id_of(number)
    return tuple(
        ObservedCheckpoint(
            f"tinker://{run_id}/weights/step-{step:06}",
            run_id,
            time=NOW - timedelta(minutes=checkpoints - step, seconds=number % 60),
            size_bytes=100_000_000 + step,
            metadata={"step": str(step), "loss": f"{3 - step / 100:.3f}"},
        )
        for step in reversed(range(checkpoints))
    )


def run_id_of(number: int) -> str:
    """Returns the id of a run."""
    return f"{number:08x}-0000-4000-8000-000000000000:train:0"


def listings(sizes: Sizes) -> dict[str, tuple[ObservedCheckpoint, ...]]:
    """Returns every listing of a world, by run id."""
    return {run_id_of(number): listing(number, sizes.checkpoints) for number in range(sizes.runs)}


def policies(sizes: Sizes) -> tuple[CheckpointPolicy, ...]:
    """Returns the policies: each keeps the last five of its share of the TrainingRuns."""
    return tuple(_policy(number) for number in range(sizes.policies))


def seen(sizes: Sizes, its: dict[str, tuple[ObservedCheckpoint, ...]]) -> Iterator[tuple[CheckpointPolicy, PolicySeen]]:
    """Yields each policy with what it is decided from, as the controller gives it to the core."""
    runs = [_training_run(number, number % sizes.policies) for number in range(sizes.runs)]
    known, told = policies(sizes), references(runs)
    for number, policy in enumerate(known):
        share = runs[number :: sizes.policies]
        yield policy, PolicySeen(tuple(_governed(run, its) for run in share), known, told)


def _governed(run: TrainingRun, its: dict[str, tuple[ObservedCheckpoint, ...]]) -> Governed:
    run_id = run.status.training_run_id or ""
    return Governed(run, {run_id: ObservedRun(run_id, "base")}, {CheckpointsOf(run_id): its[run_id]})


def _policy(number: int) -> CheckpointPolicy:
    return CheckpointPolicy(
        metadata=ObjectMeta(name=f"policy-{number}", namespace=NAMESPACE, creation_timestamp=NOW),
        spec=CheckpointPolicySpec(
            selector=RunSelector(match_labels={"share": str(number)}),
            retention=Retention(action=RetentionAction.DELETE, keep_last=KEEP_LAST),
        ),
    )


def _training_run(number: int, share: int) -> TrainingRun:
    run_id = run_id_of(number)
    return TrainingRun(
        metadata=ObjectMeta(name=f"run-{number}", namespace=NAMESPACE, labels={"share": str(share)}),
        spec=TrainingRunSpec(run=RunSource(training_run_id=run_id)),
        status=TrainingRunStatus(training_run_id=run_id, lineage=(run_id,)),
    )
