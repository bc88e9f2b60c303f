"""Carries connections from the node's network to the API server, which listens on the machine's loopback only.

`playground.node.cell` runs it: the listening socket belongs to the node's network namespace, the connections onwards
to the machine's. TLS passes through unread, so both ends still check each other's certificates.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress

_BLOCK = 65_536


class Relay:
    """Accepts on one socket and connects on to one port of loopback.

    Args:
        listener: Listening; taken over.
        port: Of loopback, where connections go on.
    """

    def __init__(self, listener: socket.socket, port: int) -> None:
        self._listener, self._port = listener, port

    async def serve(self) -> None:
        """Relay until cancelled."""
        server = await asyncio.start_server(self._serve_one, sock=self._listener)
        async with server:
            await server.serve_forever()

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:  # the API server restarts: the client sees a broken connection and comes again
            writer.close()
            return
        with suppress(asyncio.CancelledError):  # the cell ends: so do its connections, without a word
            async with asyncio.TaskGroup() as both:
                both.create_task(_carry(reader, back))
                both.create_task(_carry(there, writer))
        back.close()
        writer.close()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy one direction until its end, and pass the end on; what breaks one direction ends both."""
    try:
        while block := await reader.read(_BLOCK):
            writer.write(block)
            await writer.drain()
        writer.write_eof()
    except OSError:
        writer.close()
