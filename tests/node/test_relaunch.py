"""Mode Relaunch with real Pods: one training that outlives whatever befalls its loops, and never has two of them.

The loop runs in the trainer image with the official SDK, the operator is a process on this machine with the rights that
deploy/ grants, the simulator listens where Pods reach it. The tests of `sft` follow one another's training: each finds
its newest loop alive, does something to it, and leaves the next one alive.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from tests.node import pod_lives
from tests.node.relaunching import GRACE_SECONDS, LORA, World, eventually, own_pod, staged
from tests.node.witness import Loop

from playground.controlplane import ControlPlane
from playground.node.images import trainer_image
from playground.node.node import Node
from playground.settings import Settings

pytestmark = [pytest.mark.node, pytest.mark.timeout(900)]  # the first image takes minutes on a busy machine
SFT = "sft"


@pytest.fixture(scope="module")
def world(node: Node, node_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """What all tests here share."""
    node.load(trainer_image(Settings.from_environ(os.environ).cache))
    with staged(node_plane, node.host_address, tmp_path_factory.mktemp("relaunch")) as running:
        yield running


@pytest.fixture
def alive(world: World) -> Loop:
    """The newest loop of `sft`, made by the first test that asks."""
    if not world.witness.of(SFT):
        world.stage.apply(
            world.manifest(SFT, {"create": LORA}), world.stage.policy({"keepLast": 2, "action": "Delete"})
        )
        world.next_loop(SFT)
    (loop,) = world.witness.alive(SFT)
    loop.do("train 3")
    return loop


def test_a_created_run_is_trained_by_a_job_that_the_operator_makes(world: World, alive: Loop) -> None:
    """The loop's own run is followed, what it saves says step and loss, and a policy keeps the last two."""
    alive.do("train 3")

    assert world.record(alive) == {}
    assert (alive.attempt, alive.start) == ("0", 0)
    kept = [f"tinker://{alive.run}/weights/step-{step:06d}" for step in (4, 6)]
    eventually(lambda: world.stage.remote_checkpoints(alive.run) == kept, "the policy to keep the last two")
    listed = world.stage.wire.get(f"training_runs/{alive.run}/checkpoints").json()["checkpoints"]
    told = {one["user_metadata"]["step"]: float(one["user_metadata"]["loss"]) for one in listed}
    assert told == {"4": alive.losses[4], "6": alive.losses[6]}


def test_a_corrupted_run_goes_on_in_another_pod(world: World, alive: Loop) -> None:
    """The loop that lost its run ends, its Job is replaced, and the next Pod resumes from what was saved last."""
    alive.do("wait")
    world.stage.corrupt(alive.run)
    alive.end()
    after = world.next_loop(SFT)

    record = world.record(after)
    assert (record["cause"], record["result"], record["mode"]) == ("Corrupted", "Recovered", "Relaunch")
    assert after.start == max(alive.losses) // 2 * 2


def test_a_loop_that_meets_the_loss_before_the_operator_is_no_failure_of_its_own(world: World, alive: Loop) -> None:
    """It ends with status 75 within milliseconds; the cause is still that the run was corrupted."""
    world.stage.corrupt(alive.run)
    alive.order("train 1")
    alive.end()
    after = world.next_loop(SFT)

    assert world.record(after)["cause"] == "Corrupted"


@pytest.mark.parametrize(
    ("order", "words"),
    [
        pytest.param("exit 7", ("exit code 7",), id="it crashes"),
        pytest.param("eat", ("exit code 137", "OOMKilled"), id="it is killed for its memory"),
        pytest.param("fill", ("Evicted", "scratch"), id="it is evicted"),
    ],
)
def test_a_failed_pod_is_replaced_and_its_cause_is_kept(
    world: World, alive: Loop, order: str, words: tuple[str, ...]
) -> None:
    """The Job failed, and the run with it: what it ended with is in the history."""
    alive.order(order)
    alive.end()
    after = world.next_loop(SFT)

    record = world.record(after)
    assert record["cause"] == "TrainerFailed"
    assert all(word in record["causeMessage"] for word in words), record
    assert after.start == max(alive.losses) // 2 * 2


def test_a_pod_that_hangs_on_sigterm_is_waited_for(world: World, alive: Loop) -> None:
    """It runs on until its grace is over; no second loop is there before it was killed."""
    alive.do("deaf")
    alive.do("train 1")
    world.stage.corrupt(alive.run)
    deleted = eventually(lambda: going(world, alive), "the Pod to be told to end")
    assert world.witness.alive(SFT) == [alive]
    after = world.next_loop(SFT)

    assert world.record(after)["cause"] == "Corrupted"
    assert deleted == GRACE_SECONDS
    assert world.witness.overlaps(SFT) == []


def going(world: World, loop: Loop) -> int:
    """Returns the grace of a Pod that is on its way out, 0 for one that is not."""
    pod = world.stage.get("pod", loop.pod)["metadata"]
    return int(pod.get("deletionGracePeriodSeconds", 0))


def test_restarts_on_the_node_are_no_attempts_until_the_job_gives_up(world: World, alive: Loop) -> None:
    """With restartPolicy OnFailure the kubelet restarts the container in the same Pod, as backoffLimit allows."""
    world.change_template(SFT, {"backoffLimit": 1, "template": {"spec": {"restartPolicy": "OnFailure"}}})
    alive.order("exit 1")
    restarted = world.next_loop(SFT)
    record = world.record(restarted)
    restarted.order("exit 9")
    world.change_template(SFT, {"backoffLimit": None, "template": {"spec": {"restartPolicy": None}}})
    again = world.newcomer(SFT)
    if again.attempt == restarted.attempt:  # the kubelet was faster than the Job's controller
        again.end()
        again = world.newcomer(SFT)
    again.do("resume")

    assert record["cause"] == "TrainerFailed"
    second = world.record(again)
    assert second["cause"] == "TrainerFailed"
    assert "BackoffLimitExceeded" in second["causeMessage"]
    assert "exit code 9" in second["causeMessage"].lower()


def test_what_the_jobs_own_policy_gives_up_waits_for_a_person(world: World, alive: Loop) -> None:
    """FailJob: nothing is relaunched until the Job is deleted and the annotation asks again; then it goes on."""
    rule = {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [65]}}
    world.change_template(SFT, {"podFailurePolicy": {"rules": [rule]}})
    alive.order("exit 1")
    ruled = world.next_loop(SFT)
    world.record(ruled)
    ruled.do("train 2")
    ruled.order("exit 65")
    found = eventually(lambda: stalled(world, SFT, "TrainerFailed"), "the TrainingRun to stall")
    assert "exit code 65" in found["message"]
    assert "podFailurePolicy" in found["message"]
    assert world.witness.alive(SFT) == []

    (job,) = world.jobs(SFT)
    within = ("--namespace", world.stage.namespace)
    world.stage.kubectl("delete", "job", job["metadata"]["name"], *within)
    world.stage.kubectl("annotate", "trainingrun", SFT, "tinker-operator.dev/reconcile-at=mended", *within)
    after = world.next_loop(SFT)
    world.record(after)
    assert after.start == max(ruled.losses)


def stalled(world: World, training: str, reason: str) -> dict[str, str]:
    """Returns the condition Stalled, {} while it is not True for this reason."""
    found = world.stage.condition("Stalled", training)
    return found if (found.get("status"), found.get("reason")) == ("True", reason) else {}


def test_a_pod_that_never_starts_is_told_of(world: World, alive: Loop) -> None:
    """The Job itself says nothing of an image that cannot be had. With the Job deleted, the mended template is used."""
    name = {"name": "loop", "image": "nowhere.example/loop:1"}
    pod = world.pod_spec(SFT)["containers"][0]
    world.change_template(SFT, {"template": {"spec": {"containers": [pod | name]}}})
    alive.order("exit 1")
    eventually(lambda: "ErrImageNeverPull" in world.stage.status(SFT)["trainer"]["message"], "the cause in status")
    ready = world.stage.condition("Ready", SFT)
    assert ready["reason"] == "AwaitingLoop"
    assert "ErrImageNeverPull" in ready["message"]

    world.change_template(SFT, {"template": {"spec": {"containers": [pod]}}})
    (job,) = world.jobs(SFT)
    world.stage.kubectl("delete", "job", job["metadata"]["name"], "--namespace", world.stage.namespace)
    after = world.next_loop(SFT)
    assert world.record(after)["cause"] == "TrainerFailed"


def test_nothing_of_it_shows_in_the_losses(world: World, alive: Loop) -> None:
    """Every step that any loop took had the loss that an uninterrupted training has at that step."""
    reference = world.uninterrupted(max(alive.losses))

    for loop in world.witness.of(SFT):
        assert loop.losses == pytest.approx({step: reference.losses[step] for step in loop.losses})
    assert len(world.witness.of(SFT)) > 1


def test_there_never_were_two_loops(world: World, alive: Loop) -> None:
    """Not by the connections of the loops, nor by what the kubelet says of their containers; one run is left."""
    assert world.witness.overlaps(SFT) == []
    assert pod_lives.overlaps(pod_lives.lives(world.watched, SFT)) == []
    made = {one.run for one in world.witness.of(SFT) if one.run}
    followed = set(world.stage.status(SFT)["lineage"])
    assert made <= followed
    assert world.stage.status(SFT)["trainingRunId"] == alive.run


def test_a_loop_that_was_left_behind_ends_by_itself_and_a_finished_one_is_not_made_again(world: World) -> None:
    """The user's own Pod trains what was adopted; when its run is lost it makes way. What is done stays done."""
    _, paths = world.stage.trained_run(2)
    run = {"trainingRunId": paths[0].split("/")[2]}
    world.stage.apply(world.manifest("own", run, ttlSecondsAfterFinished=5))
    world.stage.wait_ready("own")
    world.stage.apply(own_pod(world))
    own = world.next_loop("own")
    assert own.start == 2
    eventually(lambda: world.stage.status("own")["trainingRunId"] == own.run, "the loop's run to be followed")
    own.do("train 2")
    world.stage.corrupt(own.run)
    own.end()
    ended = eventually(lambda: exit_code(world, own), "the end of the Pod")
    assert ended == {"exitCode": 0, "reason": "Completed"}

    after = world.next_loop("own")
    assert world.record(after)["cause"] == "Corrupted"
    after.order("end")
    after.end()
    eventually(lambda: world.jobs("own") == [], "the finished Job to be removed")
    world.stage.wait_polls(3)
    done = world.stage.condition("Ready", "own")
    assert (done["status"], done["reason"]) == ("True", "Completed")
    assert [one.attempt for one in world.witness.of("own")] == [None, "1"]


def exit_code(world: World, loop: Loop) -> dict[str, object]:
    """Returns how the container of a loop ended, {} before."""
    (container,) = world.stage.get("pod", loop.pod)["status"]["containerStatuses"]
    ended = container["state"].get("terminated", {})
    return {name: ended[name] for name in ("exitCode", "reason") if ended}
