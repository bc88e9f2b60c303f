"""When a call is repeated and how long is waited before; asked by the transport, and by the polling of futures.

The official client repeats a conflict for minutes and waits less than asked when asked for more than a minute; this law
does neither. It has one deadline over all attempts: whoever waits for the answer knows how long at most.
"""

import asyncio
import random
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception

from tinker_operator.tinker.errors import ClientClosed, Conflict, HeldBack, StatusError, TinkerError

T = TypeVar("T")
_STEEPEST = 32  # doublings beyond this only overflow


def random_key() -> str:
    """Make a key that no other call has."""
    return str(uuid.uuid4())


@dataclass(frozen=True, slots=True)
class Timekeeper:
    """Time and chance, as arguments.

    Args:
        monotonic: Seconds that never go back.
        sleep: Waits that many seconds.
        uniform: A random number between two.
        unique: A key that no other call has.
    """

    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    uniform: Callable[[float, float], float] = random.uniform
    unique: Callable[[], str] = random_key


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential back-off with full jitter under one deadline.

    Args:
        initial_seconds: The longest first wait.
        max_seconds: The longest wait, unless the service asks for a longer one.
        total_seconds: The deadline over all attempts and waits of one call.
        max_attempts: The bound for a service that asks to come back at once, for ever.
    """

    initial_seconds: float = 0.5
    max_seconds: float = 10.0
    total_seconds: float = 60.0
    max_attempts: int = 10

    def wait_seconds(
        self, attempt: int, error: BaseException | None, uniform: Callable[[float, float], float]
    ) -> float:
        """Say how long to wait after the `attempt`-th failure (from 1); never less than the service asked for."""
        ceiling = min(self.max_seconds, self.initial_seconds * 2.0 ** min(attempt - 1, _STEEPEST))
        asked = error.retry_after if isinstance(error, StatusError) else None
        return max(uniform(0.0, ceiling), asked or 0.0)


def may_repeat(error: BaseException) -> bool:
    """Say whether a failed call may be sent again: what the service says stands, except that a conflict never may.

    Nor may what a closed client refused: nobody opens it again, so that repeating would only wait, or never end. What
    the budget held back is for whoever made the call to ask again: it says when.
    """
    if isinstance(error, Conflict | ClientClosed | HeldBack) or not isinstance(error, TinkerError):
        return False
    if isinstance(error, StatusError) and error.should_retry is not None:
        return error.should_retry
    return error.transient


async def repeated(policy: RetryPolicy, keeper: Timekeeper, attempt: Callable[[float], Awaitable[T]]) -> T:
    """Attempt until it succeeds, fails for good, or the next wait would pass the deadline.

    Args:
        policy: How long and how often.
        keeper: Time and chance.
        attempt: Makes one attempt; is told how many seconds are left.

    Raises:
        TinkerError: The last attempt's; a wait that the service asked for is in its `retry_after`.
    """
    deadline = keeper.monotonic() + policy.total_seconds

    def wait(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        return policy.wait_seconds(state.attempt_number, error, keeper.uniform)

    def stop(state: RetryCallState) -> bool:
        too_late = keeper.monotonic() + state.upcoming_sleep >= deadline
        return too_late or state.attempt_number >= policy.max_attempts

    async def within_the_deadline() -> T:
        return await attempt(deadline - keeper.monotonic())

    law = AsyncRetrying(sleep=keeper.sleep, wait=wait, stop=stop, retry=retry_if_exception(may_repeat), reraise=True)
    return await law(within_the_deadline)
