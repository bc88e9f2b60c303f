"""When a listing of a run's checkpoints is as good as a new one, so that a policy at rest asks for nothing.

The shell keeps listings between the passes of policies and asks here. What is shown of a run by the inventory, which
is had once per interval anyway, tells that it may have changed. Not every change shows there, so a listing has a
longest age. Whatever cannot be taken back is decided on a new listing all the same (`policy_relisting`).
"""

import zlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from tinker_operator.core.world import ObservedCheckpoint, ObservedRun, RunView

LONGEST_AGE_SECONDS = 600.0
"""A listing older than this is never used."""
INTERVALS = 10
"""Poll intervals of the TrainingRun after which it is not used any more, if that is sooner."""
SHORTEST_PART = 0.5
"""The part of its longest age that the first of the listings lives for: those had together are not renewed together."""


@dataclass(frozen=True, slots=True)
class Signs:
    """What the inventory shows of a run that moves when its checkpoints do.

    Attributes:
        last_request_time: When it was last used.
        last_checkpoint: Its newest training checkpoint.
        last_sampler_checkpoint: Its newest sampler checkpoint.
        corrupted: What the service says of it.
    """

    last_request_time: datetime
    last_checkpoint: ObservedCheckpoint | None
    last_sampler_checkpoint: ObservedCheckpoint | None
    corrupted: bool


@dataclass(frozen=True, slots=True)
class KeptListing:
    """The checkpoints of a run as they were listed.

    Attributes:
        checkpoints: All of them.
        signs: What the inventory showed before the service was asked.
        listed_at: When it was asked.
        expires_at: When the first of them expires; None for never.
    """

    checkpoints: tuple[ObservedCheckpoint, ...]
    signs: Signs
    listed_at: datetime
    expires_at: datetime | None


def signs_of(view: RunView) -> Signs | None:
    """Returns the signs of a run; None where there are none to go by.

    That is so for a run that the newest look does not show, and for a service that does not say when a run was used.

    Args:
        view: The run in an inventory whose newest look succeeded.
    """
    if not isinstance(view, ObservedRun) or view.last_request_time is None:
        return None
    return Signs(view.last_request_time, view.last_checkpoint, view.last_sampler_checkpoint, view.corrupted)


def kept_listing(checkpoints: tuple[ObservedCheckpoint, ...], signs: Signs, asked_at: datetime) -> KeptListing:
    """Returns a listing to keep.

    Args:
        checkpoints: What was listed.
        signs: What the inventory showed before the service was asked.
        asked_at: When it was asked.
    """
    expiries = (it.expires_at for it in checkpoints if it.expires_at is not None)
    return KeptListing(checkpoints, signs, asked_at, min(expiries, default=None))


def is_reusable(kept: KeptListing, run_id: str, signs: Signs | None, interval: float, now: datetime) -> bool:
    """Tells whether a listing may be used once more: nothing says that it changed, and it is young enough.

    Args:
        kept: The listing.
        run_id: The run.
        signs: What the inventory shows now.
        interval: Poll interval of the TrainingRun, in seconds.
        now: The time; before the listing, when the clock was set back, nothing is sure.
    """
    if signs is None or signs != kept.signs or (kept.expires_at is not None and kept.expires_at <= now):
        return False
    return timedelta(0) <= now - kept.listed_at < timedelta(seconds=longest_age(run_id, interval))


def longest_age(run_id: str, interval: float) -> float:
    """Returns the seconds for which a listing of this run may be used; others of the same interval differ.

    Args:
        run_id: The run.
        interval: Poll interval of the TrainingRun, in seconds.
    """
    part = SHORTEST_PART + (1 - SHORTEST_PART) * zlib.crc32(run_id.encode()) / 2**32
    return part * min(LONGEST_AGE_SECONDS, INTERVALS * interval)
