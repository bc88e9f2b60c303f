"""What the budget lets out has a connection of its own: over real HTTP, for what carries it has a bound too."""

import asyncio

import pytest
from pydantic import SecretStr
from tests.tinker.conftest import until

from tinker_operator.tinker import Timekeeper, TinkerClient
from tinker_operator.tinker.budget import Budget, BudgetTerms, Lane, asked_in

pytestmark = pytest.mark.http

BODY = b'{"status": "ok"}'
ANSWER = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s" % (len(BODY), BODY)


async def test_there_is_a_connection_for_every_place() -> None:
    """A call that has its place must not wait behind those of another lane for a connection."""
    terms, arrived, leave = BudgetTerms(), list[bytes](), asyncio.Event()

    async def hold_open(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.append(await reader.readuntil(b"\r\n\r\n"))
        await leave.wait()
        writer.write(ANSWER)
        await writer.drain()
        writer.close()

    async def asked(client: TinkerClient, lane: Lane) -> str:
        with asked_in(lane):
            return await client.healthz()

    service = await asyncio.start_server(hold_open, "127.0.0.1", 0, backlog=sum(terms.room.values()))
    address = f"http://127.0.0.1:{service.sockets[0].getsockname()[1]}"
    async with service, TinkerClient(address, SecretStr("tml-k"), budget=Budget(terms, Timekeeper())) as client:
        calls = [asyncio.create_task(asked(client, lane)) for lane in Lane for _ in range(terms.room[lane])]
        await until(lambda: len(arrived) == len(calls))
        leave.set()
        assert set(await asyncio.gather(*calls)) == {"ok"}
