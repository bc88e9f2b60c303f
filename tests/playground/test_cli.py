"""The command answers what it cannot do with one line and exit 2, and ends cleanly when it is asked to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from playground.cache import missing_from

pytestmark = pytest.mark.http

PROGRAM = Path(sys.executable).with_name("tinker-playground")


def run(*arguments: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if key not in ("KUBECONFIG", "KUBEBUILDER_ASSETS")}
    command: list[str | Path] = [PROGRAM, *arguments]
    return subprocess.run(command, env=clean | environ, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize(
    ("arguments", "environ", "said"),
    [
        pytest.param([], {}, "Missing command", id="no command"),
        pytest.param(["dance"], {}, "No such command 'dance'", id="an unknown command"),
        pytest.param(["up"], {}, "Missing option '--dir'", id="up without a folder"),
        pytest.param(["up", "--dir", "{tmp}/file"], {}, "is a file", id="up in a file"),
        pytest.param(["up", "--dir", "/proc/none"], {}, "Choose a folder", id="up where nobody can write"),
        pytest.param(["up", "--dir", "{tmp}/foreign"], {}, "Choose another folder", id="up where other things are"),
        pytest.param(["up", "--dir", "{tmp}/d", "--fast"], {}, "No such option", id="an unknown option"),
        pytest.param(["up", "--dir", "{tmp}/d", "--use-cluster"], {}, "KUBECONFIG", id="no KUBECONFIG"),
        pytest.param(
            ["up", "--dir", "{tmp}/d", "--use-cluster"],
            {"KUBECONFIG": "/none"},
            "'/none'",
            id="KUBECONFIG is no file",
        ),
        pytest.param(["crds", "--dir", "{tmp}/d"], {}, "tinker-playground up", id="crds without a control plane"),
        pytest.param(["warm"], {"KUBEBUILDER_ASSETS": "/none"}, "not a folder", id="assets in no folder"),
        pytest.param(["warm"], {"TINKER_OPERATOR_CACHE": "here"}, "absolute", id="a relative cache"),
        pytest.param(["warm"], {"TINKER_OPERATOR_CACHE": "/proc/none"}, "can be written", id="a cache nobody can make"),
    ],
)
def test_a_bad_setting_is_one_line_and_exit_2(
    tmp_path: Path, arguments: list[str], environ: dict[str, str], said: str
) -> None:
    """What is wrong and what to do is on one line of stderr; stdout stays empty."""
    (tmp_path / "file").touch()
    (tmp_path / "foreign" / "etcd").mkdir(parents=True)

    answer = run(*[argument.replace("{tmp}", str(tmp_path)) for argument in arguments], **environ)

    assert (answer.returncode, answer.stdout) == (2, "")
    assert len(answer.stderr.splitlines()) == 1
    assert said in answer.stderr


@pytest.mark.parametrize("command", [[], ["up"], ["crds"], ["warm"]])
def test_help_is_complete(command: list[str]) -> None:
    """Every command tells what it does and what its options mean."""
    answer = run(*command, "--help")

    assert answer.returncode == 0
    assert "Usage: tinker-playground" in answer.stdout


def test_warm_tells_where_the_binaries_are_from(tmp_path: Path) -> None:
    """With all four at hand, warm names the folder and exits 0."""
    for name in missing_from(tmp_path):
        (tmp_path / name).touch(0o755)

    answer = run("warm", KUBEBUILDER_ASSETS=str(tmp_path))

    assert (answer.returncode, answer.stderr) == (0, "")
    assert answer.stdout == f"The binaries are from KUBEBUILDER_ASSETS ({tmp_path}).\n"


def test_warm_goes_on_where_charts_cannot_be_rendered(tmp_path: Path) -> None:
    """Nothing but the tests of the chart needs that, and those are skipped then: it is told, and warm exits 0."""
    for name in missing_from(tmp_path):
        (tmp_path / name).touch(0o755)
    offline = {
        "GOPROXY": "off",
        "GOMODCACHE": str(tmp_path / "none"),
        "PIP_INDEX_URL": "http://127.0.0.1:1",
        "PIP_RETRIES": "0",
    }

    places = {"KUBEBUILDER_ASSETS": str(tmp_path), "TINKER_OPERATOR_CACHE": str(tmp_path / "cache")}
    answer = run("warm", "--helm", "--scores", **places, **offline)

    assert answer.returncode == 0
    assert "Helm charts are not rendered here: " in answer.stdout
    assert "Manifests are not judged here: " in answer.stdout


def test_a_component_that_does_not_start_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    """When etcd dies, the error shows what it wrote, and nothing is left running."""
    for name in missing_from(tmp_path):
        (tmp_path / name).write_text("#!/bin/sh\necho out of cheese >&2\nexit 3\n")
        (tmp_path / name).chmod(0o755)

    answer = run("up", "--dir", tmp_path / "d", KUBEBUILDER_ASSETS=str(tmp_path))

    assert answer.returncode == 1
    assert "ended with status 3" in answer.stderr
    assert "out of cheese" in answer.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_during_the_start_ends_everything(tmp_path: Path, number: signal.Signals) -> None:
    """Who interrupts the start gets the exit status of that signal, and no process is left."""
    for name in missing_from(tmp_path):
        (tmp_path / name).write_text("#!/bin/sh\nexec sleep 300\n")
        (tmp_path / name).chmod(0o755)
    environ = os.environ | {"KUBEBUILDER_ASSETS": str(tmp_path)}
    command: list[str | Path] = [PROGRAM, "up", "--dir", tmp_path / "d"]
    program = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert program.stderr is not None
    while "Starting the control plane" not in program.stderr.readline():
        assert program.poll() is None

    program.send_signal(number)
    stdout, stderr = program.communicate(timeout=10)

    assert (program.returncode, stdout) == (128 + number, "")
    assert "given up" in stderr
