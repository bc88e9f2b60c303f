"""What a simulator can be filled with at once, and what it counts."""

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.simulator.bare import Served, Wire

pytestmark = pytest.mark.http


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `tinker-simulator`."""
    whole = [sys.executable, "-W", "error", "-m", "tinker_simulator", *arguments]
    return subprocess.run(whole, capture_output=True, text=True, timeout=60, check=False)


def seeded(api: Wire, *options: str) -> None:
    done = command("seed", "--url", api.url, "--owner", f"{api.key}-owner", *options)
    assert (done.returncode, done.stderr) == (0, "")


def runs_of(api: Wire) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.get("training_runs", limit=100).json()["training_runs"]
    return found


def test_the_part_of_the_runs_that_was_asked_for_is_corrupted(api: Wire) -> None:
    """Exactly, and not the first ones."""
    seeded(api, "--runs", "40", "--corrupted", "0.25")
    flags = [run["corrupted"] for run in runs_of(api)]

    assert Counter(flags) == {True: 10, False: 30}
    assert flags != sorted(flags, reverse=True)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), {"step", "loss"}),
        (("--metadata", "step"), {"step"}),
        (("--metadata", "loss", "--metadata", "step"), {"step", "loss"}),
        (("--no-metadata",), None),
    ],
)
def test_checkpoints_tell_what_was_asked_for(api: Wire, options: Sequence[str], expected: set[str] | None) -> None:
    """In their metadata; a loss falls with the steps."""
    seeded(api, "--runs", "1", "--checkpoints", "4", *options)
    told = [found["user_metadata"] for found in api.get("checkpoints").json()["checkpoints"]]

    if expected is None:
        assert told == [None] * 4
        return
    assert [set(each) for each in told] == [expected] * 4
    losses = [float(each["loss"]) for each in told if "loss" in each]
    assert losses == sorted(losses)
    assert [each["step"] for each in told if "step" in each] == (["4", "3", "2", "1"] if "step" in expected else [])


def test_runs_are_spread_over_the_days_that_were_asked_for(api: Wire) -> None:
    """The oldest is older than half of them, none is older than all of them."""
    seeded(api, "--runs", "60", "--checkpoints", "1", "--age-days", "30")
    now = datetime.now(UTC)  # noqa: TID251 (the simulator lives in the present here)
    ages = [now - datetime.fromisoformat(run["last_request_time"]) for run in runs_of(api)]

    assert ages == sorted(ages)
    assert timedelta(days=20) < ages[-1] < timedelta(days=30, minutes=5)
    assert ages[30] > timedelta(days=5)


def test_the_same_number_makes_the_same_things(api: Wire, shared: Served, connect: Callable[..., Wire]) -> None:
    """And another number others."""
    others = [connect(shared) for _ in range(2)]
    options = ("--runs", "20", "--checkpoints", "2", "--corrupted", "0.5", "--age-days", "9")
    made = []
    for wired, number in ((api, "1"), (others[0], "1"), (others[1], "2")):
        seeded(wired, *options, "--seed", number)
        found = wired.get("checkpoints", limit=100).json()["checkpoints"]
        made.append(([run["corrupted"] for run in runs_of(wired)], [each["user_metadata"]["loss"] for each in found]))

    assert made[0] == made[1]
    assert made[0] != made[2]


def test_a_seeded_checkpoint_loads_whichever_it_is(api: Wire) -> None:
    """With the rank and the base model that were asked for; the run that it makes can be trained."""
    seeded(api, "--runs", "3", "--checkpoints", "2", "--rank", "5", "--base-model", "meta-llama/Llama-3.2-1B")
    for found in api.get("checkpoints").json()["checkpoints"]:
        loaded = api.ended(api.load(found["tinker_path"])).json()
        run = api.get(f"training_runs/{loaded['model_id']}").json()
        assert (run["lora_rank"], run["base_model"]) == (5, "meta-llama/Llama-3.2-1B")
    losses = api.train(loaded["model_id"], steps=3)
    assert losses == sorted(losses, reverse=True)


def test_a_hundred_thousand_checkpoints_are_there_in_half_a_minute(api: Wire) -> None:
    """And a page from the middle of them in a moment."""
    began = time.monotonic()
    api.order("seed", {"runs": 5_000, "checkpoints": 20, "owner": f"{api.key}-owner"})
    took, began = time.monotonic() - began, time.monotonic()
    page = api.get("checkpoints", limit=1000, offset=50_000).json()

    assert (len(page["checkpoints"]), page["cursor"]["total_count"]) == (1000, 100_000)
    assert took < 30
    assert time.monotonic() - began < 5


def test_calls_are_told_as_a_document_and_counted_from_zero(own: Served, connect: Callable[..., Wire]) -> None:
    """What was counted is told once more by the reset."""
    api = connect(own)
    api.get("training_runs")
    api.get("training_runs")
    session = api.session()
    document = json.loads(command("calls", "--url", own.url, "-o", "json").stdout)
    reset = command("calls", "--url", own.url, "--reset").stdout

    assert document["counts"] == {"GET /api/v1/training_runs": 2, "POST /api/v1/create_session": 1}
    assert [call["route"] for call in document["changing"]] == ["/api/v1/create_session"]
    assert "2  GET /api/v1/training_runs\n" in reset
    assert command("calls", "--url", own.url).stdout == ""
    assert api.post("session_heartbeat", {"session_id": session}).status_code == 200


def test_a_session_is_cancelled_by_an_order(api: Wire, shared: Served) -> None:
    """One that is not there is told in one line."""
    session = api.session()
    done = command("fault", "cancel-session", "--url", shared.url, "--session", session)
    missing = command("fault", "cancel-session", "--url", shared.url, "--session", "nobody")

    assert (done.returncode, missing.returncode, missing.stderr.count("\n")) == (0, 1, 1)
    assert api.post("session_heartbeat", {"session_id": session}).status_code == 410


WRONG: dict[str, tuple[Sequence[str], str]] = {
    "a part that is more than all": (("seed", "--runs", "1", "--corrupted", "2"), "--corrupted"),
    "metadata that nobody tells": (("seed", "--runs", "1", "--metadata", "mood"), "--metadata"),
    "a form that there is not": (("calls", "-o", "yaml"), "-o"),
    "a token that lives no time": (
        ("serve", "--port", "0", "--state-dir", "x", "--jwt-lifetime", "0"),
        "--jwt-lifetime",
    ),
    "an archive that there is not": (
        ("serve", "--port", "0", "--state-dir", "x", "--archive-route", "zip"),
        "--archive",
    ),
}


@pytest.mark.parametrize("why", WRONG)
def test_a_setting_is_refused_in_one_line_for(why: str) -> None:
    """Exit 2, and which it is."""
    arguments, option = WRONG[why]
    serving = ("--port", "0", "--state-dir", "never-made")
    where = serving if arguments[0] == "serve" else ("--url", "http://127.0.0.1:1")
    done = command(*arguments, *where)

    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert option in done.stderr


def test_state_of_another_version_is_refused(own: Served) -> None:
    """It is not migrated, and not misread."""
    own.close()
    edit = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('PRAGMA user_version = 1')"
    subprocess.run([sys.executable, "-c", edit, str(own.state_dir / "simulator.sqlite3")], check=True)
    done = command("serve", "--port", "0", "--state-dir", str(own.state_dir))

    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "another version" in done.stderr
