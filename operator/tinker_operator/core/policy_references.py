"""Which checkpoints TrainingRuns refer to, gathered over all TrainingRuns of the cluster.

Retention asks this before it lets a checkpoint go: a checkpoint of one run may be what another run's recovery
restores from. The value depends on TrainingRuns alone, so the shell can make it once for all policies.

A new kind of reference is a function from a TrainingRun to paths, and a line in `_NAMED`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from tinker_operator.api.meta import ConditionStatus
from tinker_operator.api.policy_status import KeepReason
from tinker_operator.api.reasons import ConditionType
from tinker_operator.api.recovery_status import CandidateVerdict, Verdict
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.core.conditions import find_condition

_NO_FAULT_OF_THE_CHECKPOINT = frozenset({Verdict.GOOD, Verdict.NO_METRIC, Verdict.BACKEND_FAILED})


@dataclass(frozen=True, slots=True)
class References:
    """What TrainingRuns say about checkpoints and runs.

    Attributes:
        named: Paths that must stay, by the reason.
        recovering: Ids of runs whose every training checkpoint is a candidate of a recovery.
        refused: Paths that a recovery looked at and found unusable; the service's own failures do not count.
        followers: The TrainingRuns that have a run in their lineage, by run id, sorted by namespace and name.
    """

    named: Mapping[KeepReason, frozenset[str]] = field(default_factory=dict)
    recovering: frozenset[str] = frozenset()
    refused: frozenset[str] = frozenset()
    followers: Mapping[str, tuple[TrainingRun, ...]] = field(default_factory=dict)


def references(runs: Iterable[TrainingRun]) -> References:
    """Returns what these TrainingRuns refer to; give it those of every namespace.

    Args:
        runs: All TrainingRuns of the cluster, in any order.
    """
    ordered = sorted(runs, key=run_key)
    followers: dict[str, list[TrainingRun]] = {}
    for run in ordered:
        for run_id in followed_runs(run):
            followers.setdefault(run_id, []).append(run)
    return References(
        named={reason: _present(path for run in ordered for path in paths(run)) for reason, paths in _NAMED},
        recovering=frozenset(run_id for run in ordered for run_id in _recovering(run)),
        refused=frozenset(path for run in ordered for path in _refused(run)),
        followers={run_id: tuple(found) for run_id, found in followers.items()},
    )


def run_key(run: TrainingRun) -> tuple[str, str]:
    """Returns namespace and name: the identity of a TrainingRun."""
    return run.metadata.namespace, run.metadata.name


def followed_runs(run: TrainingRun) -> tuple[str, ...]:
    """Returns the ids of all runs of the lineage, oldest first, the current one included; none if it is unbound."""
    current = run.status.training_run_id
    return tuple(dict.fromkeys((*run.status.lineage, *(() if current is None else (current,)))))


def _present(paths: Iterable[str | None]) -> frozenset[str]:
    return frozenset(path for path in paths if path is not None)


def _is_flagged(run: TrainingRun) -> bool:
    corrupted = find_condition(run.status.conditions, ConditionType.CORRUPTED)
    return corrupted is not None and corrupted.status is ConditionStatus.TRUE


def _recovering(run: TrainingRun) -> Iterable[str]:
    """Between two attempts nothing is in flight, yet the next one needs its candidates: the flag bridges the gap.

    A recovery walks back over the whole lineage.
    """
    recovery = run.status.recovery
    waiting = recovery.next_attempt_time is not None or _is_flagged(run)
    if recovery.in_flight is not None:
        yield recovery.in_flight.from_training_run_id
    if recovery.in_flight is not None or (run.spec.recovery.enabled and waiting):
        yield from followed_runs(run)


def _verdicts(run: TrainingRun) -> Iterable[CandidateVerdict]:
    for record in run.status.recovery.history:
        yield from record.candidates
    if run.status.recovery.in_flight is not None:
        yield from run.status.recovery.in_flight.candidates


def _refused(run: TrainingRun) -> Iterable[str]:
    return (seen.checkpoint for seen in _verdicts(run) if seen.verdict not in _NO_FAULT_OF_THE_CHECKPOINT)


def _last_known(run: TrainingRun) -> Iterable[str | None]:
    if run.status.last_checkpoint is not None and (_is_flagged(run) or run.status.recovery.in_flight is not None):
        yield run.status.last_checkpoint.path


def _in_flight(run: TrainingRun) -> Iterable[str | None]:
    if run.status.recovery.in_flight is not None:
        yield run.status.recovery.in_flight.checkpoint
        yield from (seen.checkpoint for seen in run.status.recovery.in_flight.candidates)


def _restored_from(run: TrainingRun) -> Iterable[str | None]:
    yield run.status.recovery.restored_from


def _handed_over(run: TrainingRun) -> Iterable[str | None]:
    if run.status.hand_over is not None:
        yield run.status.hand_over.checkpoint


def _begun_from(run: TrainingRun) -> Iterable[str | None]:
    create = run.spec.run.create
    yield create.source.checkpoint if create is not None and create.source is not None else None


def _specific(run: TrainingRun) -> Iterable[str | None]:
    yield run.spec.recovery.checkpoint


_NAMED: tuple[tuple[KeepReason, Callable[[TrainingRun], Iterable[str | None]]], ...] = (
    (KeepReason.CORRUPTED_RUN, _last_known),
    (KeepReason.RECOVERY_IN_FLIGHT, _in_flight),
    (KeepReason.RECOVERY_SOURCE, _restored_from),
    (KeepReason.HANDED_OVER, _handed_over),
    (KeepReason.SPECIFIC, _specific),
    (KeepReason.BEGUN_FROM, _begun_from),
)
