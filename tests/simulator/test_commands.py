"""The command `tinker-simulator`: its one line, its orders, and one line for whatever is wrong."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.simulator.bare import Served, Wire

pytestmark = pytest.mark.http


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `tinker-simulator`."""
    whole = [sys.executable, "-W", "error", "-m", "tinker_simulator", *arguments]
    return subprocess.run(whole, capture_output=True, text=True, timeout=30, check=False)


WRONG: dict[str, tuple[Sequence[str], str]] = {
    "no command": ((), "No command is given"),
    "an unknown command": (("fly",), "No such command 'fly'"),
    "no port": (("serve", "--state-dir", "{tmp}"), "Missing option '--port'"),
    "a port that is none": (("serve", "--port", "http", "--state-dir", "{tmp}"), "Invalid value for '--port'"),
    "no state folder": (("serve", "--port", "0"), "Missing option '--state-dir'"),
    "a state folder that cannot be": (("serve", "--port", "0", "--state-dir", "/proc/none"), "Give a folder"),
    "an address of another machine": (
        ("serve", "--port", "0", "--state-dir", "{tmp}", "--host", "192.0.2.1"),
        "Cannot listen on 192.0.2.1:0",
    ),
    "a key that no client sends": (
        ("serve", "--port", "0", "--state-dir", "{tmp}", "--api-key", "secret-key"),
        "does not begin with 'tml-'",
    ),
    "a count and seconds": (
        ("fault", "drop", "--url", "http://127.0.0.1:1", "--count", "1", "--seconds", "1"),
        "not both",
    ),
    "a status that is no error": (
        ("fault", "http", "--url", "http://127.0.0.1:1", "--status", "200"),
        "Invalid value for '--status'",
    ),
    "an unknown breakage": (
        ("fault", "break-checkpoint", "--url", "http://127.0.0.1:1", "--path", "tinker://a/weights/b", "--how", "burn"),
        "Invalid value for '--how'",
    ),
}


@pytest.mark.parametrize("why", WRONG)
def test_a_setting_is_refused_in_one_line_for(why: str, tmp_path: Path) -> None:
    """Exit 2, the reason, and no secret."""
    arguments, reason = WRONG[why]
    done = command(*(argument.replace("{tmp}", str(tmp_path)) for argument in arguments))

    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert reason in done.stderr
    assert "secret-key" not in done.stderr


def test_two_simulators_never_share_a_state_folder(shared: Served) -> None:
    """The second one says so and ends."""
    done = command("serve", "--port", "0", "--state-dir", str(shared.state_dir))

    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "Another simulator uses" in done.stderr


def test_a_port_in_use_is_named(shared: Served, tmp_path: Path) -> None:
    """With the remedy."""
    done = command("serve", "--port", str(shared.port), "--state-dir", str(tmp_path))

    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "Give another --port" in done.stderr


@pytest.mark.parametrize(
    "arguments", [(), ("serve",), ("fault",), ("fault", "http"), ("calls",), ("seed",)], ids=" ".join
)
def test_every_command_explains_itself(arguments: Sequence[str]) -> None:
    """`--help` exits 0."""
    done = command(*arguments, "--help")

    assert done.returncode == 0
    assert "Usage: tinker-simulator" in done.stdout


def test_orders_reach_the_simulator(api: Wire, shared: Served) -> None:
    """Each fault command does what its route does."""
    run = api.run()
    path = api.saved(run, "a")
    url = ("--url", shared.url)
    route = ("--route", "GET .*/no-such-run$", "--count", "9")
    done = [
        command("fault", "corrupt", *url, "--run", run),
        command("fault", "break-checkpoint", *url, "--path", path, "--how", "nan"),
        command("fault", "http", *url, "--status", "503", "--retry-after", "2", *route),
        command("fault", "latency", *url, "--seconds", "0.1", *route),
        command("fault", "drop", *url, "--when", "midway", *route),
        command("fault", "garbage", *url, *route),
        command("fault", "half-body", *url, *route),
        command("fault", "half-page", *url, *route),
        command("fault", "load-failure", *url, "--path", "/never$", "--count", "1"),
    ]

    assert [(one.returncode, one.stderr) for one in done] == [(0, "")] * len(done)
    assert api.get(f"training_runs/{run}").json()["corrupted"] is True
    assert "not finite" in api.ended(api.load(path)).json()["error"]
    rules = api.http.get("/_simulator/faults").json()["faults"]
    kinds = [rule["kind"] for rule in rules]
    assert kinds == ["http", "latency", "drop", "garbage", "half-body", "half-page", "load-failure"]
    assert (rules[0]["status"], rules[0]["retry_after"], rules[1]["delay"], rules[2]["when"]) == (503, 2, 0.1, "midway")
    assert command("fault", "clear", *url).returncode == 0
    assert api.http.get("/_simulator/faults").json()["faults"] == []
    assert command("fault", "lose", *url, "--run", run).returncode == 0
    assert api.get(f"training_runs/{run}").status_code == 404


def test_calls_are_printed_by_route(api: Wire, shared: Served) -> None:
    """A count and a route on each line."""
    api.get("training_runs")
    done = command("calls", "--url", shared.url)

    counts = {route: int(count) for count, route in (line.split(maxsplit=1) for line in done.stdout.splitlines())}
    assert counts["GET /api/v1/training_runs"] >= 1


def test_seeding_makes_what_was_asked_for(api: Wire, shared: Served) -> None:
    """And says which runs."""
    done = command("seed", "--url", shared.url, "--runs", "12", "--checkpoints", "2", "--owner", f"{api.key}-owner")

    assert done.stdout.startswith("12 runs, ")
    assert api.get("checkpoints").json()["cursor"]["total_count"] == 24


FAILED: dict[str, tuple[Sequence[str], str]] = {
    "nobody serves there": (("fault", "clear", "--url", "http://127.0.0.1:1"), "No simulator answers at"),
    "the run is not there": (("fault", "corrupt", "--url", "{url}", "--run", "nobody"), "nobody not found"),
    "the route is no expression": (("fault", "drop", "--url", "{url}", "--route", "("), "not a regular expression"),
}


@pytest.mark.parametrize("why", FAILED)
def test_an_order_fails_in_one_line_because(why: str, shared: Served) -> None:
    """Exit 1: the setting is fine, the order is not."""
    arguments, reason = FAILED[why]
    done = command(*(argument.replace("{url}", shared.url) for argument in arguments))

    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done.stderr
    assert reason in done.stderr
