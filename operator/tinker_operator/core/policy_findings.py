"""The verdicts that a CheckpointPolicy remembers: which checkpoints are to have one, and which are forgotten."""

from collections.abc import Container, Iterable, Sequence
from datetime import UTC, datetime

from tinker_operator.api.recovery_spec import ValidationLevel
from tinker_operator.api.recovery_status import VERDICT_MESSAGE_LIMIT, CandidateVerdict, Verdict
from tinker_operator.api.validation_status import FINDINGS_LIMIT, CheckpointFinding, PolicyValidationStatus
from tinker_operator.core.candidates import EXPIRY_MARGIN, listed_objection
from tinker_operator.core.policy_group import is_training
from tinker_operator.core.policy_judgement import Judged
from tinker_operator.core.policy_standing import clipped
from tinker_operator.core.policy_verdicts import Identity, identity
from tinker_operator.core.retention import Kept
from tinker_operator.core.world import ObservedCheckpoint

_EARLIEST = datetime.min.replace(tzinfo=UTC)


def staying(judged: Iterable[Judged], now: datetime) -> tuple[Judged, ...]:
    """Returns what is to be proven, in order: the newest of every TrainingRun, then the others, newest first.

    What goes is not: it would be proven in vain. Nor what has no time, since nobody could tell it from another content,
    nor what expires before it could be loaded.

    Args:
        judged: What retention made of the checkpoints, newest first.
        now: For expiry.
    """
    stay = [
        one
        for one in judged
        if isinstance(one.judgement, Kept) and _lasts(one.checkpoint, now) and is_training(one.checkpoint)
    ]
    newest: dict[str, Judged] = {}
    for one in stay:
        newest.setdefault(one.training_run, one)
    first = {one.checkpoint.path for one in newest.values()}
    return (*newest.values(), *(one for one in stay if one.checkpoint.path not in first))[:FINDINGS_LIMIT]


def _lasts(checkpoint: ObservedCheckpoint, now: datetime) -> bool:
    soon = checkpoint.expires_at is not None and checkpoint.expires_at <= now + EXPIRY_MARGIN
    return checkpoint.time is not None and not soon


def pruned(
    known: PolicyValidationStatus, present: Container[Identity], incomplete: Container[str]
) -> PolicyValidationStatus:
    """Returns what is still known: what a complete view does not show as it was is forgotten.

    Args:
        known: What was known.
        present: The checkpoints of complete views.
        incomplete: Names of TrainingRuns that cannot be seen whole now: what is known of theirs is remembered.
    """
    stay = (it for it in known.verdicts if identity(it) in present or it.training_run in incomplete)
    return known.model_copy(update={"verdicts": tuple(stay)})


def bounded(verdicts: Iterable[CheckpointFinding], stay: Sequence[Judged] | None) -> tuple[CheckpointFinding, ...]:
    """Returns the verdicts, newest first, no more than are remembered: those of what stays, as it is proven, first."""
    newest = sorted(verdicts, key=lambda it: (it.time or _EARLIEST, it.path), reverse=True)
    if len(newest) <= FINDINGS_LIMIT:
        return tuple(newest)
    first = {identity(one.checkpoint) for one in (stay or ())[:FINDINGS_LIMIT]}
    chosen = sorted(newest, key=lambda it: identity(it) not in first)[:FINDINGS_LIMIT]
    wanted = {identity(it) for it in chosen}
    return tuple(it for it in newest if identity(it) in wanted)


def by_listing(one: Judged, level: ValidationLevel, now: datetime) -> CheckpointFinding | None:
    """Returns the verdict that the listing alone gives; None when the level asks for more."""
    objection = listed_objection(one.checkpoint, now)
    if objection is not None:
        return finding(one.checkpoint, one.training_run, level, objection)
    return finding(one.checkpoint, one.training_run, level, None) if level is ValidationLevel.LISTED else None


def finding(
    it: ObservedCheckpoint, name: str, level: ValidationLevel, objection: CandidateVerdict | None
) -> CheckpointFinding:
    """Returns the verdict on a checkpoint: good where there is no objection."""
    return CheckpointFinding(
        path=it.path,
        time=it.time,
        size_bytes=it.size_bytes,
        training_run=name,
        level=level,
        verdict=objection.verdict if objection is not None else Verdict.GOOD,
        message=clipped(objection.message, VERDICT_MESSAGE_LIMIT) if objection is not None else "",
    )


def with_findings(section: PolicyValidationStatus, *found: CheckpointFinding) -> PolicyValidationStatus:
    """Returns what is known with these verdicts in it."""
    new = {identity(it) for it in found}
    before = (it for it in section.verdicts if identity(it) not in new)
    return section.model_copy(update={"verdicts": (*before, *found)})
