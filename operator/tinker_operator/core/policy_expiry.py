"""What a CheckpointPolicy keeps and the service would delete all the same: checkpoints that expire.

The plan (`policy`) shows what expires within a day and, if the policy says so, takes the expiry away. Later is early
enough for that: most checkpoints that live for a time are let go of before.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from tinker_operator.api.checkpoint_policy import CheckpointPolicy
from tinker_operator.api.policy_status import SHOWN_LIMIT, ExpiringCheckpoint, KeepReason
from tinker_operator.core.policy_judgement import Judged
from tinker_operator.core.policy_seen import lets_go
from tinker_operator.core.retention import Kept
from tinker_operator.core.world import SetCheckpointTtl

SOON = timedelta(days=1)
"""What expires within this time is shown, and extended if the policy says so."""
EXTENSIONS_PER_PASS = 10


def expiring(judged: Iterable[Judged], now: datetime) -> tuple[Judged, ...]:
    """Returns what this policy keeps, not another one alone, and what expires soon or has expired, in the same order.

    Args:
        judged: The checkpoints with their judgements.
        now: The time.
    """
    return tuple(one for one in judged if _is_kept_here(one) and _expires_by(one, now + SOON))


def extensions(policy: CheckpointPolicy, soon: Sequence[Judged], now: datetime) -> tuple[SetCheckpointTtl, ...]:
    """Returns which expiries to take away now: the next to expire first, none of what has expired.

    Args:
        policy: The policy; one that deletes nothing changes nothing either.
        soon: What `expiring` returned.
        now: The time.
    """
    if not policy.spec.retention.extend_ttl or not lets_go(policy):
        return ()
    left = ((it.checkpoint.expires_at, it.checkpoint.path) for it in soon if not _expires_by(it, now))
    first = sorted((at, path) for at, path in left if at is not None)
    return tuple(SetCheckpointTtl(path, None) for _, path in first[:EXTENSIONS_PER_PASS])


def shown_expiring(soon: Iterable[Judged]) -> tuple[ExpiringCheckpoint, ...]:
    """Returns the newest twenty as status shows them."""
    told = (
        ExpiringCheckpoint(path=it.checkpoint.path, training_run=it.training_run, expires_at=it.checkpoint.expires_at)
        for it in soon
        if it.checkpoint.expires_at is not None
    )
    return tuple(told)[:SHOWN_LIMIT]


def _is_kept_here(one: Judged) -> bool:
    kept = one.judgement.because if isinstance(one.judgement, Kept) else ()
    return any(reason is not KeepReason.OTHER_POLICY for reason in kept)


def _expires_by(one: Judged, time: datetime) -> bool:
    return one.checkpoint.expires_at is not None and one.checkpoint.expires_at <= time
