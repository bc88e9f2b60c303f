"""A pause that the API server asked for, kept by everybody who shares its connection.

The server counts what all of us ask together, so an answer "too many requests" to one is meant for all. Only the Lease
is renewed meanwhile: a leader that keeps still for too long is one no more.
"""

import asyncio

LONGEST_SECONDS = 30.0
"""The longest pause that is kept: a server that is well again must not be left alone for an hour."""


class SharedPause:
    """The time until which nobody asks anything."""

    def __init__(self) -> None:
        self._until = 0.0

    def begin(self, seconds: float) -> None:
        """Have everybody wait from now on.

        Args:
            seconds: As the server asked; a pause that lasts longer already stays.
        """
        now = asyncio.get_running_loop().time()
        self._until = max(self._until, now + min(seconds, LONGEST_SECONDS))

    async def over(self) -> None:
        """Wait until no pause is left; at once when there is none."""
        while (left := self._until - asyncio.get_running_loop().time()) > 0:  # noqa: ASYNC110 - its end is a time
            await asyncio.sleep(left)
