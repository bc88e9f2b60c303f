"""The order of one run's operations: one submission at a time, numbered without a gap unless one was refused.

A refusal uses its number up: the service goes on with the next. Where no answer came, nobody knows whether the service
took the operation. Its number is then kept: the same operation again is sent under it, which the service recognises,
so that no gradient is ever summed twice; any other has to wait until that is settled.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, TypeVar

from tinker_operator.tinker.calls import Call
from tinker_operator.tinker.errors import CallNotPossible, StatusError
from tinker_operator.tinker.operations import Operation
from tinker_operator.tinker.pending import Pending

T = TypeVar("T")


class Submit(Protocol):
    """What sends an operation."""

    def __call__(self, operation: Operation[Any], /) -> Awaitable[Pending[Any]]:
        """Send it once, or as often as it takes; raises TinkerError."""


class Lane:
    """The operations of one run.

    Args:
        submit: Sends one.
        first: The number of the next one.
    """

    def __init__(self, submit: Submit, first: int = 1) -> None:
        self._submit = submit
        self._next = first
        self._lock = asyncio.Lock()
        self._unanswered: tuple[Call, ...] = ()

    async def take(self, make: Callable[[int], Sequence[Operation[T]]]) -> list[Pending[T]]:
        """Number operations that belong together and submit them, behind those that came before.

        Args:
            make: Makes them from the number of the first; the others follow it.

        Raises:
            CallNotPossible: They cannot be made, or an earlier operation is not settled; nothing was sent.
            TinkerError: One was refused, or no answer came.
        """
        async with self._lock:
            operations = make(self._next)
            wanted = tuple(operation.call for operation in operations)
            if self._unanswered not in {(), wanted}:
                raise CallNotPossible(
                    "No answer says whether the service took the last operation of this run",
                    "Call that one again with the same arguments, or abandon() it.",
                )
            self._unanswered = wanted
            return [await self._sent(operation, place) for place, operation in enumerate(operations, 1)]

    def abandon(self) -> None:
        """Leave behind an operation whose answer never came; whether it was done is for its caller to find out."""
        self._settle(len(self._unanswered))

    async def _sent(self, operation: Operation[T], place: int) -> Pending[T]:
        try:
            pending: Pending[T] = await self._submit(operation)
        except StatusError as error:
            if not error.transient:
                self._settle(place)
            raise
        if place == len(self._unanswered):
            self._settle(place)
        return pending

    def _settle(self, numbers: int) -> None:
        self._next += numbers
        self._unanswered = ()
