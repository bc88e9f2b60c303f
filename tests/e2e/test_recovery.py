"""A run's life on a real API server: adopted, created, corrupted, restored, handed over, at rest."""

import json
import signal
from typing import Any

import pytest
from tests.bench.crowd import collection
from tests.bench.first_times import FirstTimes
from tests.bench.outcome import Untrue
from tests.e2e.stage import DEADLINE_SECONDS, Stage, wait_for

pytestmark = pytest.mark.cluster

BOTH = (("tr", "sft"), ("ckp", "keep"))


def test_an_adopted_run_becomes_ready_and_leaves_no_trace_but_status(stage: Stage) -> None:
    """No annotation, no finalizer, no label, spec and generation as applied."""
    run, paths = stage.trained_run()
    stage.apply(stage.training_run({"run": {"trainingRunId": run}}))
    stage.wait_ready()

    found = stage.get("trainingrun", "sft")
    annotations = set(found["metadata"]["annotations"])
    managers = {entry["manager"] for entry in found["metadata"]["managedFields"]}
    assert annotations == {"kubectl.kubernetes.io/last-applied-configuration"}
    assert "finalizers" not in found["metadata"]
    assert found["metadata"]["generation"] == 1
    assert found["status"]["observedGeneration"] == 1
    assert found["status"]["trainingRunId"] == run
    assert found["status"]["lastCheckpoint"]["path"] == paths[-1]
    assert managers == {"kubectl-client-side-apply", "tinker-operator"}
    assert stage.events() == ["RunBound"]


def test_a_corrupted_run_is_restored_past_a_broken_checkpoint_and_handed_over(stage: Stage) -> None:
    """The whole story, with verdicts, lineage, hand-over and events, and one live successor."""
    run, paths = stage.trained_run()
    stage.apply(stage.training_run({"run": {"trainingRunId": run}}))
    stage.wait_ready()
    stage.break_checkpoint(paths[-1])
    stage.corrupt(run)
    wait_for(lambda: stage.status().get("recoveries") == 1, "one recovery")
    stage.wait_ready()

    status = stage.status()
    record = status["recovery"]["history"][-1]
    verdicts = [(one["checkpoint"], one["verdict"]) for one in record["candidates"]]
    assert verdicts == [(paths[2], "NotLoadable"), (paths[1], "Good")]
    assert status["recovery"]["restoredFrom"] == paths[1]
    assert status["lineage"] == [run, status["trainingRunId"]]
    assert record["fromTrainingRunId"] == run
    live = [one["training_run_id"] for one in stage.remote_runs() if not one["corrupted"]]
    assert live == [status["trainingRunId"]]
    document = stage.hand_over()
    assert (document["attempt"], document["checkpoint"]) == (1, paths[1])
    assert document["previousTrainingRunId"] == run
    wanted = {
        "RunBound",
        "CorruptionDetected",
        "RecoveryStarted",
        "CheckpointSkipped",
        "CheckpointSelected",
        "SuccessorCreated",
        "RecoveryCompleted",
        "HandedOver",
    }
    assert wanted <= set(stage.events())
    assert len(stage.events()) == len(wanted) + 1  # two candidates were selected


def test_the_optimizer_comes_along(stage: Stage) -> None:
    """The successor's next losses are those that the lost run had from that checkpoint on."""
    run = stage.wire.run()
    stage.wire.train(run, 5)
    path = stage.wire.saved(run, "step-5")
    expected = stage.wire.train(run, 5)
    stage.apply(stage.training_run({"run": {"trainingRunId": run}}))
    stage.wait_ready()
    stage.corrupt(run)
    wait_for(lambda: stage.status().get("recoveries") == 1, "one recovery")

    assert stage.status()["recovery"]["restoredFrom"] == path
    assert stage.wire.train(stage.status()["trainingRunId"], 5) == pytest.approx(expected)


def test_specific_restores_the_checkpoint_that_spec_names(stage: Stage) -> None:
    """Not the newest: the one that the user chose."""
    run, paths = stage.trained_run()
    recovery = {"enabled": True, "checkpointStrategy": "Specific", "checkpoint": paths[0]}
    stage.apply(stage.training_run({"run": {"trainingRunId": run}, "recovery": recovery}))
    stage.wait_ready()
    stage.corrupt(run)
    wait_for(lambda: stage.status().get("recoveries") == 1, "one recovery")

    assert stage.status()["recovery"]["restoredFrom"] == paths[0]


def test_without_a_checkpoint_the_budget_ends_and_a_person_is_asked(stage: Stage) -> None:
    """MaxAttempts attempts, each recorded, then Stalled with what to do."""
    run = stage.wire.run()
    recovery = {"enabled": True, "maxAttempts": 2, "backoffSeconds": 1}
    stage.apply(stage.training_run({"run": {"trainingRunId": run}, "recovery": recovery}))
    stage.wait_ready()
    stage.corrupt(run)
    stalled = stage.wait_condition("Stalled", "True", "RecoveryExhausted")

    assert "change the spec" in stalled["message"]
    assert [one["result"] for one in stage.status()["recovery"]["history"]] == ["NoUsableCheckpoint"] * 2
    assert len(stage.remote_runs()) == 1


def test_recovery_is_never_unasked(stage: Stage) -> None:
    """Enabled is false by default: the run is told of as corrupted, and left alone."""
    run, _ = stage.trained_run()
    stage.apply(stage.training_run({"run": {"trainingRunId": run}, "recovery": {}}))
    stage.wait_ready()
    stage.corrupt(run)
    stalled = stage.wait_condition("Stalled", "True", "RecoveryDisabled")

    assert "spec.recovery.enabled" in stalled["message"]
    assert stage.condition("Corrupted")["status"] == "True"
    assert len(stage.remote_runs()) == 1


def test_suspend_holds_the_recovery_back_until_it_is_lifted(stage: Stage) -> None:
    """Kubectl patch is all it takes, both ways."""
    run, _ = stage.trained_run()
    stage.apply(stage.training_run({"run": {"trainingRunId": run}, "suspend": True}))
    stage.wait_condition("Ready", "False", "Suspended")
    stage.corrupt(run)
    stage.wait_condition("Corrupted", "True")
    stage.wait_polls()
    assert len(stage.remote_runs()) == 1

    patch = json.dumps({"spec": {"suspend": False}})
    stage.kubectl("patch", "tr", "sft", "-n", stage.namespace, "--type=merge", "-p", patch)
    wait_for(lambda: stage.status().get("recoveries") == 1, "one recovery")
    stage.wait_ready()


def test_a_run_is_created_and_its_session_kept(stage: Stage) -> None:
    """run.create makes exactly one run with the asked rank and metadata."""
    create = {"baseModel": "Qwen/Qwen3-8B", "lora": {"rank": 4, "seed": 1}, "userMetadata": {"experiment": "math"}}
    stage.apply(stage.training_run({"run": {"create": create}}))
    stage.wait_ready()

    runs = stage.remote_runs()
    assert [one["training_run_id"] for one in runs] == [stage.status()["trainingRunId"]]
    assert runs[0]["lora_rank"] == 4
    assert runs[0]["user_metadata"]["experiment"] == "math"
    assert runs[0]["user_metadata"]["tinker-operator.dev/owner"] == f"test/{stage.namespace}/sft"
    wait_for(lambda: stage.calls("session_heartbeat") >= 1, "a heartbeat")


def test_a_run_that_the_service_refuses_to_make_waits_for_the_spec(stage: Stage) -> None:
    """A base model that does not exist is the user's to mend; nothing is retried until then."""
    wrong = {"baseModel": "no-such-model", "lora": {"rank": 4}}
    stage.apply(stage.training_run({"run": {"create": wrong}}))
    stalled = stage.wait_condition("Stalled", "True", "CreateRefused")
    calls = stage.calls("create_model")
    stage.wait_polls()

    assert "no-such-model" in stalled["message"] or "model" in stalled["message"]
    assert stage.calls("create_model") == calls
    stage.apply(stage.training_run({"run": {"create": {**wrong, "baseModel": "Qwen/Qwen3-8B"}}}))
    stage.wait_ready()


def test_the_loop_s_own_run_is_followed(stage: Stage) -> None:
    """When the loop resumes in a session of its own, that run is watched, and the operator's session ends."""
    run, _ = stage.trained_run()
    stage.apply(stage.training_run({"run": {"trainingRunId": run}}))
    stage.wait_ready()
    stage.corrupt(run)
    wait_for(lambda: stage.status().get("handOver", {}).get("attempt") == 1, "the hand-over of attempt 1")
    told = stage.hand_over()
    metadata = {**told["userMetadata"], "tinker-operator.dev/resumed-at": "2026-01-01T00:00:00Z"}
    loaded = stage.wire.load(told["checkpoint"], user_metadata=metadata)
    resumed = stage.wire.ended(loaded).json()["model_id"]
    wait_for(lambda: stage.status().get("trainingRunId") == resumed, "the loop's run to be followed")
    wait_for(lambda: "session" not in stage.status(), "the operator's session to end")
    stage.corrupt(resumed)
    wait_for(lambda: stage.status().get("recoveries") == 2, "the second recovery")

    assert stage.status()["lineage"][:3] == [run, told["successorTrainingRunId"], resumed]


def test_at_rest_nothing_is_written(stage: Stage) -> None:
    """Many polls of a healthy run leave the object's version as it is, and make no event."""
    run, _ = stage.trained_run()
    stage.apply(stage.training_run({"run": {"trainingRunId": run}}), stage.policy({"keepLast": 2}))
    stage.wait_ready()
    wait_for(lambda: stage.status("keep", "checkpointpolicy").get("checkpoints") == 3, "the policy's listing")
    stage.check_rest(*BOTH)
    before = [*stage.versions(*BOTH), *stage.events()]
    stage.wait_polls(6)

    assert [*stage.versions(*BOTH), *stage.events()] == before


def test_before_the_first_look_a_new_object_is_told_nothing(stage: Stage) -> None:
    """Not even the counts of what never happened: ten thousand new objects would be written to once more."""
    run, _ = stage.trained_run()
    stage.wire.fault("latency", delay=1.0, route="GET /api/v1/training_runs")
    states = {
        "told nothing": lambda obj: "attempt" in obj.get("status", {}) and not obj["status"].get("conditions"),
        "told its run": lambda obj: obj.get("status", {}).get("trainingRunId") == run,
    }
    with FirstTimes(stage.kubectl, collection(stage.namespace), states) as watch:
        stage.apply(stage.training_run({"run": {"trainingRunId": run}}))
        watch.wait_for("told its run", ["sft"], 4 * DEADLINE_SECONDS)
        with pytest.raises(Untrue):
            watch.wait_for("told nothing", ["sft"], seconds=0)


def test_a_restart_of_the_operator_writes_nothing(stage: Stage) -> None:
    """Between its start and its first look, which takes long here, it has nothing to say of a healthy run."""
    run, _ = stage.trained_run()
    stage.apply(stage.training_run({"run": {"trainingRunId": run}}), stage.policy({"keepLast": 2}))
    stage.wait_ready()
    wait_for(lambda: stage.status("keep", "checkpointpolicy").get("checkpoints") == 3, "the policy's listing")
    stage.check_rest(*BOTH)
    before = [*stage.versions(*BOTH), *stage.events()]
    assert stage.operator.end() == 0
    stage.wire.fault("latency", delay=3.0, route="GET /api/v1/training_runs")
    stage.operator.start()
    stage.wait_polls(3)
    stage.sound()
    stage.wait_polls(3)

    assert [*stage.versions(*BOTH), *stage.events()] == before


def test_a_kill_in_the_middle_of_a_load_makes_neither_two_successors_nor_none(stage: Stage) -> None:
    """SIGKILL while the load is under way; the restarted operator finishes the same attempt."""
    run, _ = stage.trained_run()
    stage.apply(stage.training_run({"run": {"trainingRunId": run}}))
    stage.wait_ready()
    stage.wire.fault("latency", delay=2.0, route="POST /api/v1/load_weights")
    stage.corrupt(run)
    wait_for(lambda: stage.status().get("recovery", {}).get("inFlight", {}).get("sessionId"), "a journalled session")
    stage.operator.end(signal.SIGKILL)
    stage.sound()
    stage.operator.start()
    wait_for(lambda: stage.status().get("recoveries") == 1, "one recovery")

    assert stage.status()["recovery"]["attempt"] == 1
    live = [one["training_run_id"] for one in stage.remote_runs() if not one["corrupted"]]
    assert live == [stage.status()["trainingRunId"]]


def test_a_cluster_rebuilt_from_git_finds_the_same_run(stage: Stage) -> None:
    """The object is deleted and applied again: its successor is bound, and nothing new is made."""
    run, _ = stage.trained_run()
    manifest: dict[str, Any] = stage.training_run({"run": {"trainingRunId": run}})
    stage.apply(manifest)
    stage.wait_ready()
    stage.corrupt(run)
    wait_for(lambda: stage.status().get("handOver", {}).get("attempt") == 1, "the hand-over of attempt 1")
    successor = stage.status()["trainingRunId"]
    stage.operator.end()
    stage.kubectl("delete", "tr", "sft", "-n", stage.namespace)
    stage.apply(manifest)
    stage.operator.start()
    stage.wait_ready()

    assert stage.status()["trainingRunId"] == successor
    assert len(stage.remote_runs()) == 2


def test_two_objects_on_one_run_restore_it_once(stage: Stage) -> None:
    """The older one has it; the younger says so and makes nothing."""
    run, _ = stage.trained_run()
    stage.apply(stage.training_run({"run": {"trainingRunId": run}}, "first"))
    stage.wait_ready("first")
    stage.apply(stage.training_run({"run": {"trainingRunId": run}}, "second"))
    claimed = stage.wait_condition("Stalled", "True", "RunClaimed", "second")
    assert f"{stage.namespace}/first" in claimed["message"]
    stage.corrupt(run)
    wait_for(lambda: stage.status("first").get("recoveries") == 1, "one recovery")
    stage.wait_polls(3)

    assert stage.status("second").get("recoveries") == 0
    live = [one["training_run_id"] for one in stage.remote_runs() if not one["corrupted"]]
    assert live == [stage.status("first")["trainingRunId"]]


def test_sigterm_ends_the_operator_in_time(stage: Stage) -> None:
    """Exit status 0 within ten seconds, also with work under way."""
    run, _ = stage.trained_run()
    stage.apply(stage.training_run({"run": {"trainingRunId": run}}))
    stage.wait_ready()

    assert stage.operator.end() == 0
