"""Listings that are kept between passes: bounded, small, and none that was had before we changed the run."""

import asyncio
import tracemalloc
from datetime import timedelta

import pytest
from tests.core.strategies_policy import NOW, checkpoint

from tinker_operator.api.reasons import Reason
from tinker_operator.controllers.known_listings import KnownListings
from tinker_operator.core.listing_reuse import LONGEST_AGE_SECONDS, Signs
from tinker_operator.core.world import Absent, Answer, Fault, ObservedCheckpoint

pytestmark = pytest.mark.pure
SIGNS = Signs(NOW, None, None, corrupted=False)
LISTING = (checkpoint("old", 9), checkpoint("new", metadata={"step": "9"}))


async def gives(answer: Answer) -> Answer:
    return answer


async def test_what_was_listed_is_given_as_it_was() -> None:
    known = KnownListings()
    assert await known.listed("r1", SIGNS, NOW, lambda: gives(LISTING)) == LISTING
    assert known.of("r1", SIGNS, 30.0, NOW) == LISTING
    assert known.of("r2", SIGNS, 30.0, NOW) is None


@pytest.mark.parametrize(
    "answer", [Absent(), Fault(Reason.RATE_LIMITED, "Wait.")], ids=["the run is gone", "it could not be listed"]
)
async def test_what_is_no_listing_is_not_kept_nor_what_was_before(answer: Answer) -> None:
    known = KnownListings()
    await known.listed("r1", SIGNS, NOW, lambda: gives(LISTING))
    assert await known.listed("r1", SIGNS, NOW, lambda: gives(answer)) == answer
    assert known.of("r1", SIGNS, 30.0, NOW) is None


async def test_a_run_that_was_changed_has_to_be_listed_anew() -> None:
    known = KnownListings()
    await known.listed("r1", SIGNS, NOW, lambda: gives(LISTING))
    known.forget("r1")
    assert known.of("r1", SIGNS, 30.0, NOW) is None


async def test_a_listing_that_was_under_way_while_the_run_was_changed_is_not_kept() -> None:
    """Its answer may have been on its way back before the deletion was on its way there."""
    known, asked, go = KnownListings(), asyncio.Event(), asyncio.Event()

    async def slow() -> Answer:
        asked.set()
        await go.wait()
        return LISTING

    listing = asyncio.create_task(known.listed("r1", SIGNS, NOW, slow))
    await asked.wait()
    known.forget("r1")
    go.set()
    assert await listing == LISTING
    assert known.of("r1", SIGNS, 30.0, NOW) is None


async def test_what_nobody_asks_for_any_more_is_dropped() -> None:
    known, later = KnownListings(), NOW + timedelta(seconds=LONGEST_AGE_SECONDS)
    for number in range(50):
        await known.listed(f"r{number}", SIGNS, NOW, lambda: gives(LISTING))
    assert len(known) == 50
    await known.listed("new", SIGNS, later, lambda: gives(LISTING))
    assert len(known) == 1


async def test_two_hundred_thousand_checkpoints_fit_into_120_mib() -> None:
    """Of metadata with a step and a loss each; what a checkpoint needs, with its part of the listing."""
    known, runs, each = KnownListings(), 100, 20

    def listing(run: int) -> tuple[ObservedCheckpoint, ...]:
        names = [
            (f"r{run:032}", f"step-{step:06}", {"step": str(step), "loss": f"{step / 7:.4f}"}) for step in range(each)
        ]
        return tuple(checkpoint(name, run_id=run_id, metadata=metadata) for run_id, name, metadata in names)

    tracemalloc.start()
    try:
        for run in range(runs):
            await known.listed(f"r{run:032}", SIGNS, NOW, lambda run=run: gives(listing(run)))  # type: ignore[misc]
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size / (runs * each) < 120 * 1024**2 / 200_000
