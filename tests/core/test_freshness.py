"""CheckpointFresh: when it says overdue, when it must not, that it wakes in time and says nothing twice."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.builders import FIRST, START, UNREACHABLE, Playing, checkpoint, playing, training_run
from tests.core.legality import illegalities

from tinker_operator.api.meta import Condition, ConditionStatus
from tinker_operator.api.reasons import ConditionType, Reason
from tinker_operator.api.run_status import FreshnessStatus, SeenCheckpoint, TrainerPhase, TrainerStatus
from tinker_operator.api.schedule_spec import Schedule, ScheduleMetric, ScheduleStrategy
from tinker_operator.core.conditions import find_condition
from tinker_operator.core.freshness import FLOOR_POLLS, PATIENCE, cadence_of, usual_distance
from tinker_operator.core.run_status import next_run_status
from tinker_operator.core.schedule import Deciding
from tinker_operator.core.telemetry import EventReason, run_events
from tinker_operator.core.world import Performed

pytestmark = pytest.mark.pure

STEPS, EPOCH, ALL = ScheduleStrategy.STEPS, ScheduleStrategy.EPOCH, ScheduleStrategy.ALL
LOSS = ScheduleMetric(name="loss")
TENS = Schedule(save_every=10)
POLL = 30
FRESH = ConditionType.CHECKPOINT_FRESH
TRUE, FALSE, UNKNOWN = ConditionStatus.TRUE, ConditionStatus.FALSE, ConditionStatus.UNKNOWN


def scheduled(schedule: Schedule = TENS, *, skew: timedelta = timedelta(0)) -> "Watched":
    """Returns a run whose loop has a schedule and has not saved under it yet."""
    return Watched(schedule, skew)


class Watched:
    """A run under a schedule: saves when told to, and is looked at by the poll.

    Args:
        schedule: The schedule that holds.
        skew: What the service's clock is ahead of the operator's.
    """

    def __init__(self, schedule: Schedule, skew: timedelta = timedelta(0)) -> None:
        self.skew = skew
        self.game: Playing = playing(training_run({"pollIntervalSeconds": POLL}), 0)
        self.game.schedule = Deciding("keep", schedule)
        self.saves = 0
        self.poll(0)

    def save(self, step: int | None = None) -> None:
        """The loop saves now."""
        self.saves += 1
        metadata = {"step": str(step)} if step is not None else {}
        time = self.game.now + self.skew
        made = checkpoint(1000 + self.saves, time=time, metadata=metadata)
        service = self.game.service
        service.runs[FIRST] = replace(service.runs[FIRST], last_checkpoint=made)
        service.checkpoints[FIRST] = (*service.checkpoints[FIRST], made)

    def poll(self, seconds: float = POLL) -> Condition:
        """Time passes, the service is looked at, and the object is decided on until it is at rest."""
        self.game.settle(seconds=seconds)
        return self.fresh()

    def saves_every(self, seconds: float, count: int, first_step: int | None = None) -> Condition:
        """Saves so often at this distance, seen by the poll at once."""
        for number in range(count):
            self.game.now += timedelta(seconds=seconds)
            self.save(None if first_step is None else first_step + 10 * number)
            self.poll(0)
        return self.fresh()

    def fresh(self) -> Condition:
        """Returns the condition."""
        found = find_condition(self.game.run.status.conditions, ConditionType.CHECKPOINT_FRESH)
        assert found is not None
        return found

    def wake_after(self) -> float:
        """Returns when the decision asks to be woken."""
        found = self.game.decide().plan.wake_after
        assert found is not None
        return found


def seen(*at: float, steps: Sequence[int | None] = ()) -> FreshnessStatus:
    """Returns a memory of checkpoints at these seconds."""
    found = [
        SeenCheckpoint(time=START + timedelta(seconds=one), step=steps[number] if steps else None)
        for number, one in enumerate(at)
    ]
    return FreshnessStatus(training_run_id=FIRST, cadence="", seen_at=START, checkpoints=tuple(found))


DISTANCES: Mapping[str, tuple[FreshnessStatus, Schedule, float]] = {
    "the median of what was seen": (seen(0, 100, 200, 900), TENS, 100.0),
    "not less than minIntervalSeconds": (seen(0, 100, 200), Schedule(min_interval_seconds=400), 400.0),
    "not less than what polls can see": (seen(0, 1, 2), TENS, float(FLOOR_POLLS * POLL)),
    "with saveBest the longest": (seen(0, 100, 110, 120), Schedule(strategy=EPOCH, save_best=True, metric=LOSS), 100.0),
    "by the pace of the steps, where they are told": (
        seen(0, 100, 110, 120, steps=[10, 20, 21, 22]),
        Schedule(save_every=10, save_best=True, metric=LOSS),
        100.0,
    ),
    "by a pace that a bigger saveEvery is to be kept at": (
        seen(0, 100, 200, steps=[10, 20, 30]),
        Schedule(save_every=100),
        1000.0,
    ),
    "epochs have no pace in steps": (seen(0, 100, 200, steps=[10, 20, 30]), Schedule(strategy=EPOCH), 100.0),
    "a step that was told twice is no pace": (seen(0, 100, 200, steps=[10, 10, 10]), TENS, 100.0),
    "steps that are told by some only": (seen(0, 100, 200, steps=[10, None, 30]), TENS, 100.0),
}


@pytest.mark.parametrize("name", DISTANCES)
def test_the_usual_distance(name: str) -> None:
    """A table, in seconds."""
    memory, schedule, expected = DISTANCES[name]

    assert usual_distance(memory, schedule, POLL).total_seconds() == pytest.approx(expected)


def test_a_run_is_overdue_at_thrice_the_usual_distance_and_not_before() -> None:
    """It asks to be woken for that moment, tells of it once, and takes it back with the next checkpoint."""
    watched = scheduled()
    assert (watched.fresh().status, watched.fresh().reason) == (UNKNOWN, Reason.DISTANCE_UNKNOWN)
    assert watched.saves_every(100, 2).status is UNKNOWN
    assert (watched.saves_every(100, 1).status, watched.fresh().reason) == (TRUE, Reason.CHECKPOINTS_IN_TIME)

    assert watched.wake_after() == pytest.approx(PATIENCE * 100.0)
    assert watched.poll(PATIENCE * 100 - 1).status is TRUE
    before = watched.game.run.status
    assert watched.wake_after() == pytest.approx(1.0)
    late = watched.poll(1)
    events = run_events(before, watched.game.run.status)

    assert (late.status, late.reason) == (FALSE, Reason.CHECKPOINT_OVERDUE)
    assert [(one.reason, one.warning) for one in events] == [(EventReason.CHECKPOINT_OVERDUE, True)]
    assert run_events(watched.game.run.status, watched.game.run.status) == ()
    assert not any(character.isdigit() for character in late.message)
    before = watched.game.run.status
    watched.save()
    assert watched.poll(1).status is TRUE
    told = [one.reason for one in run_events(before, watched.game.run.status)]
    assert told == [EventReason.CHECKPOINTS_IN_TIME]


def test_what_the_clock_says_counts_only_once_a_look_agrees() -> None:
    """The checkpoint may be there since the last look."""
    watched = scheduled()
    watched.saves_every(100, 3)
    game = watched.game
    game.now += timedelta(seconds=PATIENCE * 100 + 5)
    assert not game.round()
    assert watched.fresh().status is TRUE
    assert watched.wake_after() == POLL

    watched.save()
    assert watched.poll(0).status is TRUE


@pytest.mark.parametrize("hours", [-1, 5], ids=["behind", "ahead"])
def test_a_service_whose_clock_is_off_is_judged_the_same(hours: int) -> None:
    """Times of two clocks are never compared."""
    watched = scheduled(skew=timedelta(hours=hours))
    watched.saves_every(100, 4)

    assert watched.poll(PATIENCE * 100 - 1).status is TRUE
    assert watched.poll(1).status is FALSE


def test_a_training_that_goes_on_is_not_late_when_its_overdue_run_is_at_rest() -> None:
    """At rest nothing is written, neither in time nor late."""
    watched = scheduled()
    watched.saves_every(100, 4)
    for seconds in (10, 50, 500, 500):
        watched.poll(seconds)
        written = len(watched.game.statuses)
        watched.poll(0)
        assert watched.game.statuses[written:] == [watched.game.run.status] * len(watched.game.statuses[written:])
        assert not watched.game.round()


def changed_schedule(watched: Watched) -> None:
    """The policy asks for something else."""
    watched.game.schedule = Deciding("keep", Schedule(save_every=1000))


def kept_schedule(watched: Watched) -> None:
    """The policy changes what does not bear on the distance."""
    watched.game.schedule = Deciding("keep", TENS.model_copy(update={"ttl_seconds": 7200, "save_sampler": True}))


def deleted_newest(watched: Watched) -> None:
    """Somebody deletes the newest checkpoint."""
    runs = watched.game.service.runs
    runs[FIRST] = replace(runs[FIRST], last_checkpoint=watched.game.service.checkpoints[FIRST][-2])


CHANGES: Mapping[str, tuple[Callable[[Watched], None], ConditionStatus]] = {
    "another cadence begins anew": (changed_schedule, UNKNOWN),
    "another time to live does not": (kept_schedule, TRUE),
    "a deletion is no checkpoint and no lateness": (deleted_newest, TRUE),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_changes_meanwhile(name: str) -> None:
    """A table."""
    change, expected = CHANGES[name]
    watched = scheduled()
    watched.saves_every(100, 4)
    change(watched)

    assert watched.poll(1).status is expected


def test_the_first_distance_under_a_new_schedule_is_not_counted() -> None:
    """It began under the former one."""
    watched = scheduled()
    watched.saves_every(10_000, 3)
    watched.game.schedule = Deciding("keep", Schedule(save_every=5))
    watched.poll(5000)
    watched.saves_every(100, 3)
    assert watched.fresh().status is TRUE

    assert watched.poll(PATIENCE * 100).status is FALSE


def lose(watched: Watched) -> None:
    watched.game.service.corrupt()
    watched.game.run = watched.game.run.model_copy(
        update={"spec": training_run({"pollIntervalSeconds": POLL}, recovery={"enabled": False}).spec}
    )


def suspend(watched: Watched) -> None:
    watched.game.run = watched.game.run.model_copy(update={"spec": training_run({"suspend": True}).spec})


def vanish(watched: Watched) -> None:
    watched.game.service.runs.clear()


def lose_sight(watched: Watched) -> None:
    watched.game.service.down = UNREACHABLE


def last(watched: Watched) -> None:
    watched.game.schedule = Deciding("keep", Schedule(strategy=ScheduleStrategy.LAST))


def best(watched: Watched) -> None:
    watched.game.schedule = Deciding("keep", Schedule(strategy=ScheduleStrategy.BEST, metric=LOSS))


IDLE: Mapping[str, tuple[Callable[[Watched], None], ConditionStatus, Reason]] = {
    "a run that is lost": (lose, UNKNOWN, Reason.RUN_CORRUPTED),
    "a run that is gone": (vanish, UNKNOWN, Reason.RUN_CORRUPTED),
    "a run that is suspended": (suspend, UNKNOWN, Reason.SUSPENDED),
    "strategy Last": (last, UNKNOWN, Reason.NOT_PERIODIC),
    "strategy Best": (best, UNKNOWN, Reason.NOT_PERIODIC),
    "a service that is not seen says nothing": (lose_sight, TRUE, Reason.CHECKPOINTS_IN_TIME),
}


@pytest.mark.parametrize("name", IDLE)
def test_nothing_is_overdue_where_nothing_is_expected(name: str) -> None:
    """However long it takes; and the status is legal all the way."""
    happen, status, reason = IDLE[name]
    watched = scheduled()
    watched.saves_every(100, 4)
    happen(watched)
    for _ in range(5):
        watched.poll(10_000)

    assert (watched.fresh().status, watched.fresh().reason) == (status, reason)
    for one in watched.game.statuses:
        assert illegalities(1, one.observed_generation, one.conditions) == []


def resume_suspended(watched: Watched) -> None:
    """The user lets it go on."""
    watched.game.run = watched.game.run.model_copy(update={"spec": training_run({"pollIntervalSeconds": POLL}).spec})


def regain_sight(watched: Watched) -> None:
    """The service answers again."""
    watched.game.service.down = None


@pytest.mark.parametrize(
    ("happen", "end"),
    [pytest.param(suspend, resume_suspended, id="suspended"), pytest.param(lose_sight, regain_sight, id="unreachable")],
)
def test_the_wait_begins_anew_when_checkpoints_are_expected_again(
    happen: Callable[[Watched], None], end: Callable[[Watched], None]
) -> None:
    """What stopped the operator's look, or its user, may have stopped the loop."""
    watched = scheduled()
    watched.saves_every(100, 4)
    happen(watched)
    watched.poll(10_000)
    end(watched)

    assert watched.poll(10).status is TRUE
    assert watched.poll(PATIENCE * 100 - 1).status is TRUE
    assert watched.poll(1).status is FALSE


def test_trouble_of_the_service_does_not_excuse_what_was_late_before() -> None:
    """Only a checkpoint does."""
    watched = scheduled()
    watched.saves_every(100, 4)
    assert watched.poll(1000).status is FALSE
    for happen in (lose_sight, regain_sight):
        happen(watched)
        assert watched.poll(1000).status is FALSE
    assert {one.status for status in watched.game.statuses[-6:] for one in status.conditions if one.type == FRESH} == {
        FALSE
    }


def test_a_training_that_is_complete_is_not_overdue() -> None:
    """Its Job has succeeded."""
    watched = scheduled()
    watched.saves_every(100, 4)
    game = watched.game
    spec = {"pollIntervalSeconds": POLL, "trainer": {"template": {"spec": {"template": {"spec": {}}}}}}
    run = training_run(spec, recovery={"mode": "Relaunch"})
    done = TrainerStatus(job="sft-a0", attempt=0, phase=TrainerPhase.SUCCEEDED)
    game.run = run.model_copy(update={"status": game.run.status.model_copy(update={"trainer": done})})
    watched.poll(10_000)

    assert (watched.fresh().status, watched.fresh().reason) == (UNKNOWN, Reason.COMPLETED)


def test_a_successor_begins_anew() -> None:
    """Its distances are its own; that of the lost run's last checkpoint is none."""
    watched = scheduled()
    watched.saves_every(100, 4)
    watched.game.service.corrupt()
    watched.game.settle(seconds=60)
    status = watched.game.settle(seconds=60)

    assert status.training_run_id != FIRST
    assert (watched.fresh().status, watched.fresh().reason) == (UNKNOWN, Reason.DISTANCE_UNKNOWN)
    assert status.freshness is not None
    assert (status.freshness.training_run_id, status.freshness.checkpoints) == (status.training_run_id, ())


def test_without_a_schedule_there_is_no_condition_and_no_memory() -> None:
    """A policy that is gone takes both with it."""
    watched = scheduled()
    watched.saves_every(100, 4)
    watched.game.schedule = None
    watched.game.settle(seconds=1)
    status = watched.game.run.status

    assert find_condition(status.conditions, ConditionType.CHECKPOINT_FRESH) is None
    assert status.freshness is None


def test_only_observing_is_not_telling_a_loop_when_to_save() -> None:
    """ObserveOnly writes no hand-over, so no schedule holds."""
    watched = scheduled()
    watched.game.run = watched.game.run.model_copy(
        update={"spec": training_run({"managementPolicy": "ObserveOnly"}).spec}
    )
    watched.game.settle(seconds=1)

    assert find_condition(watched.game.run.status.conditions, ConditionType.CHECKPOINT_FRESH) is None


def test_trouble_with_the_hand_over_hides_nothing() -> None:
    """The round's other conditions change, this one stays."""
    watched = scheduled()
    watched.saves_every(100, 4)
    watched.game.schedule = Deciding("keep", TENS.model_copy(update={"ttl_seconds": 3600}))
    plan = watched.game.decide()
    action = plan.plan.actions[0]
    status = next_run_status(watched.game.run, plan, (Performed(action, UNREACHABLE),), watched.game.now)

    found = find_condition(status.conditions, ConditionType.CHECKPOINT_FRESH)
    assert found is not None
    assert found.status is TRUE


@given(
    st.sampled_from([STEPS, EPOCH, ALL]),
    st.lists(st.integers(60, 150), min_size=4, max_size=8),
    st.integers(0, 10**6),
)
def test_a_loop_that_keeps_within_the_patience_is_never_called_overdue(
    strategy: ScheduleStrategy, distances: list[int], skew: int
) -> None:
    """Whatever its distances are, as long as the longest is less than thrice the shortest; and True never flaps."""
    watched = scheduled(Schedule(strategy=strategy, save_every=10), skew=timedelta(seconds=skew))
    told: list[ConditionStatus] = []
    for distance in distances:
        left = distance
        while left > 0:
            told.append(watched.poll(min(left, POLL)).status)
            left -= POLL
        watched.save()
    told.append(watched.poll(0).status)

    assert set(told) <= {UNKNOWN, TRUE}
    assert told == sorted(told, key=[UNKNOWN, TRUE].index)
    for one in watched.game.statuses:
        assert illegalities(1, one.observed_generation, one.conditions) == []
    assert len({one.model_dump_json() for one in watched.game.statuses}) <= 4 + 2 * len(distances)


@given(st.lists(st.integers(0, 100_000), max_size=12), st.data())
def test_a_memory_is_bounded_sorted_and_survives_the_wire(times: list[int], data: st.DataObject) -> None:
    """Whatever the service lists, in whatever order."""
    watched = scheduled()
    for time in times:
        step = data.draw(st.one_of(st.none(), st.integers(0, 10**30)))
        made = checkpoint(
            time, time=datetime.fromtimestamp(10**9 + time, tz=START.tzinfo), metadata={"step": str(step)}
        )
        watched.game.service.runs[FIRST] = replace(watched.game.service.runs[FIRST], last_checkpoint=made)
        watched.poll()
    memory = watched.game.run.status.freshness
    assert memory is not None
    listed = [one.time for one in memory.checkpoints]

    assert listed == sorted(set(listed))
    assert len(listed) <= 8
    assert all(one.step is None or one.step < 2**63 for one in memory.checkpoints)
    assert FreshnessStatus.model_validate_json(memory.model_dump_json()) == memory


def test_a_cadence_names_what_bears_on_the_distance() -> None:
    """And nothing else."""
    plain = Schedule(save_every=10)
    same = plain.model_copy(update={"ttl_seconds": 7200, "save_sampler": True, "metric": LOSS})
    others = [
        plain.model_copy(update=change)
        for change in (
            {"save_every": 11},
            {"strategy": EPOCH},
            {"min_interval_seconds": 5},
            {"save_best": True, "metric": LOSS},
        )
    ]

    assert cadence_of(plain) == cadence_of(same)
    assert len({cadence_of(one) for one in (plain, *others)}) == 5
