"""Runs what blocks in a thread that keeps no process from ending: a request may hang, and nothing is lost then."""

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def in_thread(ask: Callable[[], T]) -> T:
    """Give the answer of a call that blocks; when nobody waits any more, it is left to itself.

    Args:
        ask: The call.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def tell(act: Callable[[], None]) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(lambda: None if answer.done() else act())

    def run() -> None:
        try:
            result = ask()
        except Exception as error:  # noqa: BLE001 - goes on in the one who waits
            failure = error
            tell(lambda: answer.set_exception(failure))
        else:
            tell(lambda: answer.set_result(result))

    threading.Thread(target=run, name="export", daemon=True).start()
    return await answer
