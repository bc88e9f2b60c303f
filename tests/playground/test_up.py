"""`tinker-playground up` gives a cluster within seconds, and takes everything with it when it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from playground.children import wait_until
from playground.controlplane import ControlPlane
from playground.kubectl import Kubectl

pytestmark = pytest.mark.cluster

PROGRAM = Path(sys.executable).with_name("tinker-playground")
STOP_SECONDS = 10
# What a shell may have set for other purposes: etcd would not start with the first, nothing be reached by the second.
HOSTILE = {"ETCD_DATA_DIR": "/elsewhere", "HTTPS_PROXY": "http://127.0.0.1:1"}


@contextmanager
def up(folder: Path, binaries: Path, *options: str, **environ: str) -> Iterator[subprocess.Popen[str]]:
    """`up` in a folder, until the first line of its stdout; killed at the end if need be."""
    command: list[str | Path] = [PROGRAM, "up", "--dir", folder, *options]
    wanted = os.environ | HOSTILE | {"KUBEBUILDER_ASSETS": str(binaries)} | environ
    program = subprocess.Popen(command, env=wanted, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert program.stdout is not None
        assert program.stdout.readline() == f"{folder / 'kubeconfig'}\n"
        yield program
    finally:
        program.kill()
        program.communicate()


def descendants(program: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(program.pid).children(recursive=True)


def gone(processes: list[psutil.Process]) -> bool:
    return not any(process.is_running() for process in processes)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_cleanly_when_asked(control_plane: ControlPlane, tmp_path: Path, number: signal.Signals) -> None:
    """While somebody watches, a signal ends all of it within ten seconds, with exit 0 and no process left."""
    with up(tmp_path / "d", control_plane.bin) as program:
        kubectl = Kubectl(tmp_path / "d" / "bin" / "kubectl", tmp_path / "d" / "kubeconfig")
        assert kubectl("get", "--raw", "/readyz").stdout == "ok"
        started = descendants(program)
        watch: list[str | Path] = [
            kubectl.program,
            f"--kubeconfig={kubectl.kubeconfig}",
            "get",
            "namespaces",
            "--watch",
        ]
        watcher = subprocess.Popen(watch, stdout=subprocess.PIPE)
        assert watcher.stdout is not None
        watcher.stdout.readline()
        began = time.monotonic()

        program.send_signal(number)
        stdout, stderr = program.communicate(timeout=STOP_SECONDS)

        watcher.communicate(timeout=STOP_SECONDS)
        assert time.monotonic() - began < STOP_SECONDS
        assert (program.returncode, stdout) == (0, "")
        assert f"{number.name}: stopping." in stderr
        assert len(started) == 6
        assert wait_until(lambda: gone(started), STOP_SECONDS)


def test_it_leaves_nothing_behind_when_it_is_killed(control_plane: ControlPlane, tmp_path: Path) -> None:
    """After kill -9 its processes end by themselves, and the folder can be used again."""
    with up(tmp_path / "d", control_plane.bin) as program:
        started = descendants(program)
        kubectl = Kubectl(tmp_path / "d" / "bin" / "kubectl", tmp_path / "d" / "kubeconfig")
        kubectl("create", "namespace", "of-the-first")

        program.kill()

        assert len(started) == 6
        assert wait_until(lambda: gone(started), STOP_SECONDS)
    with up(tmp_path / "d", control_plane.bin):
        assert "of-the-first" not in kubectl("get", "namespaces").stdout


def test_it_ends_with_an_error_when_a_component_dies(control_plane: ControlPlane, tmp_path: Path) -> None:
    """A control plane without etcd is none: exit 1, with the name of what died, and the rest is stopped."""
    with up(tmp_path / "d", control_plane.bin) as program:
        started = descendants(program)
        next(process for process in started if process.name() == "etcd" or "etcd" in process.cmdline()[0]).kill()

        _, stderr = program.communicate(timeout=STOP_SECONDS + 5)

        assert program.returncode == 1
        assert "etcd ended with status 137" in stderr
        assert wait_until(lambda: gone(started), STOP_SECONDS)


def test_crds_are_applied_and_established(control_plane: ControlPlane) -> None:
    """`crds` applies the project's definitions with the kubectl of the folder; a second time changes nothing."""
    command: list[str | Path] = [PROGRAM, "crds", "--dir", control_plane.folder]

    for _ in range(2):
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (answer.returncode, answer.stderr) == (0, "")
        assert "trainingruns.tinker-operator.dev established" in answer.stdout


def test_crds_says_what_the_server_refused(control_plane: ControlPlane, tmp_path: Path) -> None:
    """A definition that is none is told in the server's words, with exit 1."""
    (tmp_path / "bad.yaml").write_text("apiVersion: v1\nkind: Nonsense\nmetadata: {name: a}\n")
    command: list[str | Path] = [PROGRAM, "crds", "--dir", control_plane.folder, "--crds", tmp_path]

    answer = subprocess.run(command, capture_output=True, text=True, check=False)

    assert answer.returncode == 1
    assert 'no matches for kind "Nonsense"' in answer.stderr


def test_a_cluster_of_ones_own_is_used_and_left_alone(control_plane: ControlPlane, tmp_path: Path) -> None:
    """With --use-cluster nothing is started; the folder gets a kubeconfig and a kubectl for that cluster."""
    kubeconfig = str(control_plane.admin_kubeconfig)
    with up(tmp_path / "d", control_plane.bin, "--use-cluster", KUBECONFIG=kubeconfig) as program:
        kubectl = Kubectl(tmp_path / "d" / "bin" / "kubectl", tmp_path / "d" / "kubeconfig")

        assert kubectl("get", "--raw", "/readyz").stdout == "ok"
        assert descendants(program) == []
        program.terminate()
        assert program.wait(STOP_SECONDS) == 0
    assert control_plane.kubectl("get", "--raw", "/readyz").stdout == "ok"


def test_a_cluster_that_does_not_answer_is_a_bad_setting(control_plane: ControlPlane, tmp_path: Path) -> None:
    """KUBECONFIG of a cluster that is gone: one line, exit 2."""
    text = control_plane.admin_kubeconfig.read_text().replace(control_plane.url, "https://127.0.0.1:1")
    (tmp_path / "kubeconfig").write_text(text)
    environ = os.environ | {"KUBECONFIG": str(tmp_path / "kubeconfig"), "KUBEBUILDER_ASSETS": str(control_plane.bin)}
    command: list[str | Path] = [PROGRAM, "up", "--dir", tmp_path / "d", "--use-cluster"]

    answer = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)

    assert answer.returncode == 2
    assert len(answer.stderr.splitlines()) == 1
    assert "does not answer" in answer.stderr
