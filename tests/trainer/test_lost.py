"""A run is lost when the service says so, and an error alone never proves it."""

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import tinker
from tinker.lib.public_interfaces.api_future import AwaitableConcurrentFuture

from tinker_operator.trainer import Checkpointer, Resumed, TrainingSession, is_run_lost

pytestmark = pytest.mark.pure

REQUEST = httpx.Request("POST", "http://service")


class FakeRest:
    """Answers for a run, one answer after the other; the last one stays."""

    def __init__(self, *answers: bool | Exception) -> None:
        self.answers = list(answers)
        self.asked = 0

    def get_training_run(self, _run: str) -> AwaitableConcurrentFuture[Any]:
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        future: Future[Any] = Future()
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(SimpleNamespace(corrupted=answer))
        return AwaitableConcurrentFuture(future)


def status(code: int) -> tinker.APIStatusError:
    kinds = {400: tinker.BadRequestError, 404: tinker.NotFoundError, 409: tinker.ConflictError}
    kind = kinds.get(code, tinker.APIStatusError)
    return kind(f"Error code: {code}", response=httpx.Response(code, request=REQUEST), body=None)


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


def failed_future() -> tinker.RequestFailedError:
    return tinker.RequestFailedError("failed", request_id="r", category=tinker.types.RequestErrorCategory.Server)


def ask(error: BaseException, rest: FakeRest) -> bool:
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    return is_run_lost(
        error,
        training_run_id="s1:train:0",
        rest_client=rest,  # type: ignore[arg-type]  # a fake of the SDK's interface
        confirm_seconds=5,
        poll_seconds=1,
        monotonic=lambda: now[0],
        sleep=sleep,
    )


SUSPECTS = [
    pytest.param(status(400), id="a request refused as bad"),
    pytest.param(status(404), id="a run that is not loaded any more"),
    pytest.param(status(410), id="a promise that is gone"),
    pytest.param(status(422), id="a request that makes no sense to the service"),
    pytest.param(status(500), id="a server fault that outlasted the retries"),
    pytest.param(failed_future(), id="a failed future"),
    pytest.param(caused(ValueError("Error retrieving result"), status(400)), id="a bad request while polling a future"),
    pytest.param(caused(RuntimeError("poisoned"), failed_future()), id="a call after a failed one"),
]


@pytest.mark.parametrize("error", SUSPECTS)
def test_a_suspect_error_of_a_corrupted_run_is_its_loss(error: Exception) -> None:
    """Which error a corrupted run gives is the service's choice; its flag is what counts."""
    assert ask(error, FakeRest(True))


@pytest.mark.parametrize("error", SUSPECTS)
def test_a_suspect_error_of_a_run_that_is_well_is_just_an_error(error: Exception) -> None:
    """A bad batch must not make the loop wait for a recovery that never comes."""
    assert not ask(error, FakeRest(False))


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(status(401), id="a wrong key"),
        pytest.param(status(402), id="a bill"),
        pytest.param(status(403), id="a lack of permission"),
        pytest.param(status(409), id="a conflict"),
        pytest.param(status(429), id="a rate limit"),
        pytest.param(tinker.APIConnectionError(request=REQUEST), id="a network that is away"),
        pytest.param(tinker.APITimeoutError(request=REQUEST), id="a time-out"),
        pytest.param(ZeroDivisionError(), id="a mistake of the loop"),
        pytest.param(KeyboardInterrupt(), id="an interrupt"),
    ],
)
def test_an_error_that_says_nothing_about_a_run_asks_nothing(error: BaseException) -> None:
    """Even of a corrupted run: this error was not about it, and the next call will tell."""
    rest = FakeRest(True)

    assert (ask(error, rest), rest.asked) == (False, 0)


def test_a_flag_that_comes_a_moment_later_is_waited_for() -> None:
    """A call may fail before the service has flagged the run."""
    assert ask(status(400), FakeRest(False, False, True))


def test_silence_is_no_proof() -> None:
    """A service that does not answer has not said that the run is corrupted."""
    assert not ask(status(500), FakeRest(tinker.APIConnectionError(request=REQUEST)))


def test_an_answer_after_silence_is_heard() -> None:
    """One failed question does not end the asking."""
    assert ask(status(500), FakeRest(tinker.APIConnectionError(request=REQUEST), TimeoutError(), True))


def session(*, corrupted: bool) -> TrainingSession:
    client: Any = SimpleNamespace()
    run = Resumed(client, "s1:train:0", 20, 1, "tinker://s0:train:0/weights/step-000020", fresh=False)
    return TrainingSession(run, Checkpointer(client, every_steps=10), lambda error: ask(error, FakeRest(corrupted)))


def test_a_session_ends_with_the_loss_of_its_run() -> None:
    """The loop around it goes on with the next one, and can say what happened."""
    lost = session(corrupted=True)

    with lost:
        raise status(400)

    assert lost.lost is not None
    assert (lost.lost.training_run_id, lost.lost.error_class) == ("s1:train:0", "BadRequestError")


@pytest.mark.parametrize(
    ("error", "corrupted"),
    [
        pytest.param(status(400), False, id="a bad request of a run that is well"),
        pytest.param(ZeroDivisionError(), True, id="a mistake of the loop"),
        pytest.param(SystemExit(143), True, id="a termination"),
        pytest.param(KeyboardInterrupt(), True, id="an interrupt"),
    ],
)
def test_a_session_lets_every_other_error_pass(error: BaseException, corrupted: bool) -> None:
    """Only a confirmed loss is caught; an interrupt ends the loop even while its run is corrupted."""
    kept = session(corrupted=corrupted)

    with pytest.raises(type(error)), kept:
        raise error

    assert kept.lost is None


def test_an_interrupt_is_never_taken_for_a_loss() -> None:
    """A termination that arrives while a lost run is asked after still ends the loop."""
    kept = session(corrupted=True)
    interrupt = SystemExit(143)
    interrupt.__cause__ = status(400)

    with pytest.raises(SystemExit), kept:
        raise interrupt

    assert kept.lost is None


def test_the_steps_of_a_session_are_those_that_are_left() -> None:
    """Counted over the whole training: the first is the one after the restored."""
    assert list(session(corrupted=False).steps(until=23)) == [21, 22, 23]


def test_a_training_that_was_done_has_no_steps_left() -> None:
    """Restoring the last checkpoint of a finished training trains nothing."""
    assert list(session(corrupted=False).steps(until=20)) == []
