"""The modes of recovery against the simulator, on the unmodified SDK: what the process does, and how it ends."""

import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tinker_operator.trainer import RESUMED_AT

pytestmark = pytest.mark.http

SLOW = ("--steps", "1000", "--save-every", "2", "--step-seconds", "0.05", "--watch-seconds", "0.05")
OWNER = {"tinker-operator.dev/owner": "c/math/math-sft", "tinker-operator.dev/attempt": "1"}


def attempt(number: int) -> dict[str, str]:
    """The environment of a pod that the operator started for this attempt."""
    return {"TINKER_OPERATOR_ATTEMPT": str(number)}


def test_a_lost_run_in_a_pod_that_is_replaced_ends_it_with_status_75(
    simulator: Any, start_loop: Callable[..., Any], hand_over: Callable[..., None]
) -> None:
    """One line says why; the operator starts the pod that goes on."""
    hand_over(attempt=0, checkpoint=None, mode="Relaunch")
    loop = start_loop(*SLOW, environment=attempt(0))
    run = loop.wait_for("started", attempt=0)["run"]
    path = loop.wait_for("saved", step=2)["path"]

    simulator.corrupt(run)

    assert (loop.ended(), len(loop.stderr.splitlines())) == (75, 1)
    assert run in loop.stderr
    hand_over(attempt=1, checkpoint=path, mode="Relaunch", userMetadata=OWNER)
    replacement = start_loop("--steps", "6", "--save-every", "3", environment=attempt(1))
    started = replacement.wait_for("started")
    assert (replacement.ended(), replacement.stderr) == (0, "")
    assert (started["start_step"], started["attempt"], list(replacement.losses())) == (2, 1, [3, 4, 5, 6])
    metadata = simulator.get(f"training_runs/{started['run']}")["user_metadata"]
    assert metadata == OWNER | {RESUMED_AT: metadata[RESUMED_AT]}


def test_a_pod_waits_for_the_document_of_its_own_attempt(
    simulator: Any, start_loop: Callable[..., Any], hand_over: Callable[..., None]
) -> None:
    """The mounted file shows the attempt before; nothing is made from it."""
    first = start_loop("--steps", "4", "--save-every", "2")
    paths = [first.wait_for("saved", step=step)["path"] for step in (2, 4)]
    assert first.ended() == 0
    runs = simulator.get("training_runs")["cursor"]["total_count"]
    hand_over(attempt=1, checkpoint=paths[1], mode="Relaunch")
    pod = start_loop("--steps", "6", "--save-every", "2", environment=attempt(2))
    assert not pod.all("started")

    hand_over(attempt=2, checkpoint=paths[0], mode="Relaunch")

    started = pod.wait_for("started")
    assert (started["checkpoint"], started["attempt"], pod.ended()) == (paths[0], 2, 0)
    assert simulator.get("training_runs")["cursor"]["total_count"] == runs + 1


def test_a_pod_of_an_earlier_attempt_makes_nothing_and_ends_well(
    simulator: Any, start_loop: Callable[..., Any], hand_over: Callable[..., None]
) -> None:
    """It was replaced before it began."""
    hand_over(attempt=3, mode="Relaunch")

    pod = start_loop(*SLOW, environment=attempt(2))

    assert (pod.ended(), pod.events) == (0, [])
    assert "Attempt 3" in pod.stderr
    assert simulator.get("training_runs")["training_runs"] == []


def test_a_loop_that_is_left_behind_saves_no_more(
    simulator: Any, start_loop: Callable[..., Any], hand_over: Callable[..., None]
) -> None:
    """Its run still answers, as a pod's does whose node was cut off; the hand-over tells that another one goes on."""
    hand_over(attempt=0, checkpoint=None, mode="Relaunch")
    loop = start_loop(*SLOW, environment=attempt(0))
    run = loop.wait_for("started")["run"]
    loop.wait_for("saved", step=2)

    hand_over(attempt=1, mode="Relaunch", trainingRunId=run, previousTrainingRunId=run)

    loop.wait_for("superseded", attempt=1)
    assert loop.ended() == 0
    saved = {seen["path"] for seen in loop.all("saved")}
    assert set(simulator.checkpoints(run)) == saved
    assert loop.events[-1]["event"] == "superseded"


def test_a_hand_over_that_goes_away_or_goes_bad_ends_nothing(
    start_loop: Callable[..., Any], hand_over: Callable[..., None], tmp_path: Path
) -> None:
    """Deleted, half written, of another version: told once, and training goes on."""
    hand_over(attempt=0, checkpoint=None)
    loop = start_loop("--steps", "60", *SLOW[2:])
    loop.wait_for("step", step=3)
    (tmp_path / "handover.json").unlink()
    loop.wait_for("step", step=10)
    (tmp_path / "handover.json").write_text('{"version": 1, "att')
    loop.wait_for("step", step=20)

    (tmp_path / "handover.json").write_text('{"version": 2}')

    assert loop.ended() == 0
    assert loop.wait_for("done")["step"] == 60
    assert len(loop.stderr.splitlines()) == 1
    assert "training goes on" in loop.stderr


def test_a_hand_over_of_nobodys_run_is_carried_on_by_the_same_process(
    simulator: Any, start_loop: Callable[..., Any], hand_over: Callable[..., None]
) -> None:
    """Mode HandOver: the loop makes the successor, marked so that the operator can follow it."""
    loop = start_loop("--steps", "40", *SLOW[2:])
    run = loop.wait_for("started")["run"]
    path = loop.wait_for("saved", step=4)["path"]
    simulator.corrupt(run)
    loop.wait_for("lost", run=run)

    ids = {"trainingRunId": run, "previousTrainingRunId": run, "successorTrainingRunId": None}
    hand_over(attempt=1, checkpoint=path, mode="HandOver", userMetadata=OWNER, **ids)

    resumed = loop.wait_for("resumed")
    assert (resumed["start_step"], resumed["attempt"], loop.ended(), loop.stderr) == (4, 1, 0, "")
    metadata = simulator.get(f"training_runs/{resumed['run']}")["user_metadata"]
    assert metadata == OWNER | {RESUMED_AT: metadata[RESUMED_AT]}


def test_an_attempt_that_waits_for_this_loop_is_taken_before_the_loss_is_felt(
    start_loop: Callable[..., Any], hand_over: Callable[..., None]
) -> None:
    """The operator saw the corruption first; the loop leaves its run for one of its own from the checkpoint."""
    hand_over(attempt=0, checkpoint=None)
    loop = start_loop("--steps", "40", *SLOW[2:])
    run = loop.wait_for("started")["run"]
    path = loop.wait_for("saved", step=4)["path"]

    hand_over(attempt=1, checkpoint=path, previousTrainingRunId=run)

    assert loop.wait_for("lost", run=run)["error"] == "Superseded"
    assert loop.wait_for("resumed")["start_step"] == 4
    assert loop.ended() == 0


@pytest.mark.parametrize("how", ["truncate", "rank", "remove"])
def test_a_checkpoint_that_does_not_load_ends_a_pod_with_status_65(
    how: str, simulator: Any, start_loop: Callable[..., Any], hand_over: Callable[..., None]
) -> None:
    """The operator counts the attempt, and chooses another one."""
    first = start_loop("--steps", "4", "--save-every", "2")
    path = first.wait_for("saved", step=2)["path"]
    assert first.ended() == 0
    simulator.fault("break-checkpoint", "--path", path, "--how", how)
    hand_over(attempt=1, checkpoint=path, mode="Relaunch")

    pod = start_loop(*SLOW, environment=attempt(1))

    assert (pod.ended(), pod.events, len(pod.stderr.splitlines())) == (65, [], 1)
    assert path in pod.stderr


def test_sigterm_saves_the_step_that_it_ends(simulator: Any, start_loop: Callable[..., Any]) -> None:
    """Asked to, a pod that is moved loses no step."""
    loop = start_loop("--steps", "1000", "--save-every", "500", "--step-seconds", "0.05", "--save-on-sigterm")
    run = loop.wait_for("started")["run"]
    loop.wait_for("step", step=3)
    begin = time.monotonic()

    loop.process.send_signal(signal.SIGTERM)

    assert (loop.ended(), loop.stderr) == (143, "")
    assert time.monotonic() - begin < 10
    last = loop.all("step")[-1]["step"]
    assert [metadata["step"] for metadata in simulator.checkpoints(run).values()] == [str(last)]
