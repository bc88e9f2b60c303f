"""The command line: a bad setting is one line on stderr with the remedy, and exit status 2."""

import os
import socket
import subprocess
import sys

import pytest

pytestmark = pytest.mark.http

SETTINGS: dict[str, tuple[tuple[str, ...], dict[str, str], str]] = {
    "a key of the wrong form": ((), {"TINKER_API_KEY": "hunter2"}, "TINKER_API_KEY"),
    "a key with a space inside": ((), {"TINKER_API_KEY": "tml-hunter2 b"}, "TINKER_API_KEY"),
    "a base URL that is none": ((), {"TINKER_BASE_URL": "tinker.example"}, "TINKER_BASE_URL"),
    "a base URL with half an address": ((), {"TINKER_BASE_URL": "http://["}, "TINKER_BASE_URL"),
    "a base URL with a port in letters": ((), {"TINKER_BASE_URL": "http://h:abc"}, "TINKER_BASE_URL"),
    "a base URL with a port that is too high": ((), {"TINKER_BASE_URL": "http://h:99999"}, "TINKER_BASE_URL"),
    "a base URL with a port of zero": ((), {"TINKER_BASE_URL": "http://h:0"}, "TINKER_BASE_URL"),
    "a base URL with a password": ((), {"TINKER_BASE_URL": "https://u:hunter2@h"}, "TINKER_BASE_URL"),
    "a base URL with a key before a host of odd letters": (
        (),
        {"TINKER_BASE_URL": "http://tml-hunter2@a\u2100b"},
        "TINKER_BASE_URL",
    ),
    "a base URL that is a key": ((), {"TINKER_BASE_URL": "tml-hunter2"}, "TINKER_BASE_URL"),
    "an allowed URL with half an address": (("--allow-base-url", "http://["), {}, "--allow-base-url"),
    "an allowed URL with a password": (("--allow-base-url", "http://u:hunter2@h"), {}, "--allow-base-url"),
    "an empty namespace, which would mean all": (("--namespace", ""), {}, "--namespace"),
    "a namespace with a capital": (("--namespace", "Bad_NS"), {}, "--namespace"),
    "two namespaces in one": (("--namespace", "a,b"), {}, "--namespace"),
    "a second namespace that is none": (("--namespace", "a", "--namespace", "-b"), {}, "--namespace"),
    "a namespace that is too long": (("--namespace", "a" * 64), {}, "--namespace"),
    "a namespace of two lines": (("--namespace", "a\nb"), {}, "--namespace"),
    "an empty namespace of the Lease": (("--lease-namespace", ""), {}, "--lease-namespace"),
    "a kubeconfig that is not there": (("--kubeconfig", "/no/such/file"), {}, "--kubeconfig"),
    "namespaces both ways": (("--namespace", "a", "--all-namespaces"), {}, "--namespace"),
    "a cluster id with a slash": (("--cluster-id", "a/b"), {}, "--cluster-id"),
    "a webhook with its scheme": (("--allow-webhook", "https://hooks.example"), {}, "--allow-webhook"),
    "a webhook with a path": (("--allow-webhook", "hooks.example/x"), {}, "--allow-webhook"),
    "an empty webhook": (("--allow-webhook", ""), {}, "--allow-webhook"),
    "every webhook there is": (("--allow-webhook", "*"), {}, "--allow-webhook"),
    "an address without a port": (("--metrics-address", "127.0.0.1"), {}, "--metrics-address"),
    "a port without a colon": (("--metrics-address", "9090"), {}, "--metrics-address"),
    "an address with a port in letters": (("--metrics-address", ":http"), {}, "--metrics-address"),
    "an address with a port that is too high": (("--metrics-address", ":65536"), {}, "--metrics-address"),
    "an empty address": (("--metrics-address", ""), {}, "--metrics-address"),
    "an address that is not this machine's": (("--metrics-address", "192.0.2.1:9090"), {}, "--metrics-address"),
    "an address that is a URL": (("--metrics-address", "http://127.0.0.1:9090"), {}, "--metrics-address"),
    "a floor of polls of nothing": (("--min-poll-seconds", "0"), {}, "--min-poll-seconds"),
    "a floor of polls that is no number": (("--min-poll-seconds", "nan"), {}, "--min-poll-seconds"),
    "a floor of polls for ever": (("--min-poll-seconds", "inf"), {}, "--min-poll-seconds"),
    "a pace that is no number": (("--calls-per-second", "nan"), {}, "--calls-per-second"),
    "a pace without end": (("--calls-per-second", "inf"), {}, "--calls-per-second"),
    "no calls at all": (("--calls-per-second", "0"), {}, "--calls-per-second"),
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


def test_an_address_for_metrics_that_is_taken_is_one_line_with_the_remedy() -> None:
    """Told before the cluster is asked for anything: a Deployment that cannot be scraped should not look well."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        ended = run_operator(("--metrics-address", address), {"HOME": "/nonexistent"})

    assert ended.returncode == 2
    assert len(ended.stderr.splitlines()) == 1
    assert "--metrics-address" in ended.stderr
    assert "Address already in use" in ended.stderr
    assert "Give an address that is free" in ended.stderr


def test_help_names_every_option() -> None:
    """The help is complete."""
    ended = run_operator(("--help",), {})

    assert ended.returncode == 0
    for option in (
        "--kubeconfig",
        "--namespace",
        "--all-namespaces",
        "--cluster-id",
        "--allow-webhook",
        "--min-poll-seconds",
        "--calls-per-second",
        "--metrics-address",
        "TINKER_BASE_URL",
    ):
        assert option in ended.stdout
