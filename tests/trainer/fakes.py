"""What several of the trainer's tests put in the place of a hand-over and of time."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tinker_operator.trainer import HandOver

DEADLINE_SECONDS = 60.0
Look = HandOver | Exception | None


class Script:
    """A source whose looks are written down beforehand; the last one stays."""

    def __init__(self, looks: Sequence[Look]) -> None:
        self.looks = list(looks)

    def read(self) -> HandOver | None:
        look = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        if isinstance(look, Exception):
            raise look
        return look

    def __str__(self) -> str:
        return "the script"


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def poll_until(look: Callable[[], Any], what: str) -> Any:
    """The first answer that is true, or a failure that says what never came."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not (found := look()):
        if time.monotonic() > deadline:
            pytest.fail(f"not within {DEADLINE_SECONDS:g} s: {what}")
        threading.Event().wait(0.02)
    return found
