"""Keeps the event source running, whatever it dies of. Used by the engine.

kopf ends on watch errors that an operator should survive (an expired continuation, an ERROR event, refused
credentials). The store outlives it, so a restart costs one listing and loses nothing but deletions, which the resync
finds.
"""

import asyncio
import random
from collections.abc import Callable

import structlog

from tinker_operator.engine.backoff import Backoff
from tinker_operator.engine.faults import described
from tinker_operator.engine.keys import Monotonic
from tinker_operator.engine.source import EventSink, EventSource

HEALTHY_SECONDS = 60.0
"""A source that ran this long was well: its next failure is taken for the first."""

LONGEST_PAUSE_SECONDS = 15.0
"""Short, because nothing but the resync sees a user's change while no source runs."""


class Supervisor:
    """Runs a source, again and again.

    Args:
        source: What to run.
        sink: Where its events go.
        started: Called at each start: events may have been missed before it.
        monotonic: Clock, in seconds.
        rng: A number drawn evenly from 0 to 1, for the spread of back-off.
        backoff: The pauses between failures.
    """

    def __init__(
        self,
        source: EventSource,
        sink: EventSink,
        *,
        started: Callable[[], None],
        monotonic: Monotonic,
        rng: Callable[[], float] = random.random,
        backoff: Backoff | None = None,
    ) -> None:
        self._source = source
        self._sink = sink
        self._started = started
        self._monotonic = monotonic
        self._rng = rng
        self._backoff = backoff or Backoff(cap_seconds=LONGEST_PAUSE_SECONDS)
        self._failures = 0
        self._log = structlog.get_logger(__name__)

    async def run(self) -> None:
        """Keep the source running until cancelled."""
        while True:
            began = self._monotonic()
            self._started()
            try:
                await self._source.run(self._sink)
            except Exception as fault:  # noqa: BLE001 - whatever it is, the next try may not meet it
                await self._pause(fault, self._monotonic() - began)

    async def _pause(self, fault: Exception, ran_seconds: float) -> None:
        self._failures = 1 if ran_seconds >= HEALTHY_SECONDS else self._failures + 1
        seconds = self._backoff.seconds(self._failures, self._rng())
        self._log.error("event_source_failed", retry_seconds=round(seconds, 1), **described(fault))
        await asyncio.sleep(seconds)
