"""Looks beyond those at each interval: which one an object needs, and what single runs add to what is known."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.builders import FIRST, START, UNREACHABLE, training_run

from tinker_operator.api.meta import OWNER_KEY, RECONCILE_AT
from tinker_operator.api.run_status import TrainingRunStatus
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.core.inventory import Inventory, amended_inventory, failed_inventory, next_inventory, unconfirmed
from tinker_operator.core.observation import Look, wanted_look
from tinker_operator.core.world import Absent, ObservedRun

pytestmark = pytest.mark.pure

SECOND = "session-2:train:0"
LATER = START + timedelta(minutes=1)


def observed(run_id: str = FIRST, *, corrupted: bool = False, owner: str = "") -> ObservedRun:
    """What the service says of a run."""
    return ObservedRun(run_id, "model", corrupted=corrupted, metadata={OWNER_KEY: owner} if owner else {})


LOOKED = next_inventory(Inventory(), [observed()], watched=[FIRST], now=START)
FOLLOWS_FIRST = training_run(status=TrainingRunStatus(origin=FIRST, training_run_id=FIRST))
FOLLOWS_SECOND = training_run(status=TrainingRunStatus(origin=FIRST, training_run_id=SECOND))
ASKED = FOLLOWS_FIRST.model_copy(
    update={"metadata": FOLLOWS_FIRST.metadata.model_copy(update={"annotations": {RECONCILE_AT: "now"}})}
)
WANTED: dict[str, tuple[TrainingRun, Inventory, Look]] = {
    "nobody has looked yet": (FOLLOWS_FIRST, Inventory(), Look.ALL_RUNS),
    "its run was seen": (FOLLOWS_FIRST, LOOKED, Look.NONE),
    "its run was looked for in vain": (
        FOLLOWS_SECOND,
        next_inventory(LOOKED, [observed()], watched=[SECOND], now=LATER),
        Look.NONE,
    ),
    "its run was made after the look": (FOLLOWS_SECOND, LOOKED, Look.ONE_RUN),
    "a person asks": (ASKED, LOOKED, Look.ALL_RUNS),
    "one failed look has another ahead of it": (
        FOLLOWS_SECOND,
        failed_inventory(LOOKED, UNREACHABLE, now=LATER),
        Look.NONE,
    ),
    "looks fail": (
        FOLLOWS_SECOND,
        failed_inventory(failed_inventory(LOOKED, UNREACHABLE, now=LATER), UNREACHABLE, now=LATER),
        Look.NONE,
    ),
}


@pytest.mark.parametrize(("run", "inventory", "look"), WANTED.values(), ids=WANTED)
def test_which_look_an_object_needs(run: TrainingRun, inventory: Inventory, look: Look) -> None:
    assert wanted_look(run, inventory) is look


def test_a_run_that_no_look_could_show_needs_no_confirmation() -> None:
    """Otherwise each recovery among ten thousand runs would have all of them listed two seconds later."""
    assert not unconfirmed(LOOKED, [FIRST, SECOND])
    assert unconfirmed(next_inventory(LOOKED, [observed()], watched=[SECOND], now=LATER), [SECOND])


def test_a_single_run_that_is_shown_corrupted_is_to_be_confirmed() -> None:
    """Twice in a row counts for what was asked for alone, too."""
    amended = amended_inventory(LOOKED, [observed(SECOND, corrupted=True)])

    assert unconfirmed(amended, [SECOND])
    assert next_inventory(amended, [observed(SECOND, corrupted=True)], watched=[], now=LATER).runs[SECOND].agreeing == 2


RUNS = st.builds(observed, st.sampled_from("abcdef"), corrupted=st.booleans(), owner=st.sampled_from(["", "x", "y"]))
LISTINGS = st.lists(st.lists(RUNS, unique_by=lambda run: run.run_id), max_size=3)


@given(LISTINGS, st.lists(RUNS, unique_by=lambda run: run.run_id))
def test_single_runs_are_added_and_nothing_else_is_believed_anew(
    listings: list[list[ObservedRun]], shown: list[ObservedRun]
) -> None:
    """What a listing said stands, with its agreement; what was missing is there; owners and tags are those of all."""
    before = Inventory()
    for listing in listings:
        before = next_inventory(before, listing, watched="abcdef", now=START)

    after = amended_inventory(before, shown)

    added = {run.run_id: run for run in shown if run.run_id not in before.runs}
    assert after.runs == {**before.runs, **added}
    assert after.missing == {run_id: looks for run_id, looks in before.missing.items() if run_id not in added}
    assert (after.observed_at, after.fault, after.doubt) == (before.observed_at, before.fault, before.doubt)
    whole = next_inventory(Inventory(), after.runs.values(), watched=(), now=START)
    assert (after.owned, after.tagged) == (whole.owned, whole.tagged)
    if before.observed_at is not None:
        assert not any(isinstance(after.view(run_id), Absent) for run_id in added)
