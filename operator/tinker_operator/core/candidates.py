"""Which checkpoint a recovery starts from: candidates in order, and a verdict for each that was looked at.

The walk goes from the newest back to the first that is good, past the lost run to those that it came from. What can
be told from metadata is told here; whether
it loads is told by the load itself, and a candidate that does not load comes back here as judged.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tinker_operator.api.run_spec import CheckpointStrategy
from tinker_operator.api.run_status import CandidateVerdict, Verdict
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.core.seen import RunSeen
from tinker_operator.core.world import (
    Absent,
    CheckpointKind,
    CheckpointsOf,
    Fault,
    ObservedCheckpoint,
    WeightsOf,
    WeightsSeen,
)

EXPIRY_MARGIN = timedelta(minutes=2)
"""A checkpoint that expires sooner may be gone before it has loaded."""
BACKEND_PATIENCE = 2
"""Attempts in which the service may fail on one checkpoint before it comes after all others."""
_BEGINNING = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Choice:
    """The candidate to load next.

    Attributes:
        checkpoint: Its path; None when no candidate is left.
        candidates: Every candidate judged so far, those from before first.
    """

    checkpoint: str | None
    candidates: tuple[CandidateVerdict, ...]


def choose(
    run: TrainingRun, seen: RunSeen, from_run: str, judged: tuple[CandidateVerdict, ...], now: datetime
) -> Choice | Fault:
    """Returns the best candidate that nothing speaks against, or why that cannot be told now.

    Args:
        run: The object; its status carries base model and rank of the run that was lost.
        seen: What was observed.
        from_run: Id of the run that was lost.
        judged: Candidates that this attempt has already judged.
        now: For expiry.

    Raises:
        Unanswered: A listing or a checkpoint's weights must be read first.
    """
    verdicts = list(judged)
    for candidate in _in_order(run, seen, from_run):
        if isinstance(candidate, Fault):
            return candidate
        if any(verdict.checkpoint == candidate.path for verdict in verdicts):
            continue
        objection = _objection(run, seen, candidate, now)
        if isinstance(objection, Fault):
            return objection
        if objection is None:
            return Choice(candidate.path, tuple(verdicts))
        verdicts.append(objection)
    return Choice(None, tuple(verdicts))


def _in_order(run: TrainingRun, seen: RunSeen, from_run: str) -> Iterator[ObservedCheckpoint | Fault]:
    """Yields candidates best first; a listing is asked for only when every better candidate was refused."""
    if run.spec.recovery.checkpoint_strategy is CheckpointStrategy.SPECIFIC:
        path = run.spec.recovery.checkpoint or ""
        yield ObservedCheckpoint(path=path, run_id=run_of(path))
        return
    doubtful: list[ObservedCheckpoint] = []
    for candidate in _lineage_back(run, seen, from_run):
        if isinstance(candidate, ObservedCheckpoint) and _backend_failures(run, candidate.path) >= BACKEND_PATIENCE:
            doubtful.append(candidate)
        else:
            yield candidate
    yield from doubtful


def _lineage_back(run: TrainingRun, seen: RunSeen, from_run: str) -> Iterator[ObservedCheckpoint | Fault]:
    """Yields the lost run's checkpoints, then the one that it came from, then those of the runs before it."""
    yield from _listed(seen, from_run)
    source = run.status.recovery.restored_from
    if source is not None:
        yield ObservedCheckpoint(path=source, run_id=run_of(source))
    for earlier in reversed(run.status.lineage):
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


def _objection(
    run: TrainingRun, seen: RunSeen, candidate: ObservedCheckpoint, now: datetime
) -> CandidateVerdict | Fault | None:
    by_listing = _listed_objection(candidate, now)
    if by_listing is not None:
        return by_listing
    weights = seen.ask(WeightsOf(candidate.path))
    match weights:
        case Fault():
            return weights
        case WeightsSeen():
            return _mismatch(run, candidate.path, weights)
        case Absent():
            return CandidateVerdict(
                checkpoint=candidate.path, verdict=Verdict.MISSING, message="The service does not have it."
            )
        case _:
            return None


def _listed_objection(candidate: ObservedCheckpoint, now: datetime) -> CandidateVerdict | None:
    if candidate.expires_at is not None and candidate.expires_at <= now + EXPIRY_MARGIN:
        message = f"It expires at {candidate.expires_at.isoformat()}."
        return CandidateVerdict(checkpoint=candidate.path, verdict=Verdict.EXPIRED, message=message)
    if candidate.size_bytes == 0:
        return CandidateVerdict(checkpoint=candidate.path, verdict=Verdict.EMPTY, message="It is listed with 0 bytes.")
    return None


def _backend_failures(run: TrainingRun, path: str) -> int:
    return sum(
        verdict.checkpoint == path and verdict.verdict is Verdict.BACKEND_FAILED
        for record in run.status.recovery.history
        for verdict in record.candidates
    )


def _mismatch(run: TrainingRun, path: str, weights: WeightsSeen) -> CandidateVerdict | None:
    status = run.status
    if not weights.is_lora:
        return CandidateVerdict(checkpoint=path, verdict=Verdict.NOT_LORA, message="It is not a LoRA checkpoint.")
    if weights.base_model and status.base_model and weights.base_model != status.base_model:
        message = f"It was trained on {weights.base_model}, the run on {status.base_model}."
        return CandidateVerdict(checkpoint=path, verdict=Verdict.BASE_MODEL_MISMATCH, message=message)
    if weights.lora_rank and status.lora_rank and weights.lora_rank != status.lora_rank:
        message = f"Its LoRA rank is {weights.lora_rank}, the run's is {status.lora_rank}."
        return CandidateVerdict(checkpoint=path, verdict=Verdict.RANK_MISMATCH, message=message)
    return None
