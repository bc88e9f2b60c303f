"""Which checkpoint a recovery starts from: candidates in order, and a verdict for each that was looked at.

The walk goes back from the newest, or down from the best, to the first that is good, past the lost run to those that
it came from. What can be told from metadata is told here; whether it loads is told by the load itself, and a candidate
that does not load comes back here as judged. A verdict that cost a load or an export is remembered for as long as the
attempts count that it was made in, so that nothing is proven bad twice.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from tinker_operator.api.recovery_spec import ValidationLevel
from tinker_operator.api.recovery_status import CandidateVerdict, Verdict
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.core.candidate_order import Candidates, in_order, told
from tinker_operator.core.seen import RunSeen
from tinker_operator.core.world import Absent, CheckpointsOf, Fault, ObservedCheckpoint, WeightsOf, WeightsSeen

EXPIRY_MARGIN = timedelta(minutes=2)
"""A checkpoint that expires sooner may be gone before it has loaded."""
LASTING = frozenset({Verdict.NOT_LOADABLE, Verdict.UNSOUND, Verdict.BASE_MODEL_MISMATCH, Verdict.RANK_MISMATCH})
"""Verdicts on the content: the same checkpoint would get them again."""
Identity = tuple[str, datetime, int | None]


@dataclass(frozen=True, slots=True)
class Choice:
    """The candidate to restore next.

    Attributes:
        candidate: The checkpoint; None when no candidate is left.
        judged: Every candidate judged so far, those from before first.
        note: What there is to say about the order.
    """

    candidate: ObservedCheckpoint | None
    judged: tuple[CandidateVerdict, ...]
    note: str = ""


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
    candidates = in_order(run, seen, from_run)
    if isinstance(candidates, Fault):
        return candidates
    known, remembered = {one.checkpoint for one in judged}, _remembered(run)
    verdicts = [*judged, *(one for one in candidates.refused if one.checkpoint not in known)]
    for candidate in _each_once(candidates, {one.checkpoint for one in verdicts}):
        if isinstance(candidate, Fault):
            return candidate
        objection = remembered.get(_identity(candidate)) or _objection(run, seen, candidate, now)
        if isinstance(objection, Fault):
            return objection
        if objection is None:
            return Choice(candidate, tuple(verdicts), candidates.note)
        verdicts.append(objection)
    return Choice(None, tuple(verdicts), candidates.note)


def _each_once(candidates: Candidates, known: set[str]) -> Iterator[ObservedCheckpoint | Fault]:
    for candidate in candidates.ordered:
        if isinstance(candidate, Fault):
            yield candidate
        elif candidate.path not in known:
            known.add(candidate.path)
            yield candidate


def _identity(candidate: ObservedCheckpoint | CandidateVerdict) -> Identity | None:
    """Tells one content from another of the same name; None where the service tells no time."""
    path = candidate.path if isinstance(candidate, ObservedCheckpoint) else candidate.checkpoint
    return (path, candidate.time, candidate.size_bytes) if candidate.time is not None else None


def _remembered(run: TrainingRun) -> Mapping[Identity | None, CandidateVerdict]:
    recovery = run.status.recovery
    if recovery.budget_generation != run.metadata.generation:
        return {}
    counted = set(recovery.attempt_times)
    records = (record for record in recovery.history if record.started_at in counted)
    lasting = (one for record in records for one in record.candidates if one.verdict in LASTING)
    return {key: one for one in lasting if (key := _identity(one)) is not None}


def _objection(
    run: TrainingRun, seen: RunSeen, candidate: ObservedCheckpoint, now: datetime
) -> CandidateVerdict | Fault | None:
    by_listing = listed_objection(candidate, now) or _absence(run, seen, candidate, now)
    if by_listing is not None or run.spec.recovery.validation is ValidationLevel.LISTED:
        return by_listing
    weights = seen.ask(WeightsOf(candidate.path))
    match weights:
        case Fault():
            return weights
        case WeightsSeen():
            return mismatch(run, candidate, weights)
        case Absent():
            return told(candidate, Verdict.MISSING, "The service does not have it.")
        case _:
            return None


def _absence(
    run: TrainingRun, seen: RunSeen, candidate: ObservedCheckpoint, now: datetime
) -> CandidateVerdict | Fault | None:
    """What was named and not listed is looked up: some services load a deleted checkpoint as if it were there.

    By its name alone, since services spell paths differently. A listing that cannot be had speaks against none, unless
    it is all the proof that is asked for.
    """
    if candidate.time is not None:
        return None
    listing = seen.ask(CheckpointsOf(candidate.run_id))
    if isinstance(listing, tuple):
        listed = next((one for one in listing if _name(one) == _name(candidate)), None)
        if listed is not None:
            return listed_objection(replace(listed, path=candidate.path), now)
    elif run.spec.recovery.validation is not ValidationLevel.LISTED:
        return None
    return listing if isinstance(listing, Fault) else told(candidate, Verdict.MISSING, "The service does not list it.")


def _name(checkpoint: ObservedCheckpoint) -> str:
    return checkpoint.path.rpartition("/")[2]


def listed_objection(candidate: ObservedCheckpoint, now: datetime) -> CandidateVerdict | None:
    """Returns the verdict on a checkpoint that its listing alone speaks against; None when it does not."""
    if candidate.expires_at is not None and candidate.expires_at <= now + EXPIRY_MARGIN:
        return told(candidate, Verdict.EXPIRED, f"It expires at {candidate.expires_at.isoformat()}.")
    if candidate.size_bytes == 0:
        return told(candidate, Verdict.EMPTY, "It is listed with 0 bytes.")
    return None


def mismatch(run: TrainingRun, candidate: ObservedCheckpoint, weights: WeightsSeen) -> CandidateVerdict | None:
    """Returns the verdict on weights that are not the lost run's; None when none differs, as far as it is told."""
    status = run.status
    if not weights.is_lora:
        return told(candidate, Verdict.NOT_LORA, "It is not a LoRA checkpoint.")
    if weights.base_model and status.base_model and weights.base_model != status.base_model:
        message = f"It was trained on {weights.base_model}, the run on {status.base_model}."
        return told(candidate, Verdict.BASE_MODEL_MISMATCH, message)
    if weights.lora_rank and status.lora_rank and weights.lora_rank != status.lora_rank:
        message = f"Its LoRA rank is {weights.lora_rank}, the run's is {status.lora_rank}."
        return told(candidate, Verdict.RANK_MISMATCH, message)
    return None
