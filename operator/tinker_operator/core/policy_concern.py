"""What background validation and publishing have in common: errands to the service, and patience with its trouble.

Neither may hold up retention: each waits out its own trouble, and shows it in a condition of its own.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from tinker_operator.api.reasons import Reason
from tinker_operator.api.validation_status import Setback
from tinker_operator.core.policy_standing import clipped
from tinker_operator.core.world import Action, Fault, Outcome

FIRST_PAUSE_SECONDS = 10.0
LONGEST_PAUSE_SECONDS = 600.0
_DOUBLINGS = 6
_MESSAGE_LIMIT = 1024
_NAMED_LIMIT = 5
"""Things that a message names."""


@dataclass(frozen=True, slots=True)
class Errand:
    """An action, and with whose key.

    Attributes:
        training_run: Name of the TrainingRun, in the policy's namespace, whose credentials are used.
        action: What to do.
    """

    training_run: str
    action: Action


@dataclass(frozen=True, slots=True)
class Returned:
    """An errand with what came of it."""

    errand: Errand
    outcome: Outcome


def set_back(before: Setback | None, fault: Fault, path: str | None, now: datetime) -> Setback:
    """Returns the pause after one more failure; it doubles with each in a row.

    Args:
        before: The setback that stands.
        fault: What went wrong.
        path: The checkpoint that it met.
        now: When.
    """
    failures = (before.failures if before is not None else 0) + 1
    pause = min(FIRST_PAUSE_SECONDS * 2 ** min(failures - 1, _DOUBLINGS), LONGEST_PAUSE_SECONDS)
    message = clipped(fault.message, _MESSAGE_LIMIT)
    retry = now + timedelta(seconds=pause)
    return Setback(reason=fault.reason, message=message, path=path, failures=failures, retry_time=retry)


def waits(setback: Setback | None, now: datetime) -> bool:
    """Tells whether nothing is to be tried yet."""
    return setback is not None and now < setback.retry_time


def seconds_until(time: datetime, now: datetime) -> float:
    """Returns how long until then, in seconds; 0 when it is past."""
    return max(0.0, (time - now).total_seconds())


def cause_of(setback: Setback) -> Reason:
    """Returns the cause as a condition shows it; one that this version does not know is an unexpected one."""
    return Reason(setback.reason) if setback.reason in set(Reason) else Reason.UNEXPECTED_STATUS


def soonest(*seconds: float | None) -> float | None:
    """Returns the smallest; None, which is never, when there is none."""
    return min((one for one in seconds if one is not None), default=None)


def listed_names(names: Iterable[str]) -> str:
    """Returns the first five in sorted order, and says if there are more."""
    ordered = sorted(set(names))
    more = " and others" if len(ordered) > _NAMED_LIMIT else ""
    return f"{', '.join(ordered[:_NAMED_LIMIT])}{more}"
