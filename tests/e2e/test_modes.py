"""Other ways back on a real API server: a loop that takes over, a Job that is replaced, proofs, and other sources.

There is no kubelet here: Jobs are made and deleted by the real controllers, and the test acts as the loop in their pod.
"""

from typing import Any

import pytest
from tests.e2e.stage import Stage, wait_for

pytestmark = pytest.mark.cluster
ATTEMPT = "tinker-operator.dev/attempt"
RESUMED = "tinker-operator.dev/resumed-at"
TEMPLATE = {"spec": {"template": {"spec": {"containers": [{"name": "loop", "image": "none", "command": ["true"]}]}}}}


def resume(stage: Stage, time: str = "2026-01-01T00:00:00Z") -> str:
    """Makes a run from what the hand-over says, as a training loop does; returns its id."""
    told = stage.hand_over()
    metadata = {**told["userMetadata"], RESUMED: time}
    return str(stage.wire.ended(stage.wire.load(told["checkpoint"], user_metadata=metadata)).json()["model_id"])


def jobs(stage: Stage) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = stage.kubectl.json("get", "jobs", "--namespace", stage.namespace)["items"]
    return found


def attempts(stage: Stage) -> list[str]:
    return [one["metadata"]["annotations"][ATTEMPT] for one in jobs(stage)]


def recovered(stage: Stage, count: int = 1) -> dict[str, Any]:
    """Waits for a recovery and for Ready; returns the status."""
    wait_for(lambda: stage.status().get("recoveries") == count, f"recovery {count}")
    stage.wait_ready()
    return stage.status()


def adopted(stage: Stage, checkpoints: int = 2, **recovery: Any) -> tuple[str, list[str]]:
    """A run that trained and saved, adopted and Ready, with recovery as asked."""
    run, paths = stage.trained_run(checkpoints)
    trainer = {"trainer": {"template": TEMPLATE}} if recovery.get("mode") == "Relaunch" else {}
    spec = {"run": {"trainingRunId": run}, "recovery": {"enabled": True, "backoffSeconds": 1, **recovery}, **trainer}
    stage.apply(stage.training_run(spec))
    stage.wait_ready()
    return run, paths


def test_a_loop_takes_over_what_is_handed_over(stage: Stage) -> None:
    """The operator makes no run of its own; the loop's is followed."""
    run, paths = adopted(stage, mode="HandOver")
    stage.corrupt(run)
    stage.wait_condition("Ready", "False", "AwaitingLoop")
    assert (stage.hand_over()["attempt"], stage.hand_over()["checkpoint"]) == (1, paths[-1])
    assert [one["training_run_id"] for one in stage.remote_runs()] == [run]
    made = resume(stage)
    status = recovered(stage)

    assert status["trainingRunId"] == made
    assert status["recovery"]["history"][-1]["mode"] == "HandOver"
    assert "session" not in status


def test_a_job_is_made_for_each_attempt_after_the_last_one_is_gone(stage: Stage) -> None:
    """One Job at a time, made by the template, with the hand-over, the attempt and the key."""
    run, _ = adopted(stage, mode="Relaunch")
    assert jobs(stage) == []
    stage.corrupt(run)
    wait_for(lambda: attempts(stage) == ["1"], "the Job of attempt 1")
    (job,) = jobs(stage)
    container = job["spec"]["template"]["spec"]["containers"][0]
    assert {"name": "TINKER_OPERATOR_ATTEMPT", "value": "1"} in container["env"]
    assert job["metadata"]["ownerReferences"][0]["name"] == "sft"
    made = resume(stage)
    assert recovered(stage)["trainingRunId"] == made
    stage.save(made, 9)
    stage.corrupt(made)
    wait_for(lambda: attempts(stage) == ["2"], "the Job of attempt 2 alone")
    again = resume(stage, "2026-01-01T00:00:01Z")

    assert recovered(stage, 2)["trainingRunId"] == again


def test_a_job_that_fails_is_told_with_its_cause_and_replaced(stage: Stage) -> None:
    """What kubelet would say is written into the Job's status by the test; the rest is the real thing."""
    run, _ = adopted(stage, mode="Relaunch", maxAttempts=3)
    stage.corrupt(run)
    wait_for(lambda: attempts(stage) == ["1"], "the Job of attempt 1")
    pods = wait_for(
        lambda: stage.kubectl.json("get", "pods", "--namespace", stage.namespace)["items"], "the pod of the Job"
    )
    ended = {"exitCode": 137, "reason": "OOMKilled", "startedAt": None, "finishedAt": "2026-01-01T00:00:00Z"}
    state = {"name": "loop", "image": "none", "imageID": "", "ready": False, "restartCount": 0}
    patch = {"status": {"phase": "Failed", "containerStatuses": [{**state, "state": {"terminated": ended}}]}}
    stage.patch_status("pod", pods[0]["metadata"]["name"], patch)
    wait_for(lambda: attempts(stage) == ["2"], "the Job of attempt 2 alone")
    record = stage.status()["recovery"]["history"][-1]

    assert record["result"] == "TrainerFailed"
    assert "137" in record["message"]
    assert "OOMKilled" in record["message"]


def test_the_best_checkpoint_is_restored(stage: Stage) -> None:
    """By the loss that the loop wrote beside it."""
    run = stage.wire.run()
    stage.wire.train(run)
    paths = {
        loss: stage.wire.saved(run, f"at-{index}", user_metadata={"loss": loss})
        for index, loss in enumerate(("1.5", "0.9", "nan", "1.2"))
    }
    recovery = {"enabled": True, "checkpointStrategy": "Best", "metric": {"name": "loss", "mode": "Min"}}
    stage.apply(stage.training_run({"run": {"trainingRunId": run}, "recovery": recovery}))
    stage.wait_ready()
    stage.corrupt(run)

    assert recovered(stage)["recovery"]["restoredFrom"] == paths["0.9"]


def test_an_archive_is_exported_read_and_deleted_before_it_is_restored(stage: Stage) -> None:
    """The proof leaves nothing behind but a run that nobody owns."""
    run, paths = adopted(stage, validation="Archive")
    stage.corrupt(run)
    status = recovered(stage)

    assert status["recovery"]["restoredFrom"] == paths[-1]
    assert stage.calls("external_weights_urls") >= 1
    assert stage.calls("/signed") >= 1
    listed = stage.wire.get("checkpoints", limit=100).json()["checkpoints"]
    assert [one for one in listed if one["checkpoint_type"] == "external"] == []
    own = stage.wire.post("sessions/search", {"limit": 100}).json()["sessions"]
    proofs = [one for one in own if "tinker-operator.dev/validates-for" in (one["user_metadata"] or {})]
    assert [one["status"]["type"] for one in proofs] == ["client_finished"]


def test_a_checkpoint_that_does_not_load_is_never_handed_over(stage: Stage) -> None:
    """With validation Load, the loop hears only of what has loaded."""
    run, paths = adopted(stage, mode="HandOver", validation="Load")
    stage.break_checkpoint(paths[-1])
    stage.corrupt(run)
    stage.wait_condition("Ready", "False", "AwaitingLoop")

    assert stage.hand_over()["checkpoint"] == paths[0]


def test_a_run_is_discovered_and_recovered(stage: Stage) -> None:
    """By the metadata that somebody's script writes; it appears after the object."""
    recovery = {"enabled": True, "backoffSeconds": 1}
    stage.apply(stage.training_run({"run": {"discover": {"userMetadata": {"job": "nightly"}}}, "recovery": recovery}))
    stage.wait_condition("Ready", "False", "Discovering")
    run = stage.wire.run(user_metadata={"job": "nightly"})
    stage.save(run, 1)
    stage.wait_ready()
    assert stage.status()["trainingRunId"] == run
    stage.corrupt(run)

    assert recovered(stage)["lineage"] == [run, stage.status()["trainingRunId"]]


def test_a_run_is_made_from_a_checkpoint(stage: Stage) -> None:
    """Weights and optimizer come along, and a policy would keep the checkpoint."""
    run, paths = stage.trained_run(1)
    expected = stage.wire.train(run, 3)
    create = {"baseModel": "Qwen/Qwen3-8B", "lora": {"rank": 4}, "from": {"checkpoint": paths[0]}}
    stage.apply(stage.training_run({"run": {"create": create}}))
    stage.wait_ready()

    assert stage.wire.train(stage.status()["trainingRunId"], 3) == pytest.approx(expected)
    assert stage.status()["recovery"]["restoredFrom"] == paths[0]


def test_the_annotation_gives_an_exhausted_budget_back(stage: Stage) -> None:
    """And status echoes it, so that a tool knows that it was heeded."""
    run = stage.wire.run()
    stage.wire.train(run)
    recovery = {"enabled": True, "maxAttempts": 1, "backoffSeconds": 1}
    stage.apply(stage.training_run({"run": {"trainingRunId": run}, "recovery": recovery}))
    stage.wait_ready()
    stage.corrupt(run)
    stage.wait_condition("Stalled", "True", "RecoveryExhausted")
    stage.kubectl("annotate", "trainingrun", "sft", "tinker-operator.dev/reconcile-at=x", "-n", stage.namespace)
    wait_for(lambda: stage.status().get("lastHandledReconcileAt") == "x", "the echo")
    wait_for(lambda: stage.status()["recovery"]["attempt"] == 2, "a second attempt")

    assert stage.get("trainingrun", "sft")["metadata"]["generation"] == 1


def test_observe_only_leaves_everything_as_it_is(stage: Stage) -> None:
    """Not a ConfigMap, not a session; the condition says what is seen."""
    run, _ = stage.trained_run(1)
    sessions = stage.calls("create_session")
    spec = {"run": {"trainingRunId": run}, "managementPolicy": "ObserveOnly"}
    stage.apply(stage.training_run(spec))
    stage.wait_ready()
    stage.corrupt(run)
    stage.wait_condition("Stalled", "True", "ObserveOnly")

    assert stage.kubectl.json("get", "configmaps", "--namespace", stage.namespace)["items"][0]["metadata"]["name"] == (
        "kube-root-ca.crt"
    )
    assert stage.calls("create_session") == sessions
