"""When a kept listing is as good as a new one."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.strategies_policy import NOW, UNREACHABLE, checkpoint

from tinker_operator.core.listing_reuse import (
    LONGEST_AGE_SECONDS,
    KeptListing,
    Signs,
    is_reusable,
    kept_listing,
    longest_age,
    signs_of,
)
from tinker_operator.core.world import Absent, ObservedRun, RunView

pytestmark = pytest.mark.pure
OLD, NEW = checkpoint("old", 9), checkpoint("new")
RUN = ObservedRun("r1", "m", last_request_time=NOW, last_checkpoint=NEW)


def signs(**changes: Any) -> Signs:
    found = signs_of(replace(RUN, **changes))
    assert found is not None
    return found


def kept(**facts: Any) -> KeptListing:
    return kept_listing((OLD, replace(NEW, **facts)), signs(), NOW)


def test_a_listing_is_used_again_while_nothing_says_that_it_changed() -> None:
    assert is_reusable(kept(), "r1", signs(agreeing=2, metadata={"a": "b"}), 30.0, NOW + timedelta(seconds=60))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"last_request_time": NOW + timedelta(seconds=1)}, id="the run was used"),
        pytest.param({"last_checkpoint": None}, id="its newest checkpoint went"),
        pytest.param({"last_checkpoint": checkpoint("newer", 0)}, id="a newer one came"),
        pytest.param({"last_checkpoint": replace(NEW, size_bytes=7)}, id="the newest was saved again"),
        pytest.param({"last_checkpoint": replace(NEW, public=True)}, id="the newest was published"),
        pytest.param({"last_sampler_checkpoint": checkpoint("s")}, id="a sampler came"),
        pytest.param({"corrupted": True}, id="the run failed"),
    ],
)
def test_any_sign_of_a_change_asks_for_a_new_listing(change: dict[str, Any]) -> None:
    assert not is_reusable(kept(), "r1", signs(**change), 30.0, NOW)


@pytest.mark.parametrize(
    "view",
    [
        pytest.param(None, id="not asked yet"),
        pytest.param(Absent(2), id="not there"),
        pytest.param(UNREACHABLE, id="not to be seen"),
        pytest.param(replace(RUN, last_request_time=None), id="a service that does not say when it was used"),
    ],
)
def test_without_signs_every_pass_lists(view: RunView) -> None:
    assert signs_of(view) is None
    assert not is_reusable(kept(), "r1", None, 30.0, NOW)


@given(st.text(max_size=20), st.floats(1, 86_400), st.integers(-10_000, 10_000))
def test_no_listing_is_used_beyond_its_age(run_id: str, interval: float, age: int) -> None:
    """Ten intervals, ten minutes, and half of that, at most and at least; and not before it was had."""
    longest = min(LONGEST_AGE_SECONDS, 10 * interval)
    assert longest / 2 <= longest_age(run_id, interval) <= longest
    reusable = is_reusable(kept(), run_id, signs(), interval, NOW + timedelta(seconds=age))
    assert reusable or not 0 <= age < longest / 2
    assert not reusable or 0 <= age < longest


def test_listings_that_were_had_together_are_not_renewed_together() -> None:
    assert len({longest_age(f"session:train:{number}", 60.0) for number in range(100)}) > 90


CLOCKS: list[tuple[int, Callable[[bool], bool]]] = [(59, lambda it: it), (60, lambda it: not it)]


@pytest.mark.parametrize(("seconds", "holds"), CLOCKS, ids=["before", "at"])
def test_a_listing_ends_with_the_first_of_its_checkpoints_that_expires(
    seconds: int, holds: Callable[[bool], bool]
) -> None:
    listing = kept(expires_at=NOW + timedelta(seconds=60))
    assert holds(is_reusable(listing, "r1", signs(), 60.0, NOW + timedelta(seconds=seconds)))
