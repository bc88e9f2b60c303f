"""How fast a CheckpointPolicy deletes: the grace period of each checkpoint, and the cap on deletions of an hour.

Both live in status, so that a restart neither forgets how long a checkpoint has waited nor begins a new hour. The plan
(`policy`) asks what is ripe and how many may go, and writes the marks and the counts that follow.
"""

from collections.abc import Container, Iterable, Sequence
from datetime import datetime, timedelta

from tinker_operator.api.checkpoint_policy import CheckpointPolicy
from tinker_operator.api.policy_status import (
    MARKED_LIMIT,
    SHOWN_LIMIT,
    CheckpointPolicyStatus,
    DeletionCount,
    MarkedCheckpoint,
    NextDeletion,
)
from tinker_operator.core.policy_judgement import Judged
from tinker_operator.core.retention import Due

_HOUR = timedelta(hours=1)
_MINUTE = timedelta(minutes=1)
Identity = tuple[str, datetime | None, int | None]


def next_marks(
    policy: CheckpointPolicy, pending: Sequence[Judged], incomplete: Container[str], now: datetime
) -> tuple[MarkedCheckpoint, ...]:
    """Returns the checkpoints that wait out their grace period, with the time since when nothing keeps them.

    What something keeps again, or was saved anew, has lost its mark and begins afresh; what cannot be seen whole now
    keeps it. While all places are taken the others wait without a mark, so they go later, never earlier.

    Args:
        policy: The policy, with the marks that stand.
        pending: What it is going to delete, in order; nothing when it deletes nothing.
        incomplete: Names of TrainingRuns whose view is not complete.
        now: The time that a new mark carries.
    """
    if not policy.spec.retention.grace_period_seconds:
        return ()
    present = {_identity(one): one for one in pending}
    stand = [it for it in policy.status.marked if _marked(it) in present or it.training_run in incomplete]
    known = {_marked(it) for it in stand}
    fresh = (_mark(one, now) for key, one in present.items() if key not in known)
    return (*stand, *fresh)[:MARKED_LIMIT]


def ripe(
    policy: CheckpointPolicy, marks: Iterable[MarkedCheckpoint], pending: Sequence[Judged], now: datetime
) -> tuple[Judged, ...]:
    """Returns what has waited long enough, in the order of `pending`.

    Args:
        policy: The policy.
        marks: What `next_marks` returned.
        pending: What it is going to delete, in order.
        now: The time.
    """
    grace = policy.spec.retention.grace_period_seconds
    if not grace:
        return tuple(pending)
    waited = {_marked(it) for it in marks if now - it.due_since >= timedelta(seconds=grace)}
    return tuple(one for one in pending if _identity(one) in waited)


def allowance(policy: CheckpointPolicy, uncounted: int, now: datetime) -> int:
    """Returns how many deletions may follow now.

    A minute is let go of when all of it is more than an hour ago, so no hour ever sees more than the cap.

    Args:
        policy: The policy, with the counts that stand.
        uncounted: Deletions that happened, or may have, and are not in the counts yet.
        now: The time.
    """
    recent = sum(it.count for it in policy.status.recent_deletions if it.minute + _MINUTE + _HOUR > now)
    return max(0, policy.spec.retention.max_deletions_per_hour - recent - uncounted)


def next_counts(status: CheckpointPolicyStatus, deleted: int, now: datetime) -> tuple[DeletionCount, ...]:
    """Returns the counts after these deletions; they stand still while nothing is deleted."""
    if not deleted:
        return status.recent_deletions
    minute = now.replace(second=0, microsecond=0)
    before = {it.minute: it.count for it in status.recent_deletions if it.minute + _MINUTE + _HOUR > now}
    counts = {**before, minute: before.get(minute, 0) + deleted}
    return tuple(DeletionCount(minute=minute, count=count) for minute, count in sorted(counts.items()))


def next_deletions(
    policy: CheckpointPolicy, marks: Iterable[MarkedCheckpoint], due: Iterable[Judged]
) -> tuple[NextDeletion, ...]:
    """Returns the first twenty that go, or would go, and when the grace period of each ends.

    Args:
        policy: The policy.
        marks: The marks that stand.
        due: What goes, in order.
    """
    grace = timedelta(seconds=policy.spec.retention.grace_period_seconds)
    ends = {_marked(it): it.due_since + grace for it in marks}
    first = [one for one, _ in zip(due, range(SHOWN_LIMIT), strict=False)]
    return tuple(_next(one, ends.get(_identity(one))) for one in first)


def since(marks: Iterable[MarkedCheckpoint]) -> dict[Identity, datetime]:
    """Returns since when nothing keeps each marked checkpoint."""
    return {_marked(it): it.due_since for it in marks}


def _next(one: Judged, not_before: datetime | None) -> NextDeletion:
    path, time, size = _identity(one)
    return NextDeletion(
        path=path,
        time=time,
        training_run=one.training_run,
        size_bytes=size,
        rule=(one.judgement if isinstance(one.judgement, Due) else Due()).rule,
        not_before=not_before,
    )


def _mark(one: Judged, now: datetime) -> MarkedCheckpoint:
    path, time, size = _identity(one)
    return MarkedCheckpoint(path=path, time=time, size_bytes=size, training_run=one.training_run, due_since=now)


def _marked(it: MarkedCheckpoint) -> Identity:
    return it.path, it.time, it.size_bytes


def _identity(one: Judged) -> Identity:
    return one.checkpoint.path, one.checkpoint.time, one.checkpoint.size_bytes
