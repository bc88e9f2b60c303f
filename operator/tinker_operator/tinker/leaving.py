"""Asks for leave right before anything but a read goes to the service; the transport hangs it into its client.

Who may no longer act, because another process may be acting already, must not send what was decided before. A request
may wait for a connection, and the process be frozen meanwhile; so the last question comes when the connection is there
and the first byte is about to be written.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

import httpx

Leave: TypeAlias = Callable[[], None]
"""Returns if a request may go, raises if not. What it raises comes out of the call as it is."""
READS: Final = frozenset({"GET", "HEAD"})
_WRITES: Final = ("send_request_headers.started", "send_request_body.started")
"""How httpcore's events end that come before each part of a request."""


def always() -> None:
    """Leaves everything free to go."""


def hooks(leave: Leave) -> Mapping[str, list[Callable[..., Any]]]:
    """Returns what httpx is to call, so that nothing but reads goes without leave.

    Args:
        leave: Asked when a request is made, and again before each part of it is written.
    """

    async def traced(event: str, _told: Mapping[str, Any]) -> None:
        if event.endswith(_WRITES):
            leave()

    async def asked(request: httpx.Request) -> None:
        if request.method not in READS:
            leave()
            request.extensions = {**request.extensions, "trace": traced}

    return {"request": [asked]}
