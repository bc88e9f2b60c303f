"""Keeps the libraries below from logging the heads of messages; the transport and the stores of downloads speak in it.

At its most talkative httpcore quotes the headers of every answer: where a redirect leads, signature and all, and
whatever a service or a proxy echoes. httpx itself, which names method, address and status, is left its voice.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_unheard: ContextVar[bool] = ContextVar("_unheard", default=False)


def _is_told(_record: logging.LogRecord) -> bool:
    return not _unheard.get()


for _part in (
    *(f"httpcore.{part}" for part in ("connection", "http11", "http2", "proxy", "socks")),
    "hpack",
    "hpack.hpack",
    "hpack.table",
):
    logging.getLogger(_part).addFilter(_is_told)


@contextmanager
def unheard() -> Iterator[None]:
    """Drop what those libraries say in this task for as long as the block runs; other users of them are heard."""
    token = _unheard.set(True)
    try:
        yield
    finally:
        _unheard.reset(token)
