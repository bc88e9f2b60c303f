"""Waits for a condition with a deadline, while somebody watches that every part still runs.

Every wait of the demonstration goes through `Patience.until`: nothing here sleeps in the hope that something is ready.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from playground.demonstration.errors import NotInTime
from playground.demonstration.stage import Stage

Found = TypeVar("Found")
_DEADLINE_SECONDS = 60.0
_EVERY_SECONDS = 0.1


def _nothing() -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Patience:
    """What waits.

    Attributes:
        stage: Where the wait is told.
        watch: Raises when a part has died; called between two looks.
        monotonic: Clock, in seconds.
        pause: Sleeps for so many seconds.
    """

    stage: Stage
    watch: Callable[[], None]
    monotonic: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = time.sleep

    def until(
        self,
        what: str,
        look: Callable[[], Found | None],
        *,
        seconds: float = _DEADLINE_SECONDS,
        every: float = _EVERY_SECONDS,
        so_far: Callable[[], str] = _nothing,
    ) -> Found:
        """Look until there is something, and answer it.

        Args:
            what: What is waited for, for the person who waits.
            look: Answers None while there is nothing.
            seconds: How long to go on looking.
            every: Seconds between two looks.
            so_far: Tells how far it is.

        Raises:
            NotInTime: There was nothing in time.
        """
        deadline = self.monotonic() + seconds
        with self.stage.wait(what) as wait:
            while (found := look()) is None:
                self.watch()
                if self.monotonic() >= deadline:
                    raise NotInTime(f"{what}: not within {seconds:g} s.", "Read what the parts say, above.")
                wait.tell(so_far())
                self.pause(every)
        return found
