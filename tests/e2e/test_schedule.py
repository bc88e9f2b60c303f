"""The save schedule on a real API server: a policy reaches a loop that runs, and a loop that stops saving is missed."""

import signal
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.stage import KEY, Stage, wait_for
from tests.trainer.conftest import Loop

pytestmark = pytest.mark.cluster

StartLoop = Callable[..., Loop]
POLICY = "checkpointpolicy"


@pytest.fixture
def start_loop(stage: Stage, tmp_path: Path) -> Iterator[StartLoop]:
    """Starts a training loop that reads the hand-over of TrainingRun sft from the API server."""
    loops: list[Loop] = []

    def start(*options: str) -> Loop:
        folder = tmp_path / f"loop-{len(loops)}"
        folder.mkdir()
        place = f"configmap://{stage.namespace}/sft-handover"
        environment = {"TINKER_API_KEY": KEY, "KUBECONFIG": str(stage.operator.kubeconfig)}
        pace = ("--steps", "1000000", "--step-seconds", "0.05", "--watch-seconds", "0.2")
        loops.append(Loop(stage.served.url, place, folder, *pace, *options, environment=environment))
        return loops[-1]

    yield start
    for loop in loops:
        loop.kill()


def scheduling(stage: Stage, name: str = "keep", **schedule: Any) -> dict[str, Any]:
    """Returns a policy that deletes nothing and says when to save."""
    made = stage.policy({"keepLast": 5}, name)
    made["spec"]["schedule"] = schedule
    return made


def watched(stage: Stage, loop: Loop) -> str:
    """Has the loop's run followed by TrainingRun sft; returns its id."""
    run: str = loop.wait_for("started")["run"]
    stage.apply(stage.training_run({"run": {"trainingRunId": run}}))
    stage.wait_ready()
    return run


def wait_distance(loop: Loop, steps: int) -> None:
    """Waits until the loop has saved three times in a row at this distance."""
    begin = loop.all("step")[-1]["step"]

    def look() -> bool:
        newest = [seen["step"] for seen in loop.all("saved") if seen["step"] > begin][-3:]
        return [later - earlier for earlier, later in pairwise(newest)] == [steps, steps]

    wait_for(look, f"three saves, {steps} steps apart")


OURS = (("trainingrun", "sft"), (POLICY, "keep"), ("configmap", "sft-handover"))


def test_a_running_loop_saves_as_the_policy_says(stage: Stage, start_loop: StartLoop) -> None:
    """The policy comes, changes and goes; the loop follows without a restart, and the service lists it."""
    loop = start_loop("--save-every", "1000000")
    run = watched(stage, loop)
    loop.wait_for("step", step=10)
    assert stage.remote_checkpoints(run) == []

    stage.apply(scheduling(stage, saveEvery=4))
    wait_distance(loop, 4)
    assert stage.hand_over()["schedule"]["saveEvery"] == 4
    assert stage.status()["handOver"]["schedulePolicy"] == "keep"
    stage.apply(scheduling(stage, saveEvery=6, ttlSeconds=7200, saveSampler=True))
    wait_distance(loop, 6)
    stage.kubectl("delete", POLICY, "keep", "--namespace", stage.namespace)
    wait_for(lambda: "schedule" not in stage.hand_over(), "a hand-over without a schedule")

    def saves_no_more() -> bool:
        return bool(loop.all("step")[-1]["step"] - loop.all("saved")[-1]["step"] >= 4 * 6)

    wait_for(saves_no_more, "a loop that passes four times the distance without a save")
    listed = stage.wire.get(f"training_runs/{run}/checkpoints").json()["checkpoints"]
    by_type: dict[str, list[int]] = {}
    for one in listed:
        by_type.setdefault(one["checkpoint_type"], []).append(int(one["user_metadata"]["step"]))
    assert sorted(by_type["training"]) == [seen["step"] for seen in loop.all("saved")]
    sampled = [one for one in listed if one["checkpoint_type"] == "sampler"]
    assert sampled
    assert all(one["expires_at"] for one in sampled)
    assert "CheckpointFresh" not in {one["type"] for one in stage.status()["conditions"]}


def test_of_two_policies_the_older_decides_and_the_other_is_told(stage: Stage) -> None:
    """It takes over when the older one goes; both are Ready, since both rule retention."""
    run, _ = stage.trained_run(1)
    stage.apply(stage.training_run({"run": {"trainingRunId": run}}), scheduling(stage, "older", saveEvery=10))
    stage.wait_condition("Conflicted", "False", "ScheduleInForce", "older", POLICY)
    stage.wait_polls(3)
    stage.apply(scheduling(stage, "another", saveEvery=20))
    told = stage.wait_condition("Conflicted", "True", "ScheduleOverruled", "another", POLICY)

    assert "CheckpointPolicy older" in told["message"]
    assert stage.hand_over()["schedule"]["saveEvery"] == 10
    for name in ("older", "another"):
        stage.wait_condition("Ready", "True", "Reported", name, POLICY)
    assert stage.condition("Conflicted", "older", POLICY)["status"] == "False"
    stage.kubectl("delete", POLICY, "older", "--namespace", stage.namespace)
    stage.wait_condition("Conflicted", "False", "ScheduleInForce", "another", POLICY)
    wait_for(lambda: stage.hand_over()["schedule"]["saveEvery"] == 20, "the hand-over to follow")


def test_a_loop_that_stops_saving_is_missed_at_thrice_the_distance(stage: Stage, start_loop: StartLoop) -> None:
    """Not before; once; with Ready as it was and nothing written while it lasts. It is well again with the next one."""
    loop = start_loop("--save-every", "1000000")
    run = watched(stage, loop)
    stage.apply(scheduling(stage, strategy="All", minIntervalSeconds=3))
    stage.wait_condition("CheckpointFresh", "Unknown", "DistanceUnknown")
    stage.wait_condition("CheckpointFresh", "True", "CheckpointsInTime")
    loop.process.send_signal(signal.SIGSTOP)
    late = stage.wait_condition("CheckpointFresh", "False", "CheckpointOverdue")

    listed = stage.wire.get(f"training_runs/{run}/checkpoints").json()["checkpoints"]
    newest = max(datetime.fromisoformat(one["time"]) for one in listed)
    waited = datetime.fromisoformat(late["lastTransitionTime"]) - newest
    assert timedelta(seconds=3 * 3 - 1) <= waited <= timedelta(seconds=3 * 3 + 8)
    assert stage.condition("Ready")["status"] == "True"
    stage.check_rest(*OURS)
    loop.process.send_signal(signal.SIGCONT)
    stage.wait_condition("CheckpointFresh", "True", "CheckpointsInTime")
    wait_for(lambda: "CheckpointsInTime" in stage.events(), "the event of the return")
    assert stage.events().count("CheckpointOverdue") == 1


def test_a_restarted_operator_finds_the_schedule_as_it_left_it(stage: Stage) -> None:
    """At rest nothing is written, and a restart changes neither the hand-over nor what is said of the schedule."""
    run, _ = stage.trained_run(1)
    stage.apply(stage.training_run({"run": {"trainingRunId": run}}), scheduling(stage, strategy="Last"))
    stage.wait_ready()
    wait_for(lambda: stage.hand_over().get("schedule", {}).get("strategy") == "Last", "the schedule in the hand-over")
    stage.wait_condition("CheckpointFresh", "Unknown", "NotPeriodic")
    stage.wait_condition("Conflicted", "False", name="keep", of=POLICY)
    stage.wait_ready("keep", POLICY)
    before = stage.check_rest(*OURS)
    told = [stage.condition("CheckpointFresh"), stage.condition("Conflicted", "keep", POLICY)]
    stage.operator.end()
    stage.operator.start()
    stage.wait_polls(4)
    stage.wait_ready()
    stage.wait_ready("keep", POLICY)

    assert stage.versions(*OURS)[2] == before[2]
    assert [stage.condition("CheckpointFresh"), stage.condition("Conflicted", "keep", POLICY)] == told
