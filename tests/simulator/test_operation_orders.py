"""The commands that order trouble with operations, as they are typed."""

import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from tests.simulator.bare import Served, Wire

pytestmark = pytest.mark.http

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def fault(shared: Served, api: Wire) -> Iterator[Command]:
    """`tinker-simulator fault`; what was ordered ends with the test."""

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-W", "error", "-m", "tinker_simulator", "fault", *arguments, "--url", shared.url]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    yield run
    api.http.delete("/_simulator/faults")


def ordered(done: "subprocess.CompletedProcess[str]") -> None:
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_run_is_corrupted_at_a_step(api: Wire, fault: Command) -> None:
    """`fault corrupt --run RUN --at-step N`; without the step it is corrupted at once."""
    later, now = api.run(), api.run()
    ordered(fault("corrupt", "--run", later, "--at-step", "2"))
    ordered(fault("corrupt", "--run", now))
    api.train(later)
    states = [api.get(f"training_runs/{run}").json()["corrupted"] for run in (later, now)]
    submitted = api.gradient(later), api.optimize(later)
    failed = [api.ended(answer) for answer in submitted][1].json()

    assert states == [False, True]
    assert "corrupted" in failed["error"]


def test_operations_fail_lag_and_lose_their_results(api: Wire, fault: Command) -> None:
    """`fault fail`, `fault slow` and `fault lose-result`, each met once."""
    run = api.run()
    ordered(
        fault("fail", "--operation", f"^optim_step {run}", "--category", "user", "--message", "No.", "--count", "1")
    )
    ordered(fault("slow", "--operation", f"^optim_step {run}", "--seconds", "0.1", "--count", "1"))
    ordered(fault("lose-result", "--operation", f"^save_weights {run}", "--done", "--count", "1"))

    assert api.ended(api.optimize(run)).json() == {"error": "No.", "category": "user"}
    assert api.ended(api.save(run, "a")).status_code == 410
    assert api.get(f"training_runs/{run}").json()["last_checkpoint"]["checkpoint_id"] == "weights/a"
    assert api.http.get("/_simulator/faults").json()["faults"] == []


def test_behaviour_is_chosen_and_cleared(api: Wire, fault: Command) -> None:
    """`fault behaviour`, flags by their own types, until `fault clear`."""
    run = api.run()
    api.fault("slow", route=f"^forward_backward {run}", delay=600)
    submitted = api.gradient(run)
    flags = ("--client-config", "sample_no_retries=true", "--client-config", "fwdbwd_max_chunk_len=7")
    ordered(fault("behaviour", "--hold-seconds", "0", "--pending", "try-again", *flags))
    body = {"request_id": submitted.json()["request_id"]}
    chosen, config = api.post("retrieve_future", body).json(), api.post("client/config").json()
    ordered(fault("clear"))

    assert chosen["type"] == "try_again"
    assert (config["sample_no_retries"], config["fwdbwd_max_chunk_len"]) == (True, 7)
    assert "sample_no_retries" not in api.post("client/config").json()


MISTYPED: dict[str, tuple[str, ...]] = {
    "a flag without a value": ("behaviour", "--client-config", "sample_no_retries"),
    "a category that there is not": ("fail", "--category", "nobody"),
    "a step before the first": ("corrupt", "--run", "r", "--at-step", "0"),
    "a delay of nothing": ("slow", "--seconds", "0"),
}


@pytest.mark.parametrize("what", MISTYPED)
def test_a_command_is_refused_in_one_line_for(fault: Command, what: str) -> None:
    """And exit code 2."""
    done = fault(*MISTYPED[what])

    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
