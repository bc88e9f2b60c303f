"""Rounds of a CheckpointPolicy over runs that it has listed before: at rest nothing is asked, and nothing goes unseen.

The world is that of `test_deletion`, of a service that tells when a run was used.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

import pytest
from tests.controllers.test_deletion import NOW, FakeService, Stage, saved
from tests.core.builders import FIRST, MODEL, path_of

from tinker_operator.controllers.objects import CHECKPOINT_POLICIES
from tinker_operator.controllers.policy_listings import LISTED_AT_ONCE
from tinker_operator.controllers.services import Service
from tinker_operator.controllers.translate import observed_checkpoint
from tinker_operator.core.inventory import Inventory, next_inventory
from tinker_operator.core.world import ObservedRun
from tinker_operator.tinker.models import Checkpoint

pytestmark = pytest.mark.pure
RUN = ObservedRun(FIRST, MODEL, last_request_time=NOW)


class Rested(Stage):
    """A stage whose policy keeps everything and has been at rest."""

    def __init__(self, *steps: int) -> None:
        super().__init__(*steps)
        self.now = NOW
        cast("Any", self.shell).clock = lambda: self.now
        self.looks(RUN)
        self.training_run()
        self.policy(keep=100)

    def looks(self, *runs: ObservedRun) -> None:
        """The newest look shows this."""
        self.inventory = next_inventory(Inventory(), runs, watched=[], now=NOW)

    async def rested(self) -> "Rested":
        """After its first round."""
        await self.round()
        assert self.service.lists == 1
        return self


async def test_at_rest_nothing_is_listed_and_nothing_is_written() -> None:
    """However often it looks, and whatever policy."""
    stage = await Rested(1, 2, 3).rested()
    stage.policy("second", keep=100)
    await stage.round("second")
    await stage.round()
    writes = stage.api.writes
    for _ in range(5):
        await stage.round()
        await stage.round("second")

    assert (stage.service.lists, stage.api.writes) == (1, writes)


SIGNS: dict[str, Callable[[Rested], object]] = {
    "the run was used": lambda it: it.looks(replace(RUN, last_request_time=NOW + timedelta(seconds=1))),
    "a checkpoint is newer": lambda it: it.looks(replace(RUN, last_checkpoint=observed_checkpoint(saved(4), FIRST))),
    "the run failed": lambda it: it.looks(replace(RUN, corrupted=True)),
    "time went by": lambda it: setattr(it, "now", NOW + timedelta(minutes=10)),
    "the clock was set back": lambda it: setattr(it, "now", NOW - timedelta(minutes=10)),
    "the key was rotated": lambda it: setattr(it, "connection", Service(cast("Any", it.service))),
    "the service does not tell": lambda it: it.looks(replace(RUN, last_request_time=None)),
}


@pytest.mark.parametrize("name", SIGNS)
async def test_a_new_checkpoint_is_seen_as_soon_as_anything_tells_of_it(name: str) -> None:
    """Not before: that is the price."""
    stage = await Rested(1, 2, 3).rested()
    stage.service.there[path_of(4)] = saved(4)
    await stage.round()
    assert stage.status()["checkpoints"] == 3
    SIGNS[name](stage)
    await stage.round()

    assert stage.status()["checkpoints"] == 4


async def test_a_checkpoint_that_expired_is_not_shown_any_longer() -> None:
    """The listing itself says when it is over."""
    stage = Rested(1, 2)
    stage.service.there[path_of(3)] = saved(3, expires_at=NOW + timedelta(seconds=9))
    await stage.rested()
    del stage.service.there[path_of(3)]
    stage.now = NOW + timedelta(seconds=9)
    await stage.round()

    assert stage.status()["checkpoints"] == 2


async def rounds(stage: Stage, count: int = 6) -> None:
    """Plays rounds until nothing is left to do."""
    for _ in range(count):
        await stage.round()


async def test_nothing_goes_by_a_listing_of_another_pass() -> None:
    """Somebody deleted the newer ones and nothing told; by the old listing the only one that is left would go."""
    stage = await Rested(1, 2, 3).rested()
    del stage.service.there[path_of(3)], stage.service.there[path_of(2)]
    stage.policy(keep=1)
    await rounds(stage)

    assert (stage.service.deleted, list(stage.service.there)) == ([], [path_of(1)])
    assert stage.status()["deletedTotal"] == 0


async def test_what_goes_is_judged_on_a_listing_of_its_pass_at_each_step() -> None:
    """Announced by one, deleted after two more; a run that was changed by us is listed anew once, and then rests."""
    stage = await Rested(1, 2).rested()
    stage.policy(keep=1)
    lists = []
    for _ in range(4):
        before = stage.service.lists
        await stage.round()
        lists.append(stage.service.lists - before)

    assert stage.service.deleted == [path_of(1)]
    assert lists == [1, 2, 1, 0]


async def test_an_announced_checkpoint_stays_when_the_newer_ones_go_unnoticed() -> None:
    """Between the announcement and the deletion, with no sign at all."""
    stage = await Rested(1, 2, 3).rested()
    stage.policy(keep=2)
    await stage.round()
    assert stage.announced() == [path_of(1)]
    del stage.service.there[path_of(3)]
    await rounds(stage)

    assert (stage.service.deleted, stage.announced()) == ([], [])


async def test_a_deletion_whose_answer_was_lost_is_counted_once() -> None:
    """The listing of before shows it still, and must not be used."""
    stage = await Rested(1, 2).rested()
    stage.service.lost_answers = 1
    stage.policy(keep=1)
    await stage.round()
    with pytest.raises(Exception, match="broke"):
        await stage.round()
    await rounds(stage)

    assert stage.service.deleted == [path_of(1)]
    assert stage.status()["deletedTotal"] == 1


async def test_the_newest_is_published_not_what_was_the_newest() -> None:
    """What stands in the journal, to become public, is judged on a listing of that pass."""
    stage = await Rested(1, 2).rested()
    stage.service.there[path_of(3)] = saved(3)
    spec = {"selector": {"matchLabels": {}}, "retention": {"action": "Report", "keepLast": 9}, "publish": "Latest"}
    stage.put(CHECKPOINT_POLICIES.kind, "keep", "team", spec=spec)
    await stage.round()

    assert [one["path"] for one in stage.status()["publishing"]["checkpoints"]] == [path_of(3)]


class Crowd(FakeService):
    """Counts how many listings are under way at once."""

    now_listing = 0
    most = 0

    async def checkpoints(self, run_id: str) -> tuple[Checkpoint, ...]:
        """Lists after a while."""
        self.now_listing += 1
        self.most = max(self.most, self.now_listing)
        for _ in range(5):
            await asyncio.sleep(0)
        found = await super().checkpoints(run_id)
        self.now_listing -= 1
        return found


async def test_many_runs_are_listed_side_by_side_and_not_all_at_once() -> None:
    """Each once."""
    stage = Rested()
    stage.service = Crowd()
    stage.connection = Service(cast("Any", stage.service))
    runs = [f"s{number}:train:0" for number in range(40)]
    stage.looks(RUN, *(replace(RUN, run_id=run) for run in runs))
    for number, run in enumerate(runs):
        stage.training_run(f"run-{number}", run=run)
    await stage.round()

    assert (stage.service.lists, stage.service.most) == (41, LISTED_AT_ONCE)


async def test_a_defect_is_told_as_what_it_is() -> None:
    """Not as one of several."""
    stage = Rested(1)

    def fail(_: int) -> None:
        raise LookupError

    stage.service.before_listing = fail
    with pytest.raises(LookupError):
        await stage.round()
