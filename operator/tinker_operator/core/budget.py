"""How often, and how soon again: attempts counted over a window, and the wait between them.

Both are computed from status and the time, never from memory, so they survive a restart of the operator.
"""

from datetime import datetime, timedelta

from tinker_operator.api.run_spec import BackoffType, Recovery
from tinker_operator.api.run_status import RecoveryStatus


def counted_attempts(
    recovery: Recovery, status: RecoveryStatus, generation: int, now: datetime
) -> tuple[datetime, ...]:
    """Returns the starts of the attempts that count against maxAttempts, oldest first.

    An attempt older than attemptWindowSeconds is forgiven; a change of spec forgives them all.
    """
    if status.budget_generation != generation:
        return ()
    since = now - timedelta(seconds=recovery.attempt_window_seconds)
    return tuple(start for start in status.attempt_times if start > since)


def backoff_seconds(recovery: Recovery, failures: int) -> int:
    """Returns the wait after the last of so many failed attempts, in seconds, never above the cap.

    Args:
        recovery: The user's policy.
        failures: Failed attempts that count, at least 1.
    """
    growth = {
        BackoffType.CONSTANT: 1,
        BackoffType.LINEAR: failures,
        BackoffType.EXPONENTIAL: 1 << min(failures - 1, 32),
    }[recovery.backoff_type]
    return min(recovery.backoff_seconds * growth, recovery.max_backoff_seconds)
