"""SIGTERM, as a training loop in a pod has to take it: the step ends, then the loop, and all of it before the kill.

Kubernetes sends SIGTERM, waits for `terminationGracePeriodSeconds` (30 unless the pod says otherwise) and then kills.
Installed by `training_loop`; asked by the sessions, the checkpointer and everything in this package that waits.
"""

import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Final, Self

from tinker_operator.trainer.errors import SettingInvalid

TERMINATED: Final = 128 + signal.SIGTERM
"""The exit status of a process that SIGTERM ended, as a shell tells it: 143."""

_SIGNALLED: Final = b"t"
_CLOSED: Final = b"c"


class Terminated(SystemExit):
    """SIGTERM arrived and the step is over; a SystemExit with status 143, so that nothing takes it for a failure."""

    def __init__(self) -> None:
        super().__init__(TERMINATED)


class Termination:
    """Turns SIGTERM into `Terminated` at a moment that suits the loop, and ends a loop that finds no such moment.

    Enter it in the main thread. At most one is in force at a time.

    Args:
        grace_seconds: How long after SIGTERM the process ends, whatever it is doing then.
        end: Ends the process with a status.

    Raises:
        SettingInvalid: On entering, when this is not the main thread: only that one may handle signals.
    """

    current: "Termination | None" = None

    def __init__(self, *, grace_seconds: float, end: Callable[[int], object]) -> None:
        self._grace_seconds = grace_seconds
        self._end = end
        self._interruptible = False
        self.requested = False
        """Whether SIGTERM arrived."""

    def check(self) -> None:
        """Pass while no SIGTERM arrived.

        Raises:
            Terminated: When one did.
        """
        if self.requested:
            raise Terminated

    def sleep(self, seconds: float) -> None:
        """Like time.sleep, but over as soon as SIGTERM arrives.

        Raises:
            Terminated: When it does, or did before.
        """
        with self._interrupted_by_signal():
            time.sleep(seconds)

    def __enter__(self) -> Self:
        if threading.current_thread() is not threading.main_thread():
            raise SettingInvalid(
                "The training loop was not entered in the main thread, and only that one may handle SIGTERM.",
                remedy="Enter training_loop in the main thread, around everything else.",
            )
        self._heard, self._told = os.pipe()
        self._guard = threading.Thread(target=self._guard_grace, name="termination-guard", daemon=True)
        self._guard.start()
        self._before = signal.signal(signal.SIGTERM, self._on_signal)
        Termination.current = self
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        Termination.current = None
        signal.signal(signal.SIGTERM, self._before)
        os.write(self._told, _CLOSED)
        self._guard.join()
        os.close(self._heard)
        os.close(self._told)

    @contextmanager
    def _interrupted_by_signal(self) -> Iterator[None]:
        self._interruptible = True
        try:
            self.check()
            yield
        finally:
            self._interruptible = False

    def _on_signal(self, _signal: int, _frame: FrameType | None) -> None:
        # Takes no lock: the handler runs between two byte codes of whatever the main thread is doing, which may hold
        # the lock of an Event or that of the table of threads.
        self.requested = True
        os.write(self._told, _SIGNALLED)
        if self._interruptible:
            raise Terminated

    def _guard_grace(self) -> None:
        if os.read(self._heard, 1) == _CLOSED:
            return
        deadline = time.monotonic() + self._grace_seconds
        while (left := deadline - time.monotonic()) > 0:
            if select.select([self._heard], [], [], left)[0] and os.read(self._heard, 1) == _CLOSED:
                return
        self._end(TERMINATED)


def sleep(seconds: float) -> None:
    """Like time.sleep, but over with SIGTERM where a `training_loop` handles it.

    Raises:
        Terminated: When SIGTERM arrives, or did before.
    """
    (Termination.current.sleep if Termination.current else time.sleep)(seconds)


def check_terminated() -> None:
    """Pass while no SIGTERM arrived, or where no `training_loop` handles it.

    Raises:
        Terminated: When one did.
    """
    if Termination.current:
        Termination.current.check()
