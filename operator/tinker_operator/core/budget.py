"""How often, and how soon again: attempts counted over a window, and the wait between them.

Both are computed from status and the time, never from memory, so they survive a restart of the operator.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from hashlib import sha256

from tinker_operator.api.recovery_spec import BackoffType, FailureClass, Jitter, Recovery
from tinker_operator.api.recovery_status import RecoveryResult, RecoveryStatus

FAILURE_CLASSES: Mapping[RecoveryResult, FailureClass] = {
    RecoveryResult.NO_USABLE_CHECKPOINT: FailureClass.CHECKPOINT_INVALID,
    RecoveryResult.BACKEND_FAILED: FailureClass.BACKEND_UNAVAILABLE,
    RecoveryResult.TIMED_OUT: FailureClass.TIMEOUT,
    RecoveryResult.SESSION_LOST: FailureClass.SESSION_LOST,
    RecoveryResult.SUCCESSOR_MISMATCH: FailureClass.CONFLICT,
    RecoveryResult.TRAINER_FAILED: FailureClass.TRAINER_FAILED,
}
"""The one table of what is tried again: spec.recovery.retryOn names the classes. An abandoned attempt is no failure."""


def counted_attempts(
    recovery: Recovery, status: RecoveryStatus, generation: int, now: datetime
) -> tuple[datetime, ...]:
    """Returns the starts of the attempts that count against maxAttempts, oldest first.

    An attempt older than attemptWindowSeconds is forgiven, and so is one that lies further ahead, where only a clock
    that was put back can have left it; a change of spec forgives them all.
    """
    if status.budget_generation != generation:
        return ()
    window = timedelta(seconds=recovery.attempt_window_seconds)
    return tuple(start for start in status.attempt_times if abs(now - start) < window)


def seconds_to_wait(recovery: Recovery, status: RecoveryStatus, generation: int, now: datetime) -> float:
    """Returns how long the next attempt has to wait, in seconds; 0 when it may begin.

    A longer wait than the policy has was journalled by a clock that has been put back since: it is over.
    """
    if status.next_attempt_time is None or status.budget_generation != generation:
        return 0.0
    wait = (status.next_attempt_time - now).total_seconds()
    return wait if 0 < wait <= recovery.max_backoff_seconds + 1 else 0.0


def is_retried(recovery: Recovery, result: RecoveryResult) -> bool:
    """Tells whether another attempt follows one that ended so."""
    return result is RecoveryResult.ABANDONED or FAILURE_CLASSES.get(result) in recovery.retry_on


def backoff_seconds(recovery: Recovery, failures: int, spread: str) -> float:
    """Returns the wait after the last of so many failed attempts, in seconds, never above the cap.

    With full jitter it is anything up to that (Exponential Backoff And Jitter, AWS Architecture Blog), drawn from the
    spread: the same attempt of the same object waits the same time, however often it is computed.

    Args:
        recovery: The user's policy.
        failures: Failed attempts that count, at least 1.
        spread: What tells this attempt from all others.
    """
    growth = {
        BackoffType.CONSTANT: 1,
        BackoffType.LINEAR: failures,
        BackoffType.EXPONENTIAL: 1 << min(failures - 1, 32),
    }[recovery.backoff_type]
    whole = min(recovery.backoff_seconds * growth, recovery.max_backoff_seconds)
    return float(whole) if recovery.jitter is Jitter.NONE else whole * _fraction(spread)


def _fraction(spread: str) -> float:
    """Returns a number from 0 to 1 that looks random and follows from the text."""
    return int.from_bytes(sha256(spread.encode()).digest()[:8]) / 2**64
