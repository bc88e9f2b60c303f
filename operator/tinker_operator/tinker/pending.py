"""Work that the service has taken on and that may go on while more is submitted; every training operation gives it.

One awaits twice: the operation, until it is submitted, and what it gives, until there is a result. Between the two the
next operation is submitted, so that the service is never idle.
"""

import asyncio
from collections.abc import Awaitable, Callable, Generator, Sequence
from math import inf
from typing import Any, Generic, TypeVar

T = TypeVar("T")
S = TypeVar("S")


class Pending(Generic[T]):
    """The result that is to come. Nothing is asked before it is waited for; the service goes on anyway.

    Args:
        fetch: Waits for the result until a moment of the monotonic clock.
        monotonic: That clock.
        request_ids: What the service calls the work.
    """

    def __init__(
        self, fetch: Callable[[float], Awaitable[T]], monotonic: Callable[[], float], request_ids: Sequence[str]
    ) -> None:
        self.request_ids = tuple(request_ids)
        self._fetch = fetch
        self._monotonic = monotonic
        self._lock = asyncio.Lock()
        self._results: list[T] = []

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self.request_ids)})"

    def __await__(self) -> Generator[Any, None, T]:
        """Wait as long as it takes; as `result` does."""
        return self.result().__await__()

    async def result(self, wait_seconds: float = inf) -> T:
        """Give the result, waiting for it; the same one whenever it is asked for.

        Args:
            wait_seconds: The longest to wait.

        Raises:
            FutureFailed: The service failed at the work.
            FuturePending: It is not done in time; asking again goes on waiting.
            TinkerError: The service could not be asked, or gave no result that can be trusted.
        """
        return await self.by(self._monotonic() + wait_seconds)

    async def by(self, deadline: float) -> T:
        """Give the result, waiting for it until a moment of the clock; raises as `result`."""
        async with self._lock:
            if not self._results:
                self._results.append(await self._fetch(deadline))
        return self._results[0]

    def then(self, convert: Callable[[T], S]) -> "Pending[S]":
        """Give the same work with its result made into something else."""

        async def fetch(deadline: float) -> S:
            return convert(await self.by(deadline))

        return Pending(fetch, self._monotonic, self.request_ids)


def joined(parts: Sequence[Pending[T]], join: Callable[[Sequence[T]], S], monotonic: Callable[[], float]) -> Pending[S]:
    """Give the work of several requests as one."""

    async def fetch(deadline: float) -> S:
        return join([await part.by(deadline) for part in parts])

    return Pending(fetch, monotonic, [name for part in parts for name in part.request_ids])
