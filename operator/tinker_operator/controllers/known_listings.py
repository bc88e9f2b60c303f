"""The checkpoints that a connection's service listed, kept between the passes of all policies that use it.

One for each connection, so that what a key could see is forgotten with it. When a listing may be used again is decided
in `core.listing_reuse`.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from sys import intern
from types import MappingProxyType
from typing import Final

from tinker_operator.core.listing_reuse import (
    LONGEST_AGE_SECONDS,
    KeptListing,
    Signs,
    is_reusable,
    kept_listing,
)
from tinker_operator.core.world import Answer, ObservedCheckpoint

_NOTHING: Final = MappingProxyType[str, str]({})
_LONGEST_AGE: Final = timedelta(seconds=LONGEST_AGE_SECONDS)


class KnownListings:
    """What was listed of each run; what nobody has asked for in a while is dropped."""

    def __init__(self) -> None:
        self._kept: dict[str, KeptListing] = {}
        self._asking: dict[str, object] = {}
        self._swept_at: datetime | None = None

    def __len__(self) -> int:
        """Returns of how many runs a listing is kept."""
        return len(self._kept)

    def of(
        self, run_id: str, signs: Signs | None, interval: float, now: datetime
    ) -> tuple[ObservedCheckpoint, ...] | None:
        """Returns the run's checkpoints as they were listed; None when it has to be listed anew.

        Args:
            run_id: The run.
            signs: What the inventory shows of it now.
            interval: Poll interval of the TrainingRun, in seconds.
            now: The time.
        """
        kept = self._kept.get(run_id)
        return kept.checkpoints if kept is not None and is_reusable(kept, run_id, signs, interval, now) else None

    async def listed(
        self, run_id: str, signs: Signs | None, now: datetime, ask: Callable[[], Awaitable[Answer]]
    ) -> Answer:
        """Asks and keeps the answer, unless the run was changed by us meanwhile.

        Args:
            run_id: The run.
            signs: What the inventory shows of it before the service is asked.
            now: The time before the service is asked.
            ask: Lists the run's checkpoints.
        """
        asking = self._asking[run_id] = object()
        try:
            answer = await ask()
            if self._asking.get(run_id) is asking:
                self._keep(run_id, answer, signs, now)
            return answer
        finally:
            if self._asking.get(run_id) is asking:
                del self._asking[run_id]

    def forget(self, run_id: str) -> None:
        """Drops what is known of a run that we have changed, and what is being listed of it at this moment."""
        self._kept.pop(run_id, None)
        self._asking.pop(run_id, None)

    def _keep(self, run_id: str, answer: Answer, signs: Signs | None, now: datetime) -> None:
        self._sweep(now)
        if signs is None or not isinstance(answer, tuple):
            self._kept.pop(run_id, None)
            return
        own_id = intern(run_id)
        self._kept[own_id] = kept_listing(tuple(_slim(it, own_id) for it in answer), signs, now)

    def _sweep(self, now: datetime) -> None:
        if self._swept_at is not None and timedelta(0) <= now - self._swept_at < _LONGEST_AGE:
            return
        self._swept_at = now
        self._kept = {run_id: kept for run_id, kept in self._kept.items() if now - kept.listed_at < _LONGEST_AGE}


def _slim(checkpoint: ObservedCheckpoint, run_id: str) -> ObservedCheckpoint:
    """Shares what many checkpoints have in common: there may be hundreds of thousands."""
    words = {intern(key): intern(value) for key, value in checkpoint.metadata.items()}
    return replace(
        checkpoint,
        run_id=run_id,
        time=_in_utc(checkpoint.time),
        expires_at=_in_utc(checkpoint.expires_at),
        metadata=words or _NOTHING,
    )


def _in_utc(time: datetime | None) -> datetime | None:
    return None if time is None else time.astimezone(UTC)
