"""Reads a listing that comes in pages, whole or not at all.

Runs are listed by offset while others make, use and delete runs, so the rows move under the reader: one that moved
forward shows twice and pushes another out of sight, one that was deleted pulls an unread one back over the line. A
subset taken for the whole would make a living run look deleted; therefore a pass counts only when

- the service says how many there are: the same number on every page, and that many different ids were read;
- it does not say (no count, or 0 beside rows): pages were read until an empty one, and no id came twice.

A pass that does not count is made once more, page after page; the first asks for several pages at once where the rows
are counted, and is judged as any other. When the service gave the same count throughout both, both together may
have seen every row even if each alone missed one that moved.

What no count can show is one row made and another deleted between the same two pages; whoever concludes something from
an absence therefore waits for two listings.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable
from collections.abc import Set as AbstractSet
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final, Generic, TypeAlias, TypeVar

from tinker_operator.tinker.errors import IncompleteListing

T = TypeVar("T")
PAGES_AT_ONCE: Final = 4
"""A service that is far away answers a hundred pages within 25 times its delay, and is not crowded by one listing."""
MOST_ROWS: Final = 1_000_000
"""No account has more; a service that goes on beyond it repeats itself without end."""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some rows of a listing.

    Args:
        rows: In the service's order.
        total: How many there are in all; None when the service does not say.
        full: Whether the page holds as many rows as a page can.
    """

    rows: tuple[T, ...]
    total: int | None
    full: bool


@dataclass(slots=True)
class _Pass(Generic[T]):
    """What one reading from the first page to the last has seen."""

    found: dict[Hashable, T] = field(default_factory=dict)
    totals: set[int | None] = field(default_factory=set)
    read: int = 0
    reached_the_end: bool = False

    def take(self, page: Page[T], identity: Callable[[T], Hashable]) -> bool:
        """Add a page; say whether to ask for the next."""
        rows = {identity(row): row for row in page.rows}
        self.totals.add(page.total)
        if not rows.keys() - self.found.keys():
            self.reached_the_end = not rows or self._is_unpaged(page, rows.keys())
            return False
        self.found |= rows
        self.read += len(page.rows)
        return self.read < min(MOST_ROWS, page.total or MOST_ROWS)

    def _is_unpaged(self, page: Page[T], ids: AbstractSet[Hashable]) -> bool:
        """Tell a service that gives everything at once, whatever the offset, from one that repeats a full page."""
        return not page.full and self.read == len(page.rows) and ids == self.found.keys()

    @property
    def whole(self) -> bool:
        """Whether every row was seen, as far as what the service says can prove it."""
        if self.totals == {None}:
            return self.reached_the_end and self.read == len(self.found)
        return self.totals == {len(self.found)}


Fetch: TypeAlias = Callable[[int], Awaitable[Page[T]]]
Rest: TypeAlias = Callable[[Fetch[T], _Pass[T], Page[T]], AsyncGenerator[Page[T], None]]
"""Gives the pages after the first one, each when it is wanted."""


async def whole_listing(fetch: Fetch[T], identity: Callable[[T], Hashable], what: str) -> tuple[T, ...]:
    """Read every page and give every row once, in the order first seen.

    Args:
        fetch: Gives the page that begins at an offset; several are asked for at once when it is known where they begin.
        identity: The row's own id.
        what: What is listed, for the message.

    Raises:
        IncompleteListing: Two passes did not add up.
        TinkerError: Any that `fetch` raises.
    """
    first = await _read(fetch, identity, _side_by_side)
    if first.whole:
        return tuple(first.found.values())
    second = await _read(fetch, identity, _one_by_one)
    both = _Pass(first.found | second.found, first.totals | second.totals)
    for seen in (second, both):
        if seen.whole:
            return tuple(seen.found.values())
    raise IncompleteListing(f"The list of {what} does not add up: rows are missing, repeated or miscounted")


async def _read(fetch: Fetch[T], identity: Callable[[T], Hashable], rest: Rest[T]) -> _Pass[T]:
    """Read from the start until a page says that it was the last."""
    seen, page = _Pass[T](), await fetch(0)
    if not seen.take(page, identity):
        return seen
    async with aclosing(rest(fetch, seen, page)) as pages:
        async for page in pages:
            if not seen.take(page, identity):
                break
    return seen


async def _one_by_one(fetch: Fetch[T], seen: _Pass[T], _first: Page[T]) -> AsyncGenerator[Page[T], None]:
    """The offset advances by the rows that came, whatever page size the service prefers."""
    while True:
        yield await fetch(seen.read)


async def _side_by_side(fetch: Fetch[T], seen: _Pass[T], first: Page[T]) -> AsyncGenerator[Page[T], None]:
    """Where the rows are counted, the other pages begin at multiples of the first one's rows; otherwise one by one."""
    offsets = range(len(first.rows), first.total or 0, len(first.rows))
    for begin in range(0, len(offsets), PAGES_AT_ONCE):
        asked = [asyncio.ensure_future(fetch(offset)) for offset in offsets[begin : begin + PAGES_AT_ONCE]]
        try:
            for answer in asked:
                yield await answer
        finally:
            for answer in asked:
                answer.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
    async for page in _one_by_one(fetch, seen, first):
        yield page
