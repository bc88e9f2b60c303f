"""What is new between two snapshots of a service: whoever has to decide anew is concerned, and nobody else."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.builders import FIRST, START, UNREACHABLE

from tinker_operator.api.meta import OWNER_KEY
from tinker_operator.core.inventory import Inventory, amended_inventory, failed_inventory, next_inventory
from tinker_operator.core.inventory_change import change_between
from tinker_operator.core.world import Absent, ObservedRun

pytestmark = pytest.mark.pure

IDS, OWNERS = "abcd", ("", "x", "y")
RUN = ObservedRun(FIRST, "model")


@st.composite
def runs(draw: st.DrawFn) -> ObservedRun:
    """A run with what decides, and with what does not."""
    owner, asked = draw(st.sampled_from(OWNERS)), draw(st.sampled_from([None, START]))
    run = ObservedRun(draw(st.sampled_from(IDS)), "model", corrupted=draw(st.booleans()), last_request_time=asked)
    return replace(run, metadata={OWNER_KEY: owner} if owner else {})


LISTINGS = st.lists(runs(), unique_by=lambda run: run.run_id)


@st.composite
def steps(draw: st.DrawFn) -> tuple[Inventory, Inventory]:
    """Two snapshots, one look apart, after any number of looks."""
    before = current = Inventory()
    for _ in range(draw(st.integers(1, 4))):
        before, now = current, START + timedelta(minutes=1)
        match draw(st.sampled_from(["all", "all", "single", "failed"])):
            case "all":
                watched = draw(st.sets(st.sampled_from(IDS)))
                current = next_inventory(before, draw(LISTINGS), watched=watched, now=now)
            case "single":
                current = amended_inventory(before, draw(LISTINGS))
            case _:
                current = failed_inventory(before, UNREACHABLE, now=now)
    return before, current


def decisive(inventory: Inventory, run_id: str) -> object:
    """What a decision about a run hangs on: only of a corrupted one is it counted how often that was said."""
    view = inventory.view(run_id)
    if isinstance(view, ObservedRun):
        return replace(view, last_request_time=None, agreeing=view.agreeing if view.corrupted else 0)
    return Absent(min(view.agreeing, 2)) if isinstance(view, Absent) else view


@given(steps(), st.sampled_from(IDS), st.sampled_from(OWNERS[1:]))
def test_concerned_is_whose_decision_hangs_on_something_new(
    step: tuple[Inventory, Inventory], run_id: str, owner: str
) -> None:
    """By the run that it follows, or by the runs that carry its owner key."""
    before, current = step
    other_run = decisive(before, run_id) != decisive(current, run_id)
    other_own = {run.run_id for run in before.owned.get(owner, ())} != {
        run.run_id for run in current.owned.get(owner, ())
    }

    change = change_between(before, current)

    known = before.observed_at is not None and before.fault == current.fault
    assert change.everybody or (change.concerns(run_id, owner) == (other_run or other_own))
    assert not (change.everybody and known)


@pytest.mark.parametrize(
    ("now", "concerned"),
    [
        (replace(RUN, last_request_time=START), False),
        (replace(RUN, corrupted=True), True),
        (replace(RUN, metadata={"a": "b"}), True),
    ],
    ids=["a request was made", "it is flagged", "its metadata are others"],
)
def test_what_decides_is_news(now: ObservedRun, *, concerned: bool) -> None:
    """The last request moves all the time, so it wakes nobody."""
    before = next_inventory(Inventory(), [RUN], watched=[FIRST], now=START)
    current = next_inventory(before, [now], watched=[FIRST], now=START + timedelta(minutes=1))

    assert change_between(before, current).concerns(FIRST, "owner") is concerned


def test_a_run_of_its_own_concerns_an_owner_that_follows_none() -> None:
    """A loop that makes a run is found by the key that the run carries."""
    before = next_inventory(Inventory(), [], watched=[], now=START)
    current = amended_inventory(before, [replace(RUN, metadata={OWNER_KEY: "owner"})])

    change = change_between(before, current)

    assert change.concerns(None, "owner")
    assert not change.concerns(None, "another")
