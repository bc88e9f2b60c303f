"""A clock that jumps: hours of waiting in milliseconds, for every suite."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

import pytest

T = TypeVar("T")


class DeadlockError(Exception):
    """Everything waits, and no timer is set."""


class _JumpingSelector(selectors.SelectSelector):
    """Never blocks: the time that a loop would wait has passed at once."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise DeadlockError
        self.now += timeout
        return super().select(0)


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop whose time passes only while it would wait: hours in milliseconds, the same at every run."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


class RunJumping(Protocol):
    def __call__(self, main: Callable[[Callable[[], float]], Coroutine[Any, Any, T]]) -> T: ...


@pytest.fixture(scope="session")
def run_jumping() -> RunJumping:
    """Run `main(clock)` in a loop whose time jumps; the clock tells that time."""

    def run(main: Callable[[Callable[[], float]], Coroutine[Any, Any, T]]) -> T:
        with asyncio.Runner(loop_factory=JumpingLoop) as runner:
            return runner.run(main(runner.get_loop().time))

    return run
