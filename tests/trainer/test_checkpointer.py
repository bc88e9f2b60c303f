"""The checkpointer's laws, on a fake of the SDK's one call that it makes."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tinker import APIFuture
from tinker.lib.public_interfaces.api_future import AwaitableConcurrentFuture
from tinker.types import SaveWeightsResponse

from tinker_operator.trainer import Checkpointer, SettingInvalid

pytestmark = pytest.mark.pure


class FakeRun:
    """A run that keeps what is saved, and refuses a name that is taken unless it may be overwritten."""

    def __init__(self) -> None:
        self.checkpoints: dict[str, dict[str, str]] = {}
        self.ttl: dict[str, int | None] = {}
        self.lost_answers = 0

    def save_state(
        self,
        name: str,
        ttl_seconds: int | None = None,
        overwrite: bool = False,
        user_metadata: dict[str, str] | None = None,
    ) -> APIFuture[SaveWeightsResponse]:
        future: Future[SaveWeightsResponse] = Future()
        if name in self.checkpoints and not overwrite:
            future.set_exception(AssertionError(f"409: {name} exists"))
        else:
            self.checkpoints[name] = user_metadata or {}
            self.ttl[name] = ttl_seconds
            future.set_result(SaveWeightsResponse(path=f"tinker://run/weights/{name}"))
        if self.lost_answers:
            self.lost_answers -= 1
            future = Future()
            future.set_exception(ConnectionError("the answer was lost"))
        return AwaitableConcurrentFuture(future)


class SlowRun(FakeRun):
    """A run whose saves take their time, and that counts how many are under way."""

    def __init__(self) -> None:
        super().__init__()
        self.under_way = 0
        self.most_at_once = 0
        self._lock = threading.Lock()

    def save_state(
        self,
        name: str,
        ttl_seconds: int | None = None,
        overwrite: bool = False,
        user_metadata: dict[str, str] | None = None,
    ) -> APIFuture[SaveWeightsResponse]:
        answer = super().save_state(name, ttl_seconds, overwrite, user_metadata).result()
        future: Future[SaveWeightsResponse] = Future()
        with self._lock:
            self.under_way += 1
            self.most_at_once = max(self.most_at_once, self.under_way)

        def finish() -> None:
            with self._lock:
                self.under_way -= 1
            future.set_result(answer)

        threading.Timer(0.005, finish).start()
        return AwaitableConcurrentFuture(future)


@given(every=st.integers(1, 50), start=st.integers(0, 200), count=st.integers(0, 200))
def test_exactly_the_multiples_of_every_steps_are_saved(every: int, start: int, count: int) -> None:
    """Counted over the whole training, so that a resumed one saves at the same steps as an uninterrupted one."""
    run = FakeRun()
    checkpointer = Checkpointer(run, every_steps=every)

    steps = range(start + 1, start + count + 1)
    saved = [step for step in steps if checkpointer.step(step, {"loss": 1.0})]

    assert saved == [step for step in steps if step % every == 0]
    assert [metadata["step"] for metadata in run.checkpoints.values()] == [str(step) for step in saved]


def test_the_step_before_the_first_is_never_saved() -> None:
    """Zero steps are the base model."""
    assert Checkpointer(FakeRun(), every_steps=1).step(0, {}) is None


def test_a_checkpoint_says_its_step_and_metrics_as_text() -> None:
    """The service takes text only, and strategies read the numbers back without loss."""
    run = FakeRun()

    path = Checkpointer(run, every_steps=1200).step(1200, {"loss": 1.83, "tokens": 4096, "worst": float("nan")})

    assert path == "tinker://run/weights/step-001200"
    assert run.checkpoints == {"step-001200": {"step": "1200", "loss": "1.83", "tokens": "4096.0", "worst": "nan"}}


@given(loss=st.floats(allow_nan=False))
def test_a_metric_is_read_back_as_it_was(loss: float) -> None:
    """A comparison of checkpoints must see the numbers of the loop."""
    run = FakeRun()

    Checkpointer(run, every_steps=1).save_now(1, {"loss": loss})

    assert float(run.checkpoints["step-000001"]["loss"]) == loss


def test_the_end_of_a_training_that_was_just_saved_is_not_saved_again() -> None:
    """A second save of a name would be a conflict, which the SDK retries for minutes."""
    run = FakeRun()
    checkpointer = Checkpointer(run, every_steps=10)
    due = checkpointer.step(10, {"loss": 2.0})

    assert checkpointer.save_now(10, {"loss": 3.0}) == due
    assert run.checkpoints == {"step-000010": {"step": "10", "loss": "2.0"}}


def test_a_save_whose_answer_was_lost_can_be_tried_again() -> None:
    """The service may have saved it; the second try must not be a conflict."""
    run = FakeRun()
    run.lost_answers = 1
    checkpointer = Checkpointer(run, every_steps=10)
    with pytest.raises(ConnectionError):
        checkpointer.step(10, {})

    assert checkpointer.step(10, {}) == "tinker://run/weights/step-000010"


def test_there_are_never_two_saves_at_once() -> None:
    """Also when the loop calls from several threads."""
    run = SlowRun()
    checkpointer = Checkpointer(run, every_steps=1)

    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(lambda step: checkpointer.step(step, {}), range(1, 21)))

    assert (run.most_at_once, len(set(paths))) == (1, 20)


def test_a_new_run_takes_the_same_names_again() -> None:
    """Names are the run's own: after a recovery the first save may be called like one of the lost run."""
    paths = [Checkpointer(FakeRun(), every_steps=5).step(5, {}) for _ in range(2)]

    assert paths == ["tinker://run/weights/step-000005"] * 2


def test_the_time_to_live_goes_with_every_save() -> None:
    """What the loop asks for is what the service is told."""
    run = FakeRun()

    Checkpointer(run, every_steps=1, ttl_seconds=7200).step(1, {})

    assert run.ttl == {"step-000001": 7200}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("checkpoint", id="the same for every step"),
        pytest.param("{step:.0e}", id="the same for some steps, and a plus sign"),
        pytest.param("a/{step}", id="a slash"),
        pytest.param("step {step}", id="a space"),
        pytest.param("{step}?", id="a question mark"),
        pytest.param("{epoch}", id="an unknown field"),
        pytest.param("{0}", id="a positional field"),
        pytest.param("{step", id="an open brace"),
        pytest.param("", id="empty"),
    ],
)
def test_a_name_the_service_cannot_keep_is_refused_before_training(name: str) -> None:
    """A bad name must show at the start and not at step 10,000."""
    with pytest.raises(SettingInvalid, match="step-"):
        Checkpointer(FakeRun(), every_steps=1, name=name)


class LeftBehind(Exception):
    """What a guard raises."""


def left_behind() -> None:
    raise LeftBehind


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda saves: saves.step(10, {}), id="a step that is due"),
        pytest.param(lambda saves: saves.step(11, {}), id="a step that is not due"),
        pytest.param(lambda saves: saves.save_now(11, {}), id="a save out of turn"),
        pytest.param(lambda saves: saves.check(), id="a question within a step"),
    ],
)
def test_a_run_that_was_left_behind_is_told_so_and_saves_nothing(call: Callable[[Checkpointer], object]) -> None:
    """The successor's checkpoints are the ones that count from there on."""
    run = FakeRun()

    with pytest.raises(LeftBehind):
        call(Checkpointer(run, every_steps=10, guard=left_behind))

    assert run.checkpoints == {}


@pytest.mark.parametrize("every", [0, -1])
def test_a_save_needs_a_distance_of_one_step_or_more(every: int) -> None:
    """Zero would never save or always, depending on the reader."""
    with pytest.raises(SettingInvalid, match="1 or more"):
        Checkpointer(FakeRun(), every_steps=every)


def test_a_metric_may_not_hide_the_step() -> None:
    """A resumed training trusts the step."""
    with pytest.raises(SettingInvalid, match="another name"):
        Checkpointer(FakeRun(), every_steps=1).step(1, {"step": 7.0})
