"""Events beside the work: taken at once, written in turn, sent on a clean end, never in anybody's way."""

import asyncio
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from tinker_operator.engine.events import EventRecorder, Happening
from tinker_operator.engine.outbox import GIVE_WAY_SECONDS, EventOutbox

pytestmark = pytest.mark.pure

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
OBJECT = {"apiVersion": "v1", "kind": "Widget", "metadata": {"name": "w", "namespace": "n", "uid": "u"}}


class Server:
    """Keeps Events once its door is open; refuses the first ones when a test wants it."""

    def __init__(self) -> None:
        self.kept: list[str] = []
        self.door = asyncio.Event()
        self.came = asyncio.Event()
        self.defects = 0

    async def create(self, _resource: Any, _namespace: str, obj: Any) -> Any:
        """As the API server does."""
        await self.door.wait()
        if self.defects:
            self.defects -= 1
            raise ZeroDivisionError
        self.kept.append(obj["note"])
        self.came.set()
        return obj


def outbox_of(server: Server, **limits: Any) -> EventOutbox:
    """An outbox to this server."""
    return EventOutbox(EventRecorder(cast("Any", server), instance="pod-1", clock=lambda: NOON), **limits)


def put(outbox: EventOutbox, count: int) -> list[str]:
    """Puts Events; returns what they say."""
    notes = [f"It is so: {number}." for number in range(count)]
    for note in notes:
        outbox.put(OBJECT, Happening("So", "Look", note))
    return notes


async def test_a_clean_end_loses_nothing() -> None:
    """What waits while the server is slow is written before the end."""
    server = Server()
    async with outbox_of(server, flush_seconds=30) as outbox:
        notes = put(outbox, 50)
        assert server.kept == []
        asyncio.get_running_loop().call_later(0.05, server.door.set)

    assert sorted(server.kept) == sorted(notes)


async def test_a_server_that_is_away_does_not_hold_up_the_end() -> None:
    """What is left is told of, by number."""
    with capture_logs() as logs:
        async with outbox_of(Server(), senders=1, flush_seconds=0.01) as outbox:
            put(outbox, 3)

    assert [(one["event"], one["waiting"]) for one in logs] == [("events_left_behind", 2)]


async def test_a_replica_that_fails_sends_nothing_more() -> None:
    """It may not lead any more; it ends at once."""
    server = Server()
    outbox = await outbox_of(server, flush_seconds=30).__aenter__()
    put(outbox, 3)
    await outbox.__aexit__(ZeroDivisionError, ZeroDivisionError(), None)
    server.door.set()
    await asyncio.sleep(0)

    assert server.kept == []


async def test_what_is_too_much_is_dropped_and_said_once() -> None:
    """Memory is bounded; what waits already is not lost for what comes."""
    server = Server()
    with capture_logs() as logs:
        async with outbox_of(server, most_waiting=5, flush_seconds=30) as outbox:
            notes = put(outbox, 9)
            server.door.set()

    assert sorted(server.kept) == notes[:5]
    assert [one["event"] for one in logs] == ["events_dropped"]


async def test_one_defect_does_not_end_the_sending() -> None:
    """The Event is lost and logged; the next ones are written."""
    server = Server()
    server.defects = 1
    server.door.set()
    with capture_logs() as logs:
        async with outbox_of(server, senders=1, flush_seconds=30) as outbox:
            notes = put(outbox, 3)

    assert server.kept == notes[1:]
    assert [one["event"] for one in logs] == ["event_failed"]


async def test_events_make_way_while_there_is_more_urgent_work_and_not_for_ever() -> None:
    """While many objects wait one Event a second goes out from each sender; at the end none waits."""
    server, began = Server(), asyncio.get_running_loop().time()
    server.door.set()
    async with outbox_of(server, senders=1, give_way=lambda: True, flush_seconds=30) as outbox:
        notes = put(outbox, 20)
        await server.came.wait()
        assert asyncio.get_running_loop().time() - began >= GIVE_WAY_SECONDS * 0.8
        assert len(server.kept) < len(notes)

    assert sorted(server.kept) == sorted(notes)
