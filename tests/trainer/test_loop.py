"""The training loop against the simulator, on the unmodified SDK: a lost run costs the steps since the last save."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tinker_operator.trainer import RESUMED_AT

pytestmark = pytest.mark.http

OWNER = {"tinker-operator.dev/owner": "c/math/math-sft", "tinker-operator.dev/attempt": "1"}


def test_a_fresh_training_saves_on_the_way_and_at_the_end(simulator: Any, start_loop: Callable[..., Any]) -> None:
    """Without a hand-over the loop is a plain one; its checkpoints say their step and loss."""
    loop = start_loop("--steps", "7", "--save-every", "3")

    assert (loop.ended(), loop.stderr) == (0, "")

    (started,) = loop.all("started")
    assert (started["fresh"], started["start_step"], started["attempt"]) == (True, 0, 0)
    assert list(loop.losses()) == [1, 2, 3, 4, 5, 6, 7]
    saved = {seen["path"]: {"step": str(seen["step"]), "loss": repr(seen["loss"])} for seen in loop.all("saved")}
    assert [metadata["step"] for metadata in saved.values()] == ["3", "6", "7"]
    assert simulator.checkpoints(started["run"]) == saved
    assert loop.events[-1] == {"event": "done", "run": started["run"], "step": 7}


def test_a_lost_run_goes_on_from_the_hand_over_as_if_nothing_had_happened(
    simulator: Any, start_loop: Callable[..., Any], hand_over: Callable[..., None]
) -> None:
    """Weights, optimizer and step come back: every loss equals that of a training that was never interrupted."""
    whole = start_loop("--steps", "16", "--save-every", "4", handover=Path("none"))
    loop = start_loop("--steps", "16", "--save-every", "4", "--step-seconds", "0.1")
    run = loop.wait_for("started")["run"]
    path = loop.wait_for("saved", step=4)["path"]
    loop.wait_for("step", step=6)
    hand_over(attempt=0, trainingRunId=run, checkpoint=path)

    simulator.corrupt(run)

    lost = loop.wait_for("lost", run=run)
    hand_over(attempt=1, previousTrainingRunId=run, checkpoint=path, userMetadata=OWNER)
    resumed = loop.wait_for("resumed")
    assert (loop.ended(), loop.stderr) == (0, "")
    assert lost["error"] != ""
    assert (resumed["start_step"], resumed["checkpoint"], resumed["attempt"]) == (4, path, 1)
    assert whole.ended() == 0
    assert loop.losses() == pytest.approx(whole.losses(), rel=1e-6)
    metadata = simulator.get(f"training_runs/{resumed['run']}")["user_metadata"]
    assert metadata == OWNER | {RESUMED_AT: metadata[RESUMED_AT]}
    assert resumed["run"] != run


def test_the_optimizer_is_left_behind_when_the_hand_over_says_so(
    start_loop: Callable[..., Any], hand_over: Callable[..., None]
) -> None:
    """The first step from a checkpoint is the same with and without the optimizer's state, the next ones are not."""
    first = start_loop("--steps", "4", "--save-every", "4")
    path = first.wait_for("saved", step=4)["path"]
    assert first.ended() == 0
    losses = []
    for restore in (True, False):
        hand_over(attempt=0, checkpoint=path, restoreOptimizer=restore)
        loop = start_loop("--steps", "7", "--save-every", "100")
        assert (loop.ended(), loop.stderr) == (0, "")
        losses.append(loop.losses())

    warm, cold = losses
    assert cold[5] == pytest.approx(warm[5], rel=1e-6)
    assert cold[7] != pytest.approx(warm[7], rel=1e-6)


def test_a_restarted_loop_resumes_its_own_newest_checkpoint_and_a_running_one_does_not_care(
    simulator: Any, start_loop: Callable[..., Any], hand_over: Callable[..., None]
) -> None:
    """Attempt 0 with a checkpoint is for a pod that starts; a loop that lost its run waits for attempt 1."""
    options = ("--steps", "200", "--save-every", "2", "--step-seconds", "0.1")
    loop = start_loop(*options)
    run = loop.wait_for("started")["run"]
    path = loop.wait_for("saved", step=2)["path"]
    hand_over(attempt=0, trainingRunId=run, checkpoint=path)
    loop.wait_for("step", step=4)
    simulator.corrupt(run)
    loop.wait_for("lost", run=run)

    restarted = start_loop(*options)

    started = restarted.wait_for("started")
    assert (started["fresh"], started["start_step"], started["attempt"]) == (False, 2, 0)
    restarted.wait_for("step", step=5)
    assert loop.all("resumed") == []
    assert loop.process.poll() is None


def test_a_training_survives_one_loss_after_the_other(
    simulator: Any, start_loop: Callable[..., Any], hand_over: Callable[..., None]
) -> None:
    """Each recovery is a run of its own, whose checkpoints may have the names of the lost one's."""
    loop = start_loop("--steps", "15", "--save-every", "3", "--step-seconds", "0.15")
    run = loop.wait_for("started")["run"]
    path = loop.wait_for("saved", step=3)["path"]
    for attempt in (1, 2, 3):
        loop.wait_for("step", step=4)
        simulator.corrupt(run)
        loop.wait_for("lost", run=run)
        hand_over(attempt=attempt, checkpoint=path)
        run = loop.wait_for("resumed", attempt=attempt)["run"]

    assert (loop.ended(), loop.stderr) == (0, "")
    assert [seen["attempt"] for seen in loop.all("resumed")] == [1, 2, 3]
    assert loop.wait_for("done")["run"] == run


def test_trouble_of_the_service_is_no_loss(simulator: Any, start_loop: Callable[..., Any]) -> None:
    """Server faults that pass are the SDK's to retry; the run goes on."""
    loop = start_loop("--steps", "8", "--save-every", "4", "--step-seconds", "0.1")
    loop.wait_for("step", step=2)

    simulator.fault("http", "--status", "503", "--count", "3")

    assert loop.ended() == 0
    assert (loop.all("lost"), list(loop.losses())) == ([], list(range(1, 9)))


def test_a_loss_without_a_recovery_ends_with_where_to_look(
    simulator: Any, start_loop: Callable[..., Any], hand_over: Callable[..., None]
) -> None:
    """Patience has an end, and then one line names the command."""
    hand_over(attempt=0, checkpoint=None)
    loop = start_loop("--steps", "100", "--save-every", "50", "--step-seconds", "0.1", "--wait-seconds", "0.5")
    run = loop.wait_for("started")["run"]

    simulator.corrupt(run)

    assert loop.ended() == 1
    assert len(loop.stderr.splitlines()) == 1
    assert "kubectl describe trainingrun math-sft -n math" in loop.stderr


def test_a_loss_where_nobody_hands_over_ends_at_once(simulator: Any, start_loop: Callable[..., Any]) -> None:
    """A loop without an operator does not wait for one."""
    loop = start_loop("--steps", "100", "--save-every", "50", "--step-seconds", "0.1", handover="")
    run = loop.wait_for("started")["run"]

    simulator.corrupt(run)

    assert loop.ended() == 2
    assert len(loop.stderr.splitlines()) == 1
    assert "TINKER_OPERATOR_HANDOVER" in loop.stderr


@pytest.mark.parametrize("moment", ["while it trains", "while it waits for a recovery"])
def test_a_termination_ends_the_loop_and_its_session(
    moment: str, simulator: Any, start_loop: Callable[..., Any]
) -> None:
    """The service learns that the session was interrupted, and nothing is said on stderr."""
    loop = start_loop("--steps", "1000", "--save-every", "100", "--step-seconds", "0.05")
    run = loop.wait_for("started")["run"]
    loop.wait_for("step", step=2)
    if moment == "while it waits for a recovery":
        simulator.corrupt(run)
        loop.wait_for("lost", run=run)
    begin = time.monotonic()

    loop.process.send_signal(signal.SIGTERM)

    assert (loop.ended(), loop.stderr) == (143, "")
    assert time.monotonic() - begin < 10


def test_a_termination_does_not_wait_for_a_service_that_is_away(simulator: Any, start_loop: Callable[..., Any]) -> None:
    """The SDK would try for minutes to finish the session; a pod has seconds."""
    loop = start_loop("--steps", "1000", "--save-every", "100", "--step-seconds", "0.05")
    loop.wait_for("step", step=2)
    simulator.process.kill()
    simulator.process.wait()
    begin = time.monotonic()

    loop.process.send_signal(signal.SIGTERM)

    assert loop.ended() == 143
    assert time.monotonic() - begin < 10


@pytest.mark.parametrize(
    ("options", "environment", "expected"),
    [
        pytest.param(("--steps", "0", "--save-every", "1"), {}, "--steps", id="no steps"),
        pytest.param(("--steps", "many", "--save-every", "1"), {}, "'many'", id="steps that are no number"),
        pytest.param(("--steps", "1"), {}, "--save-every", id="a setting that is missing"),
        pytest.param(
            ("--steps", "1", "--save-every", "1", "--step-seconds", "nan"), {}, "--step-seconds", id="a pause of nan"
        ),
        pytest.param(
            ("--steps", "1", "--save-every", "1"),
            {"TINKER_OPERATOR_HANDOVER": "configmap://one"},
            "configmap://NAMESPACE/NAME",
            id="a place that is none",
        ),
        pytest.param(("--steps", "1", "--save-every", "1"), {}, "TINKER_API_KEY", id="no key"),
        pytest.param(
            ("--steps", "1", "--save-every", "1"), {"TINKER_API_KEY": "x"}, "tml-", id="no key of the service"
        ),
    ],
)
def test_a_bad_setting_is_one_line_with_the_remedy(
    options: tuple[str, ...], environment: dict[str, str], expected: str, tmp_path: Path
) -> None:
    """Nothing was started, and the exit status says so."""
    ended = subprocess.run(
        [sys.executable, "-m", "playground.loop", *options],
        env={"HOME": str(tmp_path), "TINKER_BASE_URL": "http://127.0.0.1:9"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (ended.returncode, ended.stdout, len(ended.stderr.splitlines())) == (2, "", 1)
    assert expected in ended.stderr
