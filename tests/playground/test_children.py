"""Processes end with the one that started them, however it ends, and take their own children along."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from playground.children import Child, stop_all, wait_until

pytestmark = pytest.mark.http

SLEEP = ("sleep", "300")
STUBBORN = ("sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done")
FAMILY = ("sh", "-c", "sleep 300 & sleep 300 & wait")
OWNER = """
import sys, time
from pathlib import Path
from playground.children import Child
child = Child("child", sys.argv[2:], Path(sys.argv[1]))
print(child.pid, flush=True)
time.sleep(300)
"""


def family(pid: int) -> list[psutil.Process]:
    """The process and all its descendants."""
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def gone(processes: list[psutil.Process]) -> bool:
    return not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in processes)


def owned_by_another(log: Path, *command: str) -> tuple[subprocess.Popen[str], int]:
    owner = subprocess.Popen([sys.executable, "-c", OWNER, log, *command], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    pid = int(owner.stdout.readline())
    owner.stdout.close()
    return owner, pid


@pytest.mark.parametrize(
    ("command", "processes"),
    [
        pytest.param(SLEEP, 2, id="a program"),
        pytest.param(STUBBORN, 3, id="a program that ignores SIGTERM"),
        pytest.param(FAMILY, 4, id="a program with children of its own"),
    ],
)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_children_end_when_their_owner_is_killed(
    tmp_path: Path, command: tuple[str, ...], processes: int, number: signal.Signals
) -> None:
    """After a kill -9 of the owner nothing that it started is left."""
    owner, pid = owned_by_another(tmp_path / "log", *command)
    assert wait_until(lambda: len(family(pid)) >= processes, 10)
    started = family(pid)

    owner.send_signal(number)
    owner.wait()

    assert wait_until(lambda: gone(started), 15)


def test_a_child_ends_when_its_keeper_is_killed(tmp_path: Path) -> None:
    """A kill -9 of the process in between leaves nothing either."""
    child = Child("child", SLEEP, tmp_path / "log")
    assert wait_until(lambda: len(family(child.pid)) == 2, 10)
    started = family(child.pid)

    os.kill(child.pid, signal.SIGKILL)

    assert wait_until(lambda: gone(started), 10)
    child.stop()


def test_a_child_outlives_the_thread_that_started_it(tmp_path: Path) -> None:
    """The end of a thread is not the end of its process."""
    children: list[Child] = []
    thread = threading.Thread(target=lambda: children.append(Child("child", SLEEP, tmp_path / "log")))
    thread.start()
    thread.join()
    child = children[0]
    assert wait_until(lambda: len(family(child.pid)) == 2, 10)

    assert not wait_until(lambda: not child.running, 0.5)
    child.stop()


@pytest.mark.parametrize(
    ("command", "status"),
    [
        pytest.param(("true",), 0, id="success"),
        pytest.param(("sh", "-c", "exit 7"), 7, id="an exit status"),
        pytest.param(("sh", "-c", "kill -9 $$"), 137, id="a death by signal"),
        pytest.param(("/no/such/program",), 127, id="a program that is not there"),
    ],
)
def test_the_exit_status_of_a_child_is_known(tmp_path: Path, command: tuple[str, ...], status: int) -> None:
    """A keeper ends as its child did."""
    child = Child("child", command, tmp_path / "log")

    assert wait_until(lambda: not child.running, 10)
    assert child.exit_status == status
    child.stop()


def test_output_goes_to_the_log(tmp_path: Path) -> None:
    """Both streams are in the file, and its end can be shown."""
    child = Child("child", ("sh", "-c", "echo one; echo two >&2; echo three"), tmp_path / "logs" / "log")
    assert wait_until(lambda: not child.running, 10)

    assert child.tail(2) == "two\nthree"
    child.stop()


def test_stopping_asks_first(tmp_path: Path) -> None:
    """A program that tidies up on SIGTERM has the time to."""
    tidy = "trap 'echo tidied; exit 0' TERM; echo ready; while :; do sleep 0.05; done"
    child = Child("child", ("sh", "-c", tidy), tmp_path / "log")
    assert wait_until(lambda: "ready" in child.tail(), 10)

    child.stop()

    assert child.tail() == "ready\ntidied"
    assert child.exit_status == 0


def test_what_does_not_stop_is_killed_in_time(tmp_path: Path) -> None:
    """Several that ignore SIGTERM take together no longer than one, and none is left."""
    children = [Child(str(index), STUBBORN, tmp_path / str(index)) for index in range(3)]
    assert wait_until(lambda: all("ready" in child.tail() for child in children), 10)
    started = [process for child in children for process in family(child.pid)]

    stop_all(children, 0.2)

    assert wait_until(lambda: gone(started), 5)


def test_stopping_twice_does_nothing(tmp_path: Path) -> None:
    """A second stop finds nothing to do."""
    child = Child("child", SLEEP, tmp_path / "log")

    child.stop()
    child.stop()

    assert not child.running
