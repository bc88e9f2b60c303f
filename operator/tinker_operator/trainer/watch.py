"""Keeps an eye on the hand-over while a run is trained, so that no loop goes on beside its successor.

Started by each session, and by loops that are built on `resume`; the loop asks `check` between two steps.
"""

import logging
import random
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Final, Self

from tinker_operator.trainer.errors import Superseded, TrainerError
from tinker_operator.trainer.handover import HandOver
from tinker_operator.trainer.sources import HandOverSource, NoHandOver

LOOK_SECONDS: Final = 10.0
"""Time between two looks: the kubelet itself takes up to a minute to show a change in a mounted file."""

_SPREAD: Final = 0.2
_LOG: Final = logging.getLogger(__name__)


class HandOverWatch:
    """Looks at the hand-over in a thread of its own, and remembers whether a later attempt was seen.

    Only a document of a later attempt ends the loop. One of the same attempt, whatever it names, one that is gone and
    one that cannot be read do not: trouble is no news. Trouble is logged once, and so is its end.

    Args:
        source: Where the hand-over is.
        training_run_id: The run that the loop trains.
        attempt: The attempt that it followed.
        every_seconds: Time between two looks, spread by a fifth so that many loops do not look at once.
        on_superseded: Called once in the loop's own thread, before `check` raises for the first time.
        schedule: What the hand-over said of saves when the run was made, `Resumed.schedule`.
        chance: Random numbers from 0 to 1, for the spread.
    """

    def __init__(
        self,
        source: HandOverSource,
        *,
        training_run_id: str,
        attempt: int,
        every_seconds: float = LOOK_SECONDS,
        on_superseded: Callable[[Superseded], object] | None = None,
        schedule: Mapping[str, Any] | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._source = source
        self._training_run_id = training_run_id
        self._attempt = attempt
        self._every_seconds = every_seconds
        self._on_superseded = on_superseded
        self._first_schedule = schedule or {}
        self._chance = chance
        self._stopped = threading.Event()
        self._troubled = False
        self._told = False
        self.latest: HandOver | None = None
        """The newest document that was read, None before the first."""

    def check(self) -> None:
        """Pass while the loop may go on.

        Raises:
            Superseded: When a later attempt was seen.
        """
        seen = self.latest
        if seen is None or not seen.overtakes(training_run_id=self._training_run_id, attempt=self._attempt):
            return
        error = Superseded(seen)
        if self._on_superseded and not self._told:
            self._told = True
            self._on_superseded(error)
        raise error

    def schedule(self) -> Mapping[str, Any]:
        """When to save, by the newest document that was read; empty where it does not say. For `Checkpointer`."""
        return self.latest.schedule if self.latest else self._first_schedule

    def look(self) -> None:
        """Look once. Whatever goes wrong is logged and not raised."""
        try:
            seen = self._source.read()
        except TrainerError as error:
            self._tell_trouble(str(error))
        except Exception as error:  # noqa: BLE001  # a thread that dies in silence would watch no more
            self._tell_trouble(f"{type(error).__name__}: {error}")
        else:
            self._tell_well()
            self.latest = seen or self.latest

    def start(self) -> None:
        """Begin to look, unless there is nothing to look at; the thread ends with `stop` or with the process."""
        if isinstance(self._source, NoHandOver):
            return
        self._stopped.clear()
        threading.Thread(target=self._run, name="hand-over-watch", daemon=True).start()

    def stop(self) -> None:
        """Look no more. Does not wait for a look that is under way."""
        self._stopped.set()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def pause_seconds(self) -> float:
        """How long to pause before the next look, in seconds."""
        return self._every_seconds * (1 + _SPREAD * (2 * self._chance() - 1))

    def _run(self) -> None:
        while not self._stopped.wait(self.pause_seconds()):
            self.look()

    def _tell_trouble(self, why: str) -> None:
        if not self._troubled:
            _LOG.warning("The hand-over cannot be read, training goes on: %s", why)
        self._troubled = True

    def _tell_well(self) -> None:
        if self._troubled:
            _LOG.info("The hand-over in %s can be read again.", self._source)
        self._troubled = False
