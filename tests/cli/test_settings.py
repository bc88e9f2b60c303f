"""The command line: a bad setting is one line on stderr with the remedy, and exit status 2."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.http

SETTINGS: dict[str, tuple[tuple[str, ...], dict[str, str], str]] = {
    "a key of the wrong form": ((), {"TINKER_API_KEY": "hunter2"}, "TINKER_API_KEY"),
    "a base URL that is none": ((), {"TINKER_BASE_URL": "tinker.example"}, "TINKER_BASE_URL"),
    "a kubeconfig that is not there": (("--kubeconfig", "/no/such/file"), {}, "--kubeconfig"),
    "namespaces both ways": (("--namespace", "a", "--all-namespaces"), {}, "--namespace"),
    "a cluster id with a slash": (("--cluster-id", "a/b"), {}, "--cluster-id"),
    "an option that does not exist": (("--colour",), {}, "--colour"),
}


def run_operator(arguments: tuple[str, ...], environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Runs the command to its end."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("TINKER", "KUBE"))}
    command = [sys.executable, "-m", "tinker_operator.cli", "run", *arguments]
    return subprocess.run(command, env={**clean, **environ}, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_bad_setting_is_one_line_with_the_remedy(name: str) -> None:
    """Named, without a traceback, without the value of a key."""
    arguments, environ, named = SETTINGS[name]
    ended = run_operator(arguments, environ)

    assert ended.returncode == 2
    assert ended.stdout == ""
    assert len(ended.stderr.splitlines()) == 1
    assert named in ended.stderr
    assert "hunter2" not in ended.stderr


def test_without_a_cluster_the_remedy_is_named() -> None:
    """No kubeconfig anywhere: one line, exit 2."""
    ended = run_operator((), {"HOME": "/nonexistent"})

    assert ended.returncode == 2
    assert len(ended.stderr.splitlines()) == 1
    assert "kubeconfig" in ended.stderr


def test_help_names_every_option() -> None:
    """The help is complete."""
    ended = run_operator(("--help",), {})

    assert ended.returncode == 0
    for option in ("--kubeconfig", "--namespace", "--all-namespaces", "--cluster-id", "TINKER_BASE_URL"):
        assert option in ended.stdout
