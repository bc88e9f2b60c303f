"""Turns the signals that ask a program to end into an exception, so that every `with` and `finally` is run.

The foreground commands run inside `stop_signals`.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Never

_ASKING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Interrupted(BaseException):
    """A signal asked the program to end; no `except Exception` may swallow it.

    Args:
        number: Of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number

    @property
    def exit_status(self) -> int:
        """What a shell reports for a program that the signal ended."""
        return 128 + self.number


@contextmanager
def stop_signals() -> Iterator[None]:
    """Raise Interrupted on the first SIGTERM, SIGINT or SIGHUP; later ones do not disturb the tidying up."""
    before = {number: signal.signal(number, _interrupt) for number in _ASKING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(number: int, _frame: FrameType | None) -> Never:
    for each in _ASKING:
        signal.signal(each, signal.SIG_IGN)
    raise Interrupted(number)
