"""Which samples of a sampling session have ended, in the order in which they did.

Clients that have many samples under way ask for this in place of polling each: the executor notes every sample that
ends, and the route for many futures waits here.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tinker_simulator.answers import PROTOBUF
from tinker_simulator.records import Operation
from tinker_simulator.storage.store import Store

# Each client of a sampling session numbers its samples in a block of its own.
CLIENT_BLOCK = 1_000_000_000
_EPOCH_BLOCK = 1_000_000


class Target(NamedTuple):
    """One client of one sampling session."""

    sampler_id: str
    client: int


@dataclass(frozen=True, slots=True)
class Ended:
    """One sample that has ended; `size` in bytes of its result, None when it failed."""

    request_id: str
    size: int | None


class Announcements:
    """The samples that have ended, by target.

    What had ended before the process began is read from the store when a target is first asked for. Its order is
    lost then, so cursors carry the epoch they are of, and one of an earlier epoch starts from the beginning.

    Args:
        store: Where futures are.
        epoch: A number that grows from one process on the same state to the next.
    """

    def __init__(self, store: Store, epoch: int) -> None:
        self._store = store
        self._first = epoch * _EPOCH_BLOCK
        self._ended: dict[Target, list[Ended]] = {}
        self._changed: dict[Target, asyncio.Event] = {}
        self._released = False

    def note(self, request_id: str, content_type: str, result: bytes) -> None:
        """Announce a sample that has ended, once its result is stored."""
        target = _target(request_id)
        if target in self._ended:
            self._ended[target].append(_ended(request_id, content_type, result))
        if event := self._changed.pop(target, None):
            event.set()

    def release(self) -> None:
        """Let everyone who waits go, and hold nobody from now on."""
        self._released = True
        for event in self._changed.values():
            event.set()

    async def since(self, target: Target, cursor: int, seconds: float) -> tuple[Sequence[Ended], int]:
        """What has ended after `cursor`, waited for up to `seconds`, and the cursor after it."""
        ended = self._known(target)
        start = cursor - self._first if self._first <= cursor <= self._first + len(ended) else 0
        if start == len(ended) and seconds > 0 and not self._released:
            event = self._changed.setdefault(target, asyncio.Event())
            await _wait(event, seconds)
        return ended[start:], self._first + len(ended)

    def _known(self, target: Target) -> list[Ended]:
        if target not in self._ended:
            rows = self._store.database.all(
                "SELECT request_id, content_type, result FROM futures "
                "WHERE operation = ? AND result IS NOT NULL AND substr(request_id, 1, ?) = ? ORDER BY seq_id",
                (Operation.SAMPLE, len(target.sampler_id) + 1, f"{target.sampler_id}:"),
            )
            found = [_ended(row["request_id"], row["content_type"], row["result"]) for row in rows]
            self._ended[target] = [one for one in found if _target(one.request_id) == target]
        return self._ended[target]


def _target(request_id: str) -> Target:
    sampler_id, number = request_id.rsplit(":", 1)
    return Target(sampler_id, int(number) // CLIENT_BLOCK)


def _ended(request_id: str, content_type: str, result: bytes) -> Ended:
    # A sample's result is protobuf; anything else says why there is none.
    return Ended(request_id, len(result) if content_type == PROTOBUF else None)


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return
