"""A listing is whole or an error, whatever the service does between two pages."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.jumping import RunJumping

from tinker_operator.tinker import listing
from tinker_operator.tinker.errors import IncompleteListing, InvalidResponse
from tinker_operator.tinker.listing import Page, whole_listing

pytestmark = pytest.mark.pure

Change = Callable[[list[int]], list[int]]


@dataclass
class Service:
    """Lists rows in pages of `cap`; before the n-th request its rows change, and an answer may be spoilt."""

    rows: list[int]
    cap: int
    counts: bool = True
    pages: bool = True
    changes: dict[int, Change] = field(default_factory=dict)
    spoils: dict[int, Callable[[tuple[int, ...]], tuple[int, ...]]] = field(default_factory=dict)
    requests: int = 0

    async def fetch(self, offset: int) -> Page[int]:
        self.rows = self.changes.get(self.requests, list)(self.rows)
        shown = tuple(self.rows[offset : offset + self.cap] if self.pages else self.rows)
        shown = self.spoils.get(self.requests, tuple)(shown)
        self.requests += 1
        return Page(shown, len(self.rows) or None if self.counts else None, full=self.pages and len(shown) == self.cap)


def read(service: Service) -> tuple[int, ...]:
    return asyncio.run(whole_listing(service.fetch, lambda row: row, "rows"))


SIZES = st.integers(0, 40)
CAPS = st.integers(1, 12)


@given(size=SIZES, cap=CAPS, counts=st.booleans())
def test_a_quiet_listing_is_read_whole_and_in_order(size: int, cap: int, counts: bool) -> None:
    service = Service(list(range(size)), cap, counts)
    assert read(service) == tuple(range(size))
    assert service.requests <= size // cap + 2


@given(size=SIZES, cap=CAPS, shift=st.integers(0, 40))
def test_a_counted_listing_takes_no_request_too_many(size: int, cap: int, shift: int) -> None:
    service = Service(list(range(shift, shift + size)), cap)
    read(service)
    assert service.requests == max(1, -(-size // cap))


@given(size=SIZES, cap=CAPS, spoilt=st.dictionaries(st.integers(0, 30), st.sampled_from(["drop", "half", "last"])))
def test_a_page_that_went_missing_is_never_missed_in_silence(size: int, cap: int, spoilt: dict[int, str]) -> None:
    ways: dict[str, Callable[[tuple[int, ...]], tuple[int, ...]]] = {
        "drop": lambda _: (),
        "half": lambda rows: rows[: len(rows) // 2],
        "last": lambda rows: rows[:-1],
    }
    service = Service(list(range(size)), cap, spoils={number: ways[way] for number, way in spoilt.items()})
    try:
        rows = read(service)
    except IncompleteListing:
        assert spoilt
    else:
        assert sorted(rows) == list(range(size))


@given(size=st.integers(1, 40), cap=CAPS, skipped=st.integers(1, 40))
def test_a_service_that_leaves_out_a_page_for_good_is_found_out(size: int, cap: int, skipped: int) -> None:
    """It counts all rows, but shows those from `skipped` on in the place of those before."""
    service = Service(list(range(size)), cap)

    async def fetch(offset: int) -> Page[int]:
        page = await service.fetch(offset if offset < skipped else offset + cap)
        return Page(page.rows, size, page.full)

    try:
        rows = asyncio.run(whole_listing(fetch, lambda row: row, "rows"))
    except IncompleteListing:
        return
    assert sorted(rows) == list(range(size))


@given(size=SIZES, cap=CAPS, counts=st.booleans(), shuffles=st.dictionaries(st.integers(1, 30), st.integers()))
def test_rows_that_move_between_pages_are_never_missed_in_silence(
    size: int, cap: int, counts: bool, shuffles: dict[int, int]
) -> None:
    def shuffled(seed: int) -> Change:
        return lambda rows: random.Random(seed).sample(rows, len(rows))  # noqa: S311 - the example must be repeatable

    service = Service(
        list(range(size)), cap, counts, changes={number: shuffled(seed) for number, seed in shuffles.items()}
    )
    try:
        rows = read(service)
    except IncompleteListing:
        assert shuffles
    else:
        assert sorted(rows) == list(range(size))


@given(size=SIZES, cap=CAPS, deletions=st.dictionaries(st.integers(1, 30), st.integers(0, 40)), creating=st.booleans())
def test_rows_that_come_or_go_between_pages_never_hide_one_that_stays(
    size: int, cap: int, deletions: dict[int, int], creating: bool
) -> None:
    def deleted(place: int) -> Change:
        return lambda rows: rows[:place] + rows[place + 1 :]

    def created(place: int) -> Change:
        return lambda rows: [*rows[:place], max(rows, default=0) + 1000, *rows[place:]]

    change = created if creating else deleted
    service = Service(list(range(size)), cap, changes={number: change(place) for number, place in deletions.items()})
    try:
        rows = read(service)
    except IncompleteListing:
        assert deletions
    else:
        assert set(service.rows) & set(range(size)) <= set(rows)


def test_a_run_that_moved_forward_once_costs_one_more_reading() -> None:
    service = Service(list(range(10)), 4, changes={1: lambda rows: [9, *rows[:9]]})
    assert sorted(read(service)) == list(range(10))
    assert service.requests == 6


def test_rows_that_keep_moving_are_found_by_both_readings_together() -> None:
    """Each reading alone misses one row; the count says that none came or went."""
    service = Service(
        list(range(8)), 4, changes={1: lambda rows: [rows[-1], *rows[:-1]], 3: lambda rows: [rows[-1], *rows[:-1]]}
    )
    assert sorted(read(service)) == list(range(8))
    assert service.requests == 4


def test_two_readings_with_different_counts_prove_nothing_together() -> None:
    """Three rows at first, four later: what both saw is four rows, but not the four that are there."""
    answers = iter([Page((1, 2), 3, True), Page((2,), 3, False), Page((3, 4), 4, True), Page((4, 3), 4, False)])

    async def fetch(_: int) -> Page[int]:
        return next(answers)

    with pytest.raises(IncompleteListing):
        asyncio.run(whole_listing(fetch, lambda row: row, "rows"))


@pytest.mark.parametrize("counts", [True, False])
def test_a_service_that_gives_everything_at_once_is_read_whole(counts: bool) -> None:
    service = Service(list(range(50)), 10, counts, pages=False)
    assert read(service) == tuple(range(50))


def test_a_full_first_page_that_comes_again_is_not_the_whole() -> None:
    """It ignores the offset and shows as many as a page can hold: there may be more."""

    async def fetch(_: int) -> Page[int]:
        return Page((1, 2, 3), None, full=True)

    with pytest.raises(IncompleteListing):
        asyncio.run(whole_listing(fetch, lambda row: row, "rows"))


@pytest.mark.parametrize(
    ("pages", "why"),
    [
        ([Page((1, 2), 5, True), Page((), 5, False)], "fewer rows than counted"),
        ([Page((1, 2, 3), 2, False)], "more rows than counted"),
        ([Page((1, 2), 4, True), Page((3, 4), None, True), Page((), None, False)], "counted on one page only"),
        ([Page((1, 2), 4, True), Page((3, 4), 5, True), Page((), 5, False)], "counted differently"),
        ([Page((1, 1), 2, True)], "one row twice on a page"),
        ([Page((1, 1), None, False), Page((), None, False)], "one row twice, uncounted"),
        ([Page((1, 2), 4, True), Page((1, 2), 4, True)], "the first page again"),
    ],
)
def test_what_does_not_add_up_twice_is_an_error(pages: list[Page[int]], why: str) -> None:
    for_ever = iter(pages * 2)

    async def fetch(_: int) -> Page[int]:
        return next(for_ever)

    with pytest.raises(IncompleteListing, match="does not add up"):
        asyncio.run(whole_listing(fetch, lambda row: row, why))
    assert next(for_ever, None) is None


@pytest.mark.parametrize("total", [None, 10**15])
def test_a_service_that_never_ends_is_given_up(total: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "MOST_ROWS", 1000)

    async def fetch(offset: int) -> Page[int]:
        return Page(tuple(range(offset, offset + 100)), total, full=True)

    with pytest.raises(IncompleteListing):
        asyncio.run(whole_listing(fetch, lambda row: row, "rows"))


@pytest.mark.parametrize(
    ("counts", "answers"),
    [(True, 1 + 3), (False, 11)],
    ids=["counted rows: the first page, then four at a time", "uncounted rows: each page tells of the next"],
)
def test_a_listing_takes_as_long_as_so_many_answers(run_jumping: RunJumping, counts: bool, answers: int) -> None:
    """A service that is 300 ms away lists a hundred pages in 8 s, not in 30."""

    async def main(clock: Callable[[], float]) -> tuple[float, int]:
        service, asked, most = Service(list(range(100)), 10, counts), 0, 0

        async def fetch(offset: int) -> Page[int]:
            nonlocal asked, most
            asked += 1
            most = max(most, asked)
            await asyncio.sleep(1)
            asked -= 1
            return await service.fetch(offset)

        began = clock()
        assert await whole_listing(fetch, lambda row: row, "rows") == tuple(range(100))
        return clock() - began, most

    took, most = run_jumping(main)
    assert took == pytest.approx(answers)
    assert most <= listing.PAGES_AT_ONCE


def test_a_page_that_fails_ends_the_listing_and_what_was_asked_beside_it(run_jumping: RunJumping) -> None:
    """Nothing goes on in the background once the caller has its error."""

    async def main(_: Callable[[], float]) -> list[int]:
        service, ended = Service(list(range(50)), 10), list[int]()

        async def fetch(offset: int) -> Page[int]:
            await asyncio.sleep(offset)
            if offset == 10:
                raise InvalidResponse("half a page")
            ended.append(offset)
            return await service.fetch(offset)

        with pytest.raises(InvalidResponse):
            await whole_listing(fetch, lambda row: row, "rows")
        await asyncio.sleep(100)
        return ended

    assert run_jumping(main) == [0]
