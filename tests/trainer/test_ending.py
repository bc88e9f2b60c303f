"""How a loop's process ends: the status says why, SIGTERM finds its moment, and nothing hangs."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest
import tinker
from tests.trainer.test_checkpointer import FakeRun

from tinker_operator.trainer import (
    Checkpointer,
    CheckpointUnfit,
    CheckpointUnusable,
    ExitStatus,
    HandOver,
    HandOverForbidden,
    NoNextHandOver,
    RunLost,
    SettingInvalid,
    Superseded,
    Terminated,
    Termination,
    exit_status,
    training_loop,
)

pytestmark = pytest.mark.pure

Make = Callable[..., str]


class End:
    """Keeps the status that a process would have ended with."""

    def __init__(self) -> None:
        self.status: int | None = None

    def __call__(self, status: int) -> None:
        self.status = status


def superseded(text: str) -> Superseded:
    return Superseded(HandOver.parse(text, place="here"))


def fail(error: BaseException) -> None:
    raise error


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


ENDS = [
    pytest.param(RunLost("s1:train:0", error_class="E"), 75, id="a lost run of a loop that is replaced"),
    pytest.param(CheckpointUnusable("Gone.", remedy="Choose."), 65, id="a checkpoint that is gone"),
    pytest.param(CheckpointUnfit("Another model.", remedy="Choose."), 65, id="a checkpoint of another model"),
    pytest.param(SettingInvalid("Bad.", remedy="Set it."), 2, id="a setting"),
    pytest.param(tinker.TinkerError("no key"), 2, id="no key"),
    pytest.param(NoNextHandOver("Late.", remedy="Look."), 1, id="a recovery that never came"),
    pytest.param(HandOverForbidden("No.", remedy="Mend."), 1, id="a missing role"),
    pytest.param(SystemExit("Told by the loop."), 1, id="the loop's own words"),
]
SILENT = [
    pytest.param(KeyboardInterrupt(), 130, id="an interrupt"),
    pytest.param(Terminated(), 143, id="a termination"),
    pytest.param(SystemExit(7), 7, id="the loop's own status"),
    pytest.param(SystemExit(), 0, id="an exit without a status"),
]


@pytest.mark.parametrize(("error", "status"), ENDS)
def test_an_end_that_needs_a_word_is_one_line_and_a_status(
    error: BaseException, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """The operator reads the status, a person the line."""
    end = End()

    with training_loop(name="loop", end=end):
        fail(error)

    said = capsys.readouterr().err
    assert (end.status, said) == (status, f"loop: {error}\n")


@pytest.mark.parametrize(("error", "status"), SILENT)
def test_an_end_that_was_asked_for_is_a_status_alone(
    error: BaseException, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever asked knows why."""
    end = End()

    with training_loop(end=end):
        fail(error)

    assert (end.status, capsys.readouterr().err) == (status, "")


def test_a_superseded_loop_has_nothing_left_to_do(handover_text: Make, capsys: pytest.CaptureFixture[str]) -> None:
    """No failure: whoever restarts what failed would start a second loop."""
    end = End()

    with training_loop(name="loop", end=end):
        fail(superseded(handover_text(attempt=3)))

    assert end.status == ExitStatus.DONE
    assert capsys.readouterr().err.startswith("loop: Attempt 3 of the training run math-sft goes on elsewhere.")


def test_a_mistake_of_the_loop_keeps_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    """One line would not find it."""
    end = End()

    with training_loop(end=end):
        fail(ZeroDivisionError())

    said = capsys.readouterr().err
    assert end.status == ExitStatus.FAILED
    assert said.startswith("Traceback")
    assert __file__ in said


def test_a_loop_that_is_done_ends_with_nothing_to_say(capsys: pytest.CaptureFixture[str]) -> None:
    """Status 0, and that is all."""
    end = End()

    with training_loop(end=end):
        pass

    assert (end.status, capsys.readouterr().err) == (0, "")


def test_statuses_are_distinct() -> None:
    """Each says one thing."""
    assert sorted(ExitStatus) == [0, 1, 2, 65, 75, 130, 143]
    assert exit_status(Terminated()) == ExitStatus.TERMINATED


@pytest.mark.parametrize("save", [True, False])
def test_sigterm_ends_the_loop_after_the_step_and_saves_it_when_asked(save: bool) -> None:
    """The step that is under way is not torn."""
    run, end, done = FakeRun(), End(), []
    with training_loop(end=end):
        checkpointer = Checkpointer(run, every_steps=100, save_on_sigterm=save)
        for step in range(1, 10):
            if step == 3:
                terminate()
            done.append(step)
            checkpointer.step(step, {"loss": 1.0})

    assert (end.status, done) == (143, [1, 2, 3])
    assert list(run.checkpoints) == (["step-000003"] if save else [])


@pytest.mark.parametrize("save", [True, False])
def test_a_question_within_a_step_ends_the_loop_unless_the_step_is_to_be_saved(save: bool) -> None:
    """Half a step cannot be saved under a number."""
    end, reached = End(), []
    with training_loop(end=end):
        checkpointer = Checkpointer(FakeRun(), every_steps=100, save_on_sigterm=save)
        terminate()
        checkpointer.check()
        reached.append("the end of the step")

    assert (end.status, bool(reached)) == ((0, True) if save else (143, False))


def test_a_step_that_was_due_is_saved_before_the_loop_ends() -> None:
    """What would have been saved anyway is not lost to the signal."""
    run, end = FakeRun(), End()
    with training_loop(end=end):
        terminate()
        Checkpointer(run, every_steps=2).step(2, {})

    assert (end.status, list(run.checkpoints)) == (143, ["step-000002"])


def test_sigterm_ends_a_wait_at_once() -> None:
    """A loop that waits for a recovery has no step to finish."""
    end = End()
    begin = time.monotonic()
    with training_loop(end=end, grace_seconds=3600) as termination:
        timer = threading.Timer(0.05, terminate)
        timer.start()
        termination.sleep(20)
    timer.join()

    assert end.status == 143
    assert time.monotonic() - begin < 15


def test_a_wait_after_sigterm_does_not_begin() -> None:
    """The signal came between two waits."""
    end = End()
    with training_loop(end=end, grace_seconds=3600) as termination:
        terminate()
        termination.sleep(20)

    assert end.status == 143


def test_the_grace_ends_a_step_that_does_not_end() -> None:
    """The service may be away, and the SDK tries for minutes."""
    ended: list[int] = []
    over = threading.Event()

    def end(status: int) -> None:
        ended.append(status)
        over.set()

    with Termination(grace_seconds=0.01, end=end):
        terminate()
        terminate()
        assert over.wait(30)

    assert ended == [143]


def test_a_loop_that_ends_in_time_is_not_ended_twice() -> None:
    """The guard goes with the loop."""
    ended: list[int] = []
    with Termination(grace_seconds=60, end=ended.append):
        terminate()

    assert ended == []
    assert "termination-guard" not in {each.name for each in threading.enumerate()}


def test_the_handler_goes_with_the_loop() -> None:
    """What was there before is there again."""
    before = signal.getsignal(signal.SIGTERM)
    with training_loop(end=End()):
        assert signal.getsignal(signal.SIGTERM) != before

    assert signal.getsignal(signal.SIGTERM) == before
    assert Termination.current is None


def test_outside_of_the_main_thread_the_loop_is_refused() -> None:
    """Only the main thread may handle signals."""
    caught: list[SettingInvalid] = []

    def enter() -> None:
        try:
            with training_loop(end=End()):
                pass
        except SettingInvalid as error:
            caught.append(error)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()

    assert [error.remedy for error in caught] == ["Enter training_loop in the main thread, around everything else."]


PROGRAM = """
import atexit, sys, threading
from tinker_operator.trainer import training_loop
atexit.register(print, "at exit")
threading.Thread(target=threading.Event().wait).start()  # never ends, and is no daemon
with training_loop():
    print("trained")
print("never reached")
"""


@pytest.mark.http
def test_a_thread_that_never_ends_does_not_keep_the_process() -> None:
    """What is to be done at exit is done, the output is written, and that is the end."""
    ended = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False)

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "trained\nat exit\n", "")
