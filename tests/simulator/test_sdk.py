"""The official SDK and its command line, unmodified, each in a process of its own."""

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.leaving import TINKER, USING_THE_SDK
from tests.simulator.bare import KEYS, Served, Wire

pytestmark = pytest.mark.http

SCRIPTS = Path(__file__).parent / "sdk"
Saw = dict[str, Any]


def tinker_environment(url: str, key: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TINKER_")}
    return {**inherited, "TINKER_BASE_URL": url, "TINKER_API_KEY": key, "NO_COLOR": "1", "COLUMNS": "200"}


@pytest.fixture(scope="module")
def saw(shared: Served, next_key: Callable[[], str]) -> Saw:
    """What one journey with the SDK saw."""
    command = [*USING_THE_SDK, str(SCRIPTS / "journey.py")]
    environment = tinker_environment(shared.url, next_key())
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    document: Saw = json.loads(done.stdout)
    return document


def test_the_sdk_warns_of_nothing(saw: Saw) -> None:
    """Over the whole journey, no log record of WARNING or above and no Python warning."""
    assert saw["warnings"] == []


def test_the_sdk_trains_and_sees_the_loss_fall(saw: Saw) -> None:
    """Five steps, then ten more after a save."""
    losses = saw["first losses"] + saw["uninterrupted"]

    assert losses == sorted(losses, reverse=True)
    assert saw["forward"] == saw["uninterrupted"][0]
    assert (saw["info"]["is_lora"], saw["info"]["lora_rank"], saw["info"]["model_name"]) == (True, 8, "Qwen/Qwen3-8B")


def test_resumed_with_the_optimizer_the_sdk_continues_the_trajectory(saw: Saw) -> None:
    """The ten losses after the resume are those of the uninterrupted run, and without the optimizer they are not."""
    assert saw["resumed"] == saw["uninterrupted"]
    assert saw["resumed bare"][0] == saw["uninterrupted"][0]
    assert saw["resumed bare"][1:] != saw["uninterrupted"][1:]


def test_the_sdk_reads_its_run_back(saw: Saw) -> None:
    """Listing, single read and read by path agree."""
    assert len(saw["runs"]) == 3
    assert saw["run"]["training_run_id"] == saw["run by path"] in saw["runs"]
    assert (saw["run"]["corrupted"], saw["run"]["user_metadata"]) == (False, {"experiment": "journey"})
    assert saw["run"]["last_sampler_checkpoint"]["checkpoint_id"] == "sampler_weights/final"
    assert saw["session"]["training_run_ids"] == sorted(saw["runs"])
    assert saw["resumed run"].split(":")[0] in saw["sessions"]


def test_the_sdk_looks_after_checkpoints(saw: Saw) -> None:
    """Overwritten, published, without expiry, and the sampler's deleted."""
    by_id = {found["checkpoint_id"]: found for found in saw["checkpoints"]}

    assert set(by_id) == {"weights/step-5", "sampler_weights/final"}
    assert by_id["weights/step-5"]["public"] is True
    assert by_id["weights/step-5"]["expires_at"] is None
    assert by_id["weights/step-5"]["user_metadata"] is None
    assert saw["left"] == [saw["saved"]]
    assert saw["weights"]["lora_rank"] == 8
    assert "no-such-run not found" in saw["missing"]


def test_the_sdk_samples_the_same_from_a_checkpoint_and_a_snapshot(saw: Saw) -> None:
    """By seed and weights alone; the base model says something else."""
    assert saw["drawn from named"] == saw["drawn from snapshot"]
    assert saw["drawn from named"] != saw["drawn from base"]
    assert [len(tokens) for tokens in saw["drawn from named"]] == [6, 6]
    assert saw["prompt logprobs"][0] is None
    assert all(logprob < 0 for logprob in saw["prompt logprobs"][1:])


def test_a_training_loop_lives_through_a_kill_of_the_service(own: Served) -> None:
    """Killed and started again on the same port, the service goes on, and so does the SDK, as if nothing had been."""
    command = [*USING_THE_SDK, str(SCRIPTS / "loop.py"), "30"]
    environment = tinker_environment(own.url, KEYS[0])
    undisturbed = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=True)
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as loop:
        assert loop.stdout is not None
        lines = [loop.stdout.readline() for _ in range(8)]
        own.end(signal.SIGKILL)
        own.start()
        lines += loop.stdout.readlines()

    assert loop.returncode == 0
    assert lines == undisturbed.stdout.splitlines(keepends=True)


@pytest.fixture
def command_line(shared: Served, api: Wire) -> Callable[..., Any]:
    """The official command line as the owner behind `api`; returns what it printed as JSON."""

    def call(*arguments: str) -> Any:
        done = subprocess.run(
            [*USING_THE_SDK, TINKER, "-f", "json", *arguments],
            env=tinker_environment(shared.url, api.key),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return json.loads(done.stdout or "null")

    return call


def test_the_command_line_lists_runs_and_shows_a_failed_one(api: Wire, command_line: Callable[..., Any]) -> None:
    """`tinker run list` and `tinker run info`."""
    sound, corrupted = api.run(), api.run(user_metadata={"a": "b"})
    api.order("corrupt", {"run": corrupted})

    listed = command_line("run", "list")["runs"]
    assert {run["training_run_id"]: run["corrupted"] for run in listed} == {sound: False, corrupted: True}
    assert command_line("run", "info", corrupted)["user_metadata"] == {"a": "b"}


def test_the_command_line_lists_more_runs_than_a_page_holds(api: Wire, command_line: Callable[..., Any]) -> None:
    """It follows the cursor."""
    api.order("seed", {"runs": 230, "owner": f"{api.key}-owner"})

    assert len(command_line("run", "list", "--limit=0")["runs"]) == 230


def test_the_command_line_lists_and_changes_checkpoints(api: Wire, command_line: Callable[..., Any]) -> None:
    """`tinker checkpoint list`, `info`, `publish`, `set-ttl` and `delete`."""
    run = api.run()
    one, two = api.saved(run, "one"), api.saved(run, "two")

    for scope in ((), ("--run-id", run)):
        listed = command_line("checkpoint", "list", *scope)["checkpoints"]
        assert [found["tinker_path"] for found in listed] == [two, one]
    command_line("checkpoint", "publish", one)
    command_line("checkpoint", "set-ttl", one, "--ttl", "3600")
    shown = api.get(f"training_runs/{run}/checkpoints").json()["checkpoints"][1]
    assert (shown["public"], shown["expires_at"] is None) == (True, False)
    assert command_line("checkpoint", "delete", "-y", two)["deleted_count"] == 1
    assert api.get(f"training_runs/{run}").json()["last_checkpoint"]["tinker_path"] == one
