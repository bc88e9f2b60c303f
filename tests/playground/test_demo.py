"""The whole demonstration, as a person runs it: it succeeds, and it leaves nothing behind when it is interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from playground.children import wait_until
from playground.demonstration.claims import CLAIMS

PROGRAM = Path(sys.executable).with_name("tinker-playground")
END_SECONDS = 10.0

Demo = subprocess.Popen[str]


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """Where the demonstration makes its temporary folder."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


@pytest.fixture
def demo(scratch: Path) -> Iterator[Demo]:
    """A demonstration that has just been started."""
    environ = os.environ | {"TMPDIR": str(scratch), "TINKER_API_KEY": "tml-somebody-elses", "KUBECONFIG": "/none"}
    command: list[str | Path] = [PROGRAM, "demo"]
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as running:
        yield running
        running.kill()


def read_until(demo: Demo, said: str) -> None:
    """Follow the output up to a line."""
    assert demo.stdout
    lines: list[str] = []
    for line in demo.stdout:
        lines.append(line)
        if said in line:
            return
    pytest.fail(f"it never said {said!r}: {''.join(lines)}")


def family(pid: int) -> list[psutil.Process]:
    """The process and all its descendants."""
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def gone(processes: list[psutil.Process]) -> bool:
    return not any(it.is_running() and it.status() != psutil.STATUS_ZOMBIE for it in processes)


@pytest.mark.cluster
@pytest.mark.usefixtures("control_plane")  # so that the binaries are there
def test_the_demonstration_succeeds_and_leaves_nothing_behind(demo: Demo, scratch: Path) -> None:
    """Exit 0, a tick at every claim, and no word of settings that were the person's own."""
    out, _ = demo.communicate(timeout=240)

    assert demo.returncode == 0, out
    assert [claim.title for claim in CLAIMS if f"  ✓ {claim.title}\n" not in out] == []
    assert out.splitlines()[-1].startswith(f"All {len(CLAIMS)} claims hold")
    assert "$ kubectl get trainingruns -n demo -o wide" in out
    assert list(scratch.iterdir()) == []


@pytest.mark.cluster
@pytest.mark.usefixtures("control_plane")
@pytest.mark.parametrize(
    ("number", "moment"),
    [
        pytest.param(signal.SIGINT, "the binaries are from", id="Ctrl-C while the control plane starts"),
        pytest.param(signal.SIGINT, "it saved step-", id="Ctrl-C while everything runs"),
        pytest.param(signal.SIGTERM, "saves answer 503", id="SIGTERM in the midst of the trouble"),
    ],
)
def test_an_interrupted_demonstration_leaves_no_process(
    demo: Demo, scratch: Path, number: signal.Signals, moment: str
) -> None:
    """All are gone within ten seconds, the temporary folder as well, and the exit status tells the signal."""
    read_until(demo, moment)
    processes = family(demo.pid)

    demo.send_signal(number)
    drain = threading.Thread(target=demo.communicate)
    drain.start()

    assert wait_until(lambda: gone(processes), END_SECONDS), [it.name() for it in processes if it.is_running()]
    drain.join()
    assert demo.returncode == 128 + number
    assert list(scratch.iterdir()) == []


@pytest.mark.cluster
@pytest.mark.usefixtures("control_plane")
def test_the_parts_die_with_a_demonstration_that_is_killed(demo: Demo) -> None:
    """A kill -9 gives nobody a chance to tidy up, and still nothing goes on running."""
    read_until(demo, "it saved step-")
    processes = family(demo.pid)

    demo.kill()

    assert wait_until(lambda: gone(processes), END_SECONDS), [it.name() for it in processes if it.is_running()]


@pytest.mark.http
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["--dir", "{tmp}/file"], "is a file", id="in a file"),
        pytest.param(["--dir", "{tmp}/foreign"], "Choose another folder", id="where another demonstration is"),
        pytest.param(["--dance"], "No such option", id="an unknown option"),
    ],
)
def test_a_bad_setting_is_one_line_and_exit_2(tmp_path: Path, arguments: list[str], said: str) -> None:
    """What is wrong and what to do is on one line of stderr."""
    (tmp_path / "file").touch()
    (tmp_path / "foreign" / "demonstration").mkdir(parents=True)
    command: list[str | Path] = [PROGRAM, "demo", *[it.replace("{tmp}", str(tmp_path)) for it in arguments]]

    answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    assert (answer.returncode, answer.stdout, len(answer.stderr.splitlines())) == (2, "", 1)
    assert said in answer.stderr
