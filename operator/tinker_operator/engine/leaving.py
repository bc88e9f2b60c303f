"""Asks for leave right before a request goes to the API server; the transport hangs it into its connections.

A request may wait for a connection, and the process be frozen meanwhile: so leave is asked for twice, when the request
is made and when its connection is there.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeAlias

import aiohttp
from aiohttp.connector import Connection

Leave: TypeAlias = Callable[[], None]
"""Returns if a request may go, raises if not. What it raises comes out of the request as it is."""

_leave: ContextVar[Leave | None] = ContextVar("_leave", default=None)


@contextmanager
def asking(leave: Leave | None) -> Iterator[None]:
    """Ask now, and for every request of this task once more when it has its connection.

    Args:
        leave: Whom; None for nobody.
    """
    if leave is not None:
        leave()
    token = _leave.set(leave)
    try:
        yield
    finally:
        _leave.reset(token)


class AskingRequest(aiohttp.ClientRequest):
    """A request that asks for leave when it has its connection, right before its first byte is written."""

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        """Ask, then write; a connection that is not used is closed by aiohttp.

        Args:
            conn: The connection, new or not.
        """
        leave = _leave.get()
        if leave is not None:
            leave()
        return await super().send(conn)
