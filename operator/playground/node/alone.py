"""Lets one process of this machine at a time do something, without a file that could stay behind.

`playground.node.node` chooses its network alone; `playground.node.cell` is alone with the names of its folder.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

from playground.errors import ComponentFailed

_LOCK_SECONDS = 60.0
_POLL_SECONDS = 0.1


@contextmanager
def alone(purpose: str, seconds: float = _LOCK_SECONDS) -> Iterator[None]:
    """Wait until nobody else is inside for the same purpose.

    The kernel keeps the lock, as a name of its abstract sockets: it is gone with its holder, kill -9 included.

    Args:
        purpose: What it is that must not be done twice at once.
        seconds: How long to wait.

    Raises:
        ComponentFailed: Another one takes too long.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as lock:
        _bind(lock, f"\0tinker-playground-{purpose}", time.monotonic() + seconds)
        yield


def _bind(lock: socket.socket, name: str, deadline: float) -> None:
    while True:
        try:
            lock.bind(name)
        except OSError as error:
            if time.monotonic() >= deadline:
                remedy = "Wait until it is up, or stop it."
                raise ComponentFailed("Another node has been starting or stopping for a minute.", remedy) from error
            time.sleep(_POLL_SECONDS)
        else:
            return
