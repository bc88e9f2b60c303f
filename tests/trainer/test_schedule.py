"""The checkpointer keeps the policy's schedule: a table for each strategy, and what must hold whatever the schedule."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, cast

import pytest
import tinker
from hypothesis import given
from hypothesis import strategies as st
from tests.trainer.fakes import Clock, Script
from tests.trainer.test_checkpointer import FakeRun, LeftBehind, SlowRun, left_behind
from tests.trainer.test_ending import End, terminate
from tinker import APIFuture
from tinker.lib.public_interfaces.api_future import AwaitableConcurrentFuture
from tinker.types import SaveWeightsForSamplerResponse

from tinker_operator.api.meta import to_wire
from tinker_operator.api.schedule_spec import Schedule as ScheduleSpec
from tinker_operator.api.schedule_spec import ScheduleMetric as MetricSpec
from tinker_operator.api.schedule_spec import ScheduleStrategy
from tinker_operator.trainer import (
    Checkpointer,
    HandOver,
    HandOverMalformed,
    HandOverWatch,
    Resumed,
    TrainingSession,
    training_loop,
)
from tinker_operator.trainer.schedule import Schedule

pytestmark = pytest.mark.pure

Word = dict[str, Any]
LOSS = {"name": "loss", "mode": "Min"}
NAN, INF = float("nan"), float("inf")


class SamplingRun(FakeRun):
    """A run that saves for sampling too, unless it is told to fail at that."""

    def __init__(self) -> None:
        super().__init__()
        self.samplers: dict[str, int | None] = {}
        self.refuses = False

    def save_weights_for_sampler(
        self, name: str, ttl_seconds: int | None = None, user_metadata: dict[str, str] | None = None
    ) -> APIFuture[SaveWeightsForSamplerResponse]:
        future: Future[SaveWeightsForSamplerResponse] = Future()
        if self.refuses or name in self.samplers:
            future.set_exception(ConnectionError(f"{name} was not saved for sampling"))
        else:
            assert user_metadata == self.checkpoints[name]
            self.samplers[name] = ttl_seconds
            future.set_result(SaveWeightsForSamplerResponse(path=f"tinker://run/sampler_weights/{name}"))
        return AwaitableConcurrentFuture(future)


@dataclass
class Training:
    """A loop under a schedule that can change, with a clock of its own."""

    word: Word
    every_steps: int = 5
    history: Iterable[Mapping[str, str]] = ()
    run: SamplingRun = field(default_factory=SamplingRun)
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.checkpointer = Checkpointer(
            self.run,
            every_steps=self.every_steps,
            schedule=lambda: self.word,
            history=self.history,
            monotonic=self.clock,
        )

    def losses(self, *losses: float, first: int = 1) -> list[int]:
        """Trains steps with these losses; returns which of them were saved."""
        steps = enumerate(losses, first)
        return [step for step, loss in steps if self.checkpointer.step(step, {"loss": loss})]

    def steps(self, count: int, first: int = 1, seconds: float = 1.0) -> list[int]:
        """Trains so many steps that take so long; returns which of them were saved."""
        saved = []
        for step in range(first, first + count):
            self.clock.sleep(seconds)
            if self.checkpointer.step(step, {"loss": 1.0}):
                saved.append(step)
        return saved


def best(mode: str = "Min", **more: Any) -> Word:
    """Returns a schedule that saves what is best."""
    return {"strategy": "Best", "metric": {"name": "loss", "mode": mode}, **more}


PLAN: Mapping[str, tuple[Word, list[int]]] = {
    "no word: as the loop asks": ({}, [5, 10]),
    "Steps": ({"strategy": "Steps", "saveEvery": 4}, [4, 8, 12]),
    "Steps, every hundredth where it is not said": ({"strategy": "Steps"}, []),
    "All": ({"strategy": "All"}, list(range(1, 13))),
    "Last": ({"strategy": "Last"}, []),
    "Epoch, within one": ({"strategy": "Epoch", "saveEvery": 1}, []),
    "Best, where nothing gets better": (best(), [1]),
    "Steps and the best": ({"strategy": "Steps", "saveEvery": 4, "saveBest": True, "metric": LOSS}, [1, 4, 8, 12]),
    "a field of a later release": ({"strategy": "Steps", "saveEvery": 6, "colour": "red"}, [6, 12]),
}


@pytest.mark.parametrize("name", PLAN)
def test_twelve_steps_by_each_strategy(name: str) -> None:
    """A table."""
    word, expected = PLAN[name]

    assert Training(word).steps(12) == expected


BETTER: Mapping[str, tuple[Word, Sequence[float], list[int]]] = {
    "lower is better": (best(), [3, 2, 2.5, 1, 1, 0.9], [1, 2, 4, 6]),
    "higher is better": (best("Max"), [3, 2, 4, 4, 5], [1, 3, 5]),
    "the same is no improvement": (best(), [2, 2, 2], [1]),
    "what is not finite is never best": (best(), [NAN, 2, -INF, NAN, 1, INF], [2, 5]),
    "nor for the highest": (best("Max"), [INF, NAN, 2, INF, 3], [3, 5]),
}


@pytest.mark.parametrize("name", BETTER)
def test_the_best_is_saved_when_it_is_strictly_better(name: str) -> None:
    """A table."""
    word, losses, expected = BETTER[name]

    assert Training(word).losses(*losses) == expected


def test_an_epoch_that_is_due_is_saved_at_its_end() -> None:
    """Every second one."""
    training = Training({"strategy": "Epoch", "saveEvery": 2})
    saved = []
    for epoch in range(1, 6):
        assert training.steps(10, first=10 * epoch - 9) == []
        if training.checkpointer.epoch_end(epoch, 10 * epoch, {"loss": 1.0}):
            saved.append(epoch)

    assert saved == [2, 4]
    assert list(training.run.checkpoints) == ["step-000020", "step-000040"]


def test_the_metric_of_an_epoch_can_be_the_best() -> None:
    """A loop that validates once an epoch tells it there."""
    training = Training(best())
    told = [4.0, 3.0, 3.5, 2.0]
    saved = [
        epoch for epoch, loss in enumerate(told, 1) if training.checkpointer.epoch_end(epoch, epoch, {"loss": loss})
    ]

    assert saved == [1, 2, 4]


def test_the_end_of_an_epoch_whose_last_step_was_saved_saves_nothing_more() -> None:
    """It is there."""
    training = Training({"strategy": "All", "minIntervalSeconds": 3})
    path = training.checkpointer.step(1, {"loss": 1.0})

    assert training.checkpointer.epoch_end(1, 1, {"loss": 1.0}) == path
    assert training.steps(1, first=2) == []
    assert list(training.run.checkpoints) == ["step-000001"]


def test_what_was_saved_before_a_resume_is_what_has_to_be_beaten() -> None:
    """Else the first step of every attempt would be the best."""
    history = [{"step": "10", "loss": "2.0"}, {"step": "20", "loss": "nan"}, {"step": "30", "loss": "a lot"}]

    assert Training(best(), history=history).losses(2.5, 2.0, 1.9, first=31) == [33]


def test_a_state_that_could_not_be_saved_is_not_what_has_to_be_beaten() -> None:
    """Only what is kept counts; a save that fails leaves the mark where it was."""
    training = Training(best())
    training.run.lost_answers = 1
    with pytest.raises(ConnectionError):
        training.losses(1.0)

    assert training.losses(1.5, first=2) == [2]


def test_a_save_that_is_due_too_early_is_made_at_the_first_step_after_the_interval() -> None:
    """Once, and not for each that was due meanwhile."""
    training = Training({"strategy": "Steps", "saveEvery": 2, "minIntervalSeconds": 5})

    assert training.steps(12) == [2, 7, 12]
    training.word = {"strategy": "Steps", "saveEvery": 10, "minIntervalSeconds": 5}
    assert training.steps(14, first=13) == [20]


def test_an_improvement_within_the_interval_does_not_save_what_is_worse_later() -> None:
    """The state that was best is gone by then; the next that beats what was saved is saved."""
    training = Training(best(minIntervalSeconds=3))
    saved = []
    for step, loss in enumerate([5.0, 1.0, 2.0, 6.0, 4.0, 3.0], 1):
        if training.checkpointer.step(step, {"loss": loss}):
            saved.append(step)
        training.clock.sleep(1)

    assert saved == [1, 5]


def test_the_end_of_a_training_is_saved_whatever_the_schedule() -> None:
    """save_now means now."""
    training = Training({"strategy": "Last", "minIntervalSeconds": 1000})
    training.checkpointer.save_now(1, {})
    training.checkpointer.save_now(2, {})

    assert list(training.run.checkpoints) == ["step-000001", "step-000002"]


OWED = {"strategy": "Steps", "saveEvery": 2, "minIntervalSeconds": 1000}
CLOSING: Mapping[str, tuple[Word, list[str]]] = {
    "Last": ({"strategy": "Last"}, ["step-000005"]),
    "one that had to wait": (OWED, ["step-000002", "step-000005"]),
    "nothing is owed": ({"strategy": "Steps", "saveEvery": 3}, ["step-000003"]),
    "no word": ({}, ["step-000005"]),
}


@pytest.mark.parametrize("name", CLOSING)
def test_the_close_saves_what_the_schedule_keeps_for_the_end(name: str) -> None:
    """A table; closing twice saves once."""
    word, expected = CLOSING[name]
    training = Training(word)
    training.steps(5)
    training.checkpointer.close()
    training.checkpointer.close()

    assert list(training.run.checkpoints) == expected


def test_a_loop_that_saves_its_end_itself_has_nothing_to_close() -> None:
    """The step before the end is no end."""
    training = Training({"strategy": "Last"})
    training.steps(4)
    training.checkpointer.save_now(5, {})
    training.checkpointer.close()

    assert list(training.run.checkpoints) == ["step-000005"]


def test_a_loop_that_trained_nothing_has_nothing_to_close() -> None:
    """No step, no checkpoint."""
    assert Training({"strategy": "Last"}).checkpointer.close() is None


def test_a_run_that_was_left_behind_saves_nothing_at_its_end() -> None:
    """The successor has the last word."""
    run = FakeRun()
    checkpointer = Checkpointer(run, every_steps=5, schedule=lambda: {"strategy": "Last"})
    checkpointer.step(1, {})
    checkpointer._guard = left_behind
    with pytest.raises(LeftBehind):
        checkpointer.close()

    assert run.checkpoints == {}


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        pytest.param({"strategy": "Last"}, ["step-000005"], id="Last"),
        pytest.param(OWED, ["step-000002", "step-000005"], id="one that had to wait"),
        pytest.param({"strategy": "Steps", "saveEvery": 2}, ["step-000002", "step-000004"], id="nothing is due"),
    ],
)
def test_a_termination_saves_what_the_schedule_keeps_for_the_end(word: Word, expected: list[str]) -> None:
    """A pod that is drained ends a loop too."""
    training, end = Training(word), End()
    training.steps(4)
    with training_loop(end=end):
        terminate()
        training.steps(1, first=5)

    assert (end.status, list(training.run.checkpoints)) == (143, expected)


def test_a_question_within_the_last_step_leaves_the_end_to_its_save() -> None:
    """Half a step cannot be saved under a number."""
    training, end, reached = Training({"strategy": "Last"}), End(), []
    with training_loop(end=end):
        terminate()
        training.checkpointer.check()
        reached.append("the end of the step")
        training.steps(1)

    assert (end.status, reached, len(training.run.checkpoints)) == (143, ["the end of the step"], 1)


class Gone(Exception):
    """What a call on a lost run raises."""


class LosesItself(SamplingRun):
    """A run that is lost by the time of its last save."""

    def save_state(self, *_arguments: Any, **_named: Any) -> Any:
        raise Gone


def session_on(run: SamplingRun, word: Word, *, is_lost: bool = False) -> TrainingSession:
    """Returns a session whose run is fresh."""
    resumed = Resumed(cast("tinker.TrainingClient", run), "s1:train:0", 0, 0, None, fresh=True)
    return TrainingSession(resumed, Checkpointer(run, every_steps=5, schedule=lambda: word), lambda _error: is_lost)


@pytest.mark.parametrize(
    ("word", "expected"), [({"strategy": "Last"}, ["step-000003"]), ({}, [])], ids=["Last", "none"]
)
def test_a_session_that_ends_well_saves_what_was_kept_for_the_end(word: Word, expected: list[str]) -> None:
    """The loop need not know of the schedule."""
    run = SamplingRun()
    with session_on(run, word) as session:
        for step in session.steps(until=3):
            session.checkpointer.step(step, {})

    assert list(run.checkpoints) == expected


def test_a_session_that_fails_saves_nothing_more() -> None:
    """Nobody knows what state the run is in."""
    run = SamplingRun()
    session = session_on(run, {"strategy": "Last"})

    def train() -> None:
        with session:
            session.checkpointer.step(1, {})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        train()
    assert run.checkpoints == {}


def test_a_run_that_is_lost_at_its_last_save_is_lost_as_at_any_other() -> None:
    """The next session goes on; an error that says nothing of the run goes on up."""
    with session_on(LosesItself(), {"strategy": "Last"}, is_lost=True) as session:
        session.checkpointer.step(1, {})
    assert session.lost is not None
    assert session.lost.error_class == "Gone"

    with pytest.raises(Gone), session_on(LosesItself(), {"strategy": "Last"}) as session:
        session.checkpointer.step(1, {})


def test_a_policy_that_changes_takes_effect_at_the_next_step() -> None:
    """And one that goes away leaves the loop as it was."""
    training = Training({})
    saved = training.steps(6)
    for first, word in ((7, {"strategy": "All"}), (10, {"strategy": "Last"}), (13, {}), (19, OWED)):
        training.word = word
        saved += training.steps(6 if first > 12 else 3, first=first)

    assert saved == [5, 7, 8, 9, 15]


BROKEN: Mapping[str, Any] = {
    "a strategy of a later release": {"strategy": "Tides"},
    "no strategy": {"saveEvery": 3},
    "no object": {"unreadable": "Steps"},
    "a distance of none": {"strategy": "Steps", "saveEvery": 0},
    "a distance that is no number": {"strategy": "Steps", "saveEvery": "often"},
    "a best of nothing": {"strategy": "Best"},
    "an interval that never ends": {"strategy": "Steps", "minIntervalSeconds": INF},
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_schedule_that_is_not_understood_changes_nothing_and_is_told_once(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The last good one goes on; before there was one, the loop's own."""
    training = Training(BROKEN[name])
    assert training.steps(5) == [5]
    training.word = {"strategy": "Steps", "saveEvery": 2}
    assert training.steps(2, first=6) == [6]
    caplog.clear()
    training.word = dict(BROKEN[name])
    assert training.steps(4, first=8) == [8, 10]
    training.word = {**BROKEN[name], "more": 1}
    assert training.steps(2, first=12) == [12]

    assert [one.levelno for one in caplog.records] == [logging.WARNING]
    assert "not understood" in caplog.text


@pytest.mark.parametrize(
    ("word", "remedy"),
    [
        pytest.param({"strategy": "Epoch"}, "epoch_end", id="no end of an epoch"),
        pytest.param({"strategy": "Best", "metric": {"name": "reward"}}, "'reward'", id="no such metric"),
    ],
)
def test_a_loop_that_does_not_tell_what_the_schedule_goes_by_is_told_once(
    word: Word, remedy: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It would train without a checkpoint and without a word."""
    training = Training(word)
    training.steps(4)
    assert caplog.records == []
    training.steps(40, first=5)

    assert [one.levelno for one in caplog.records] == [logging.WARNING]
    assert remedy in caplog.text


def test_a_loop_that_tells_it_at_last_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    """Also when an epoch takes long."""
    training = Training({"strategy": "Epoch"})
    training.checkpointer.epoch_end(1, 1, {})
    training.steps(40, first=2)

    assert caplog.records == []


def test_weights_to_sample_from_are_saved_beside_with_the_same_name_and_time_to_live() -> None:
    """And once for each checkpoint."""
    training = Training({"strategy": "Steps", "saveEvery": 2, "ttlSeconds": 7200, "saveSampler": True})
    training.steps(4)
    training.checkpointer.save_now(4, {})

    assert training.run.samplers == {"step-000002": 7200, "step-000004": 7200}
    assert training.run.ttl == training.run.samplers


def test_a_failure_beside_a_checkpoint_leaves_the_checkpoint() -> None:
    """The loop sees it, and a second call has nothing to repeat: a name cannot be taken twice for sampling."""
    training = Training({"strategy": "All", "saveSampler": True})
    training.run.refuses = True
    with pytest.raises(ConnectionError, match="sampling"):
        training.checkpointer.step(1, {"loss": 1.0})

    assert training.checkpointer.step(1, {"loss": 1.0}) == "tinker://run/weights/step-000001"


def test_a_client_that_cannot_save_for_sampling_saves_the_state() -> None:
    """The one is no reason to lose the other."""
    run = FakeRun()
    Checkpointer(run, every_steps=5, schedule=lambda: {"strategy": "All", "saveSampler": True}).step(1, {})

    assert list(run.checkpoints) == ["step-000001"]


@pytest.mark.parametrize(
    ("own", "word", "expected"),
    [
        pytest.param(3600, {}, 3600, id="the loop's own without a word"),
        pytest.param(3600, {"strategy": "All"}, 3600, id="the loop's own where the policy does not say"),
        pytest.param(3600, {"strategy": "All", "ttlSeconds": 7200}, 7200, id="the policy's"),
        pytest.param(None, {"strategy": "All"}, None, id="for good"),
    ],
)
def test_the_policy_says_how_long_a_checkpoint_lives(own: int | None, word: Word, expected: int | None) -> None:
    """Where it says so."""
    run = FakeRun()
    Checkpointer(run, every_steps=1, ttl_seconds=own, schedule=lambda: word).step(1, {})

    assert run.ttl == {"step-000001": expected}


@pytest.mark.parametrize("word", [{"strategy": "All"}, best(), {"strategy": "Epoch", "saveEvery": 1}], ids=str)
def test_there_are_never_two_saves_at_once_whoever_calls(word: Word) -> None:
    """Threads and tasks, steps, ends of epochs and saves out of turn."""
    run = SlowRun()
    checkpointer = Checkpointer(run, every_steps=1, schedule=lambda: word)
    calls: list[Callable[[int], object]] = [
        lambda step: checkpointer.step(step, {"loss": 1 / step}),
        lambda step: checkpointer.epoch_end(step, step, {"loss": 1 / step}),
        lambda step: checkpointer.save_now(step, {"loss": 1 / step}),
    ]

    async def all_at_once() -> None:
        await asyncio.gather(*(asyncio.to_thread(call, step) for step in range(1, 9) for call in calls))

    asyncio.run(all_at_once())
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(calls[0], range(9, 17)))

    assert run.most_at_once == 1
    assert len(run.checkpoints) >= 8


words = st.fixed_dictionaries(
    {"strategy": st.sampled_from(["Steps", "Epoch", "Best", "Last", "All"]), "metric": st.just(LOSS)},
    optional={
        "saveEvery": st.integers(1, 6),
        "saveBest": st.booleans(),
        "minIntervalSeconds": st.integers(0, 5),
    },
)
metrics = st.one_of(st.floats(), st.sampled_from([1.0, 2.0]))


@given(word=words, losses=st.lists(st.tuples(metrics, st.integers(0, 3), st.booleans()), max_size=40))
def test_whatever_the_schedule_saves_keep_their_distance_and_none_is_lost(
    word: Word, losses: list[tuple[float, int, bool]]
) -> None:
    """Against what the words mean: periodic saves are late by the interval at most, a best is better than all saved."""
    training = Training(word)
    interval, every = word.get("minIntervalSeconds", 0), word.get("saveEvery", 100)
    last: float | None = None
    due_since: int | None = None
    kept: list[float] = []
    epoch = 0
    for step, (loss, seconds, ends) in enumerate(losses, 1):
        training.clock.sleep(seconds)
        epoch += ends
        tell = training.checkpointer.epoch_end if ends else None
        path = tell(epoch, step, {"loss": loss}) if tell else training.checkpointer.step(step, {"loss": loss})
        regular = {"Steps": step % every == 0, "All": True, "Epoch": ends and epoch % every == 0}
        due = due_since is not None or regular.get(word["strategy"], False)
        wants_best = word["strategy"] == "Best" or word.get("saveBest", False)
        is_best = wants_best and isfinite(loss) and all(loss < one for one in kept)
        open_now = last is None or training.clock() - last >= interval
        assert (path is not None) == (open_now and (due or is_best)), (step, due, is_best, open_now)
        due_since = step if due and path is None else None
        if path is not None:
            last = training.clock()
            kept += [loss] if isfinite(loss) else []


@given(
    st.builds(
        ScheduleSpec,
        strategy=st.sampled_from(ScheduleStrategy),
        save_every=st.integers(1, 10**9),
        save_best=st.booleans(),
        metric=st.builds(MetricSpec, name=st.sampled_from(["loss", "a/b"])),
        min_interval_seconds=st.integers(0, 10**8),
        ttl_seconds=st.one_of(st.none(), st.integers(3600, 10**8)),
        save_sampler=st.booleans(),
    )
)
def test_what_the_operator_writes_is_what_the_library_reads(spec: ScheduleSpec) -> None:
    """To the letter, field by field."""
    written = to_wire(spec)

    read = Schedule.model_validate(written)

    assert read.model_dump(mode="json", by_alias=True, exclude_none=True) == written | {
        "minIntervalSeconds": float(spec.min_interval_seconds)
    }


def test_a_watch_gives_the_newest_schedule_and_first_that_of_the_start(handover_text: Callable[..., str]) -> None:
    """Trouble with reading changes nothing."""

    def document(schedule: Word) -> HandOver:
        return HandOver.parse(handover_text(schedule=schedule), place="here")

    broken = HandOverMalformed("It is half a document.", remedy="Wait.")
    source = Script([broken, None, document({"strategy": "All"}), broken, document({})])
    watch = HandOverWatch(source, training_run_id="s2:train:0", attempt=1, schedule={"strategy": "Last"})
    seen = [watch.schedule()]
    for _ in range(5):
        watch.look()
        seen.append(watch.schedule())

    first, newest = {"strategy": "Last"}, {"strategy": "All"}
    assert seen == [first, first, first, newest, newest, {}]


def test_a_loop_that_never_tells_an_epoch_saves_at_its_own_pace_at_last() -> None:
    """After ten times its own distance of five steps: a schedule that it cannot keep must not end all saves."""
    assert Training({"strategy": "Epoch", "saveEvery": 1}).steps(62) == [50, 55, 60]


def test_a_save_that_is_owed_survives_an_edit_that_says_nothing_of_when() -> None:
    """It is made after the interval, or at the end."""
    training = Training({"strategy": "Epoch", "saveEvery": 1, "minIntervalSeconds": 3600})
    training.checkpointer.save_now(1, {})
    training.clock.sleep(3000)
    assert training.checkpointer.epoch_end(1, 100, {}) is None
    training.word = {**training.word, "ttlSeconds": 864000}
    training.clock.sleep(3000)

    assert training.checkpointer.step(101, {}) is not None


def test_a_save_that_is_owed_is_made_when_the_loop_is_asked_to_end_within_a_step() -> None:
    """The check within a long step leaves it to the end of the step."""
    training, reached = Training(OWED), []
    training.steps(4)
    with training_loop(end=End()):
        terminate()
        training.checkpointer.check()
        reached.append("the end of the step")
        training.steps(1, first=5)

    assert list(training.run.checkpoints) == ["step-000002", "step-000005"]
    assert reached
