"""The part of a CheckpointPolicy's status that shows the plan: counts, bytes, and the newest of each list."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime

from tinker_operator.api.policy_status import (
    SHOWN_LIMIT,
    CheckpointPolicyStatus,
    DeletedCheckpoint,
    DeletingCheckpoint,
    DueCheckpoint,
    KeptCheckpoint,
    MarkedCheckpoint,
)
from tinker_operator.core.policy_expiry import shown_expiring
from tinker_operator.core.policy_judgement import Judged
from tinker_operator.core.policy_pace import Identity, since
from tinker_operator.core.retention import Due, Kept


def shown(
    judged: Iterable[Judged], gone: Iterable[str], soon: Iterable[Judged], marks: Iterable[MarkedCheckpoint]
) -> CheckpointPolicyStatus:
    """Returns a status that tells of these checkpoints, and of nothing else.

    Args:
        judged: Checkpoints with their judgements, newest first.
        gone: Paths of those that were deleted in this pass.
        soon: Those of them that expire within a day and still do.
        marks: The marks that stand.
    """
    deleted = frozenset(gone)
    left = [one for one in judged if one.checkpoint.path not in deleted]
    kept = [(one, one.judgement) for one in left if isinstance(one.judgement, Kept)]
    due = [(one, one.judgement) for one in left if isinstance(one.judgement, Due)]
    expiring, waiting = tuple(soon), since(marks)
    return CheckpointPolicyStatus(
        checkpoints=len(left),
        kept_count=len(kept),
        due_count=len(due),
        kept_bytes=_bytes(one for one, _ in kept),
        due_bytes=_bytes(one for one, _ in due),
        kept_by_reason=_counted(str(reason) for _, judgement in kept for reason in judgement.because),
        due_by_rule=_counted(str(judgement.rule) for _, judgement in due),
        kept=tuple(_kept(one, judgement) for one, judgement in kept[:SHOWN_LIMIT]),
        due=tuple(_due(one, judgement, waiting) for one, judgement in due[:SHOWN_LIMIT]),
        expiring_count=len(expiring),
        expiring=shown_expiring(expiring),
    )


def deleted_entry(one: Judged | DeletingCheckpoint, now: datetime) -> DeletedCheckpoint:
    """Returns the record of a deletion."""
    it = one.checkpoint if isinstance(one, Judged) else one
    return DeletedCheckpoint(path=it.path, time=it.time, training_run=one.training_run, deleted_at=now)


def _counted(words: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(words).items()))


def _bytes(judged: Iterable[Judged]) -> int:
    return sum(one.checkpoint.size_bytes or 0 for one in judged)


def _kept(one: Judged, judgement: Kept) -> KeptCheckpoint:
    it = one.checkpoint
    return KeptCheckpoint(path=it.path, time=it.time, training_run=one.training_run, because=judgement.because)


def _due(one: Judged, judgement: Due, waiting: Mapping[Identity, datetime]) -> DueCheckpoint:
    it = one.checkpoint
    return DueCheckpoint(
        path=it.path,
        time=it.time,
        training_run=one.training_run,
        size_bytes=it.size_bytes,
        rule=judgement.rule,
        due_since=waiting.get((it.path, it.time, it.size_bytes)),
    )
