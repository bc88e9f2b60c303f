"""The order in which checkpoints are tried, by spec.recovery.checkpointStrategy.

Latest reads lazily: a listing is asked for only when every better candidate was refused. Best has to know all of them.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from tinker_operator.api.recovery_spec import CheckpointStrategy, Metric
from tinker_operator.api.recovery_status import CandidateVerdict, Verdict
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.core.metrics import metric_value, rank_of
from tinker_operator.core.seen import RunSeen
from tinker_operator.core.world import Absent, CheckpointKind, CheckpointsOf, Fault, ObservedCheckpoint

BACKEND_PATIENCE = 2
"""Attempts in which the service may fail on one checkpoint before it comes after all others."""
_BEGINNING = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Candidates:
    """What can be restored, in order.

    Attributes:
        ordered: Best first; a Fault where a listing that comes next cannot be had. One may come twice.
        refused: Those that the strategy rules out, with the verdict.
        note: What there is to say about the order.
    """

    ordered: Iterable[ObservedCheckpoint | Fault]
    refused: tuple[CandidateVerdict, ...] = ()
    note: str = ""


def in_order(run: TrainingRun, seen: RunSeen, from_run: str) -> Candidates | Fault:
    """Returns the candidates of an attempt.

    Args:
        run: The object.
        seen: What was observed.
        from_run: Id of the run that was lost.

    Raises:
        Unanswered: A listing must be read first; also while the candidates are gone through.
    """
    recovery = run.spec.recovery
    if recovery.checkpoint_strategy is CheckpointStrategy.SPECIFIC:
        path = recovery.checkpoint or ""
        return Candidates((ObservedCheckpoint(path=path, run_id=run_of(path)),))
    newest = _lineage_back(run, seen, from_run)
    if recovery.checkpoint_strategy is CheckpointStrategy.LATEST or recovery.metric is None:
        return Candidates(_doubtful_last(run, newest))
    every = tuple(newest)
    fault = next((one for one in every if isinstance(one, Fault)), None)
    return fault or _best_first(run, _once([one for one in every if not isinstance(one, Fault)]), recovery.metric)


def _once(candidates: list[ObservedCheckpoint]) -> tuple[ObservedCheckpoint, ...]:
    """Keeps the order; of one path, what a listing says of it counts more than the bare path."""
    listed = {one.path: one for one in candidates if one.time is not None}
    return tuple({one.path: listed.get(one.path, one) for one in candidates}.values())


def _best_first(run: TrainingRun, newest: tuple[ObservedCheckpoint, ...], metric: Metric) -> Candidates:
    """Of equal ones the newer; those without a value stand aside, unless none has one."""
    values = {one.path: value for one in newest if (value := metric_value(one, metric)) is not None}
    if not values:
        note = f"No checkpoint carries a finite {metric.name}, so the latest is taken."
        return Candidates(_doubtful_last(run, newest), note=note)
    measured = [one for one in newest if one.path in values]
    best = sorted(measured, key=lambda one: rank_of(values[one.path], metric))
    message = f"It carries no finite {metric.name}."
    refused = tuple(told(one, Verdict.NO_METRIC, message) for one in newest if one.path not in values)
    return Candidates(_doubtful_last(run, best), refused)


def told(candidate: ObservedCheckpoint, verdict: Verdict, message: str) -> CandidateVerdict:
    """Returns a verdict on a candidate."""
    return CandidateVerdict(
        checkpoint=candidate.path,
        time=candidate.time,
        size_bytes=candidate.size_bytes,
        verdict=verdict,
        message=message,
    )


def _doubtful_last(
    run: TrainingRun, candidates: Iterable[ObservedCheckpoint | Fault]
) -> Iterator[ObservedCheckpoint | Fault]:
    """Yields those that the service has failed on before after all others."""
    doubtful: list[ObservedCheckpoint] = []
    for candidate in candidates:
        if isinstance(candidate, ObservedCheckpoint) and _backend_failures(run, candidate.path) >= BACKEND_PATIENCE:
            doubtful.append(candidate)
        else:
            yield candidate
    yield from doubtful


def _lineage_back(run: TrainingRun, seen: RunSeen, from_run: str) -> Iterator[ObservedCheckpoint | Fault]:
    """Yields the lost run's checkpoints, then the one that it came from, then those of the runs before it."""
    status = run.status
    if isinstance(seen.ask(CheckpointsOf(from_run)), Absent) and status.last_checkpoint is not None:
        # The run is gone and so is its listing; what it saved last may still load.
        last = status.last_checkpoint
        yield ObservedCheckpoint(path=last.path, run_id=from_run, time=last.time)
    yield from _listed(seen, from_run)
    if status.recovery.restored_from is not None:
        source = status.recovery.restored_from
        yield ObservedCheckpoint(path=source, run_id=run_of(source))
    for earlier in reversed(status.lineage):
        if earlier != from_run:
            yield from _listed(seen, earlier)


def _listed(seen: RunSeen, run_id: str) -> Iterator[ObservedCheckpoint | Fault]:
    listing = seen.ask(CheckpointsOf(run_id))
    if isinstance(listing, Fault):
        yield listing
    elif isinstance(listing, tuple):
        yield from newest_first(listing)


def newest_first(checkpoints: Iterable[ObservedCheckpoint]) -> tuple[ObservedCheckpoint, ...]:
    """Returns the training checkpoints, newest first; one without a time comes last, equal times by path."""
    training = (checkpoint for checkpoint in checkpoints if checkpoint.kind is CheckpointKind.TRAINING)
    return tuple(sorted(training, key=lambda one: (one.time or _BEGINNING, _natural(one.path)), reverse=True))


def _natural(path: str) -> tuple[tuple[int, str], ...]:
    """Orders step-9 before step-100, for services that tell no times."""
    return tuple((int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", path))


def run_of(path: str) -> str:
    """Returns the run id in a checkpoint path, tinker://<run>/weights/<name>."""
    return path.removeprefix("tinker://").partition("/")[0]


def _backend_failures(run: TrainingRun, path: str) -> int:
    return sum(
        verdict.checkpoint == path and verdict.verdict is Verdict.BACKEND_FAILED
        for record in run.status.recovery.history
        for verdict in record.candidates
    )
