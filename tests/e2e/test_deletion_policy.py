"""What becomes of checkpoints when a TrainingRun is deleted: on a real API server, with the operator's own rights."""

import base64
import json
import signal
from typing import Any

import pytest
from tests.e2e.stage import KEY, Stage, wait_for

pytestmark = pytest.mark.cluster

FINALIZER = "tinker-operator.dev/checkpoints"


def declared(stage: Stage, run: str, policy: str = "Delete", name: str = "sft", **spec: Any) -> None:
    """Applies a TrainingRun with this policy, and waits until it is Ready and bound to its checkpoints as asked."""
    wanted = {"run": {"trainingRunId": run}, "deletionPolicy": policy, **spec}
    stage.apply(stage.training_run(wanted, name))
    stage.wait_ready(name)
    wait_for(lambda: bound(stage, name) is (policy == "Delete"), f"{name} to be bound as {policy} asks")


def bound(stage: Stage, name: str = "sft") -> bool:
    return FINALIZER in stage.get("trainingrun", name)["metadata"].get("finalizers", [])


def delete(stage: Stage, name: str = "sft") -> None:
    """Deletes as a user does, without waiting for the end."""
    stage.kubectl("delete", "trainingrun", name, "--namespace", stage.namespace, "--wait=false")


def exists(stage: Stage, name: str = "sft") -> bool:
    found = stage.kubectl("get", "trainingrun", name, "--namespace", stage.namespace, check=False)
    return found.returncode == 0


def wait_gone(stage: Stage, name: str = "sft") -> None:
    wait_for(lambda: not exists(stage, name), f"{name} to be gone")


def secret(stage: Stage, key: str = KEY) -> None:
    entries = {"TINKER_API_KEY": base64.b64encode(key.encode()).decode()}
    stage.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "tinker"}, "data": entries})


def assert_left(stage: Stage, run: str, paths: list[str], why: str) -> None:
    """The object went, its checkpoints did not, and that was told."""
    wait_gone(stage)
    assert stage.remote_checkpoints(run) == sorted(paths)
    wait_for(lambda: "CheckpointsLeft" in stage.events(), "an Event that tells of it")
    assert stage.events().count("CheckpointsLeft") == 1
    (line,) = [json.loads(one) for one in told(stage) if '"checkpoints_left"' in one]
    assert (line["name"], line["level"]) == ("sft", "warning")
    assert why in line["message"]


def told(stage: Stage) -> list[str]:
    return stage.operator.log.read_text().splitlines()


def test_retain_touches_nothing_and_sets_no_finalizer(stage: Stage) -> None:
    """The default: the object goes at once, and everything at the service stays."""
    run, paths = stage.trained_run()
    declared(stage, run, "Retain")
    stage.kubectl("delete", "trainingrun", "sft", "--namespace", stage.namespace, "--timeout=10s")

    assert stage.remote_checkpoints(run) == sorted(paths)
    assert stage.calls("DELETE") == 0


def test_delete_takes_the_training_checkpoints_and_nothing_else(stage: Stage) -> None:
    """Those of all runs of the lineage go; published and pinned ones, sampler weights and foreign runs stay."""
    run, paths = stage.trained_run(3)
    foreign, theirs = stage.trained_run()
    assert stage.wire.post(f"training_runs/{run}/checkpoints/weights/step-1/publish").status_code < 300
    stage.wire.train(run)
    pinned = stage.wire.saved(run, "pinned", user_metadata={"pinned": "true"})
    stage.save(run, 4)
    declared(stage, run)
    stage.corrupt(run)
    wait_for(lambda: stage.status().get("recoveries") == 1, "one recovery")
    stage.wait_ready()
    successor = stage.status()["trainingRunId"]
    stage.save(successor, 6)
    delete(stage)
    wait_gone(stage)

    assert stage.remote_checkpoints(run) == sorted([paths[0], pinned])
    assert stage.remote_checkpoints(successor) == []
    assert stage.remote_checkpoints(foreign) == sorted(theirs)
    assert "CheckpointsLeft" not in stage.events()


def test_what_another_object_refers_to_stays(stage: Stage) -> None:
    """A checkpoint that another spec names, and every checkpoint of a run that another object follows."""
    run, paths = stage.trained_run()
    other, _ = stage.trained_run(1)
    declared(stage, run)
    specific = {"enabled": True, "checkpointStrategy": "Specific", "checkpoint": paths[1]}
    declared(stage, other, "Retain", "other", recovery=specific)
    delete(stage)
    wait_gone(stage)

    assert stage.remote_checkpoints(run) == [paths[1]]


def test_the_finalizer_comes_and_goes_with_the_policy(stage: Stage) -> None:
    """Beside those of others; and spec, generation and annotations are as applied."""
    run, paths = stage.trained_run()
    declared(stage, run, "Retain")
    assert not bound(stage)
    before = stage.get("trainingrun", "sft")["metadata"]["annotations"]
    declared(stage, run, "Delete")
    found = stage.get("trainingrun", "sft")
    assert found["metadata"]["generation"] == 2
    assert set(found["metadata"]["annotations"]) == set(before)
    declared(stage, run, "Retain")
    assert "finalizers" not in stage.get("trainingrun", "sft")["metadata"]
    stage.kubectl("delete", "trainingrun", "sft", "--namespace", stage.namespace, "--timeout=10s")

    assert stage.remote_checkpoints(run) == sorted(paths)


def test_a_deletion_waits_for_the_service_and_then_goes_on(stage: Stage) -> None:
    """Trouble of the service is no reason to leave checkpoints behind, for an hour."""
    run, _ = stage.trained_run()
    declared(stage, run)
    stage.wire.fault("http", status=503, route="GET /api/v1/training_runs.*")
    stage.wait_condition("Synced", "False")
    delete(stage)
    lines = len(told(stage))
    wait_for(lambda: len(told(stage)) > lines + 1, "the operator to try")
    assert exists(stage)
    stage.sound()
    wait_gone(stage)

    assert stage.remote_checkpoints(run) == []
    assert "CheckpointsLeft" not in stage.events()


def test_without_its_secret_the_object_goes_all_the_same(stage: Stage) -> None:
    """A user who deletes both must not have to bring the key back."""
    run, paths = stage.trained_run()
    secret(stage)
    declared(stage, run, credentialsRef={"name": "tinker"})
    stage.kubectl("delete", "secret", "tinker", "--namespace", stage.namespace)
    stage.wait_condition("Stalled", "True", "SecretNotFound")
    delete(stage)

    assert_left(stage, run, paths, "Secret")


def test_with_a_key_that_is_refused_the_object_goes_all_the_same(stage: Stage) -> None:
    run, paths = stage.trained_run()
    secret(stage)
    declared(stage, run, credentialsRef={"name": "tinker"})
    secret(stage, "tml-wrong-key")
    stage.wait_condition("Stalled", "True", "Unauthorized")
    delete(stage)

    assert_left(stage, run, paths, "key")


def test_a_namespace_that_is_deleted_does_not_hang(stage: Stage) -> None:
    """Its Secret may go before its objects do."""
    run, _ = stage.trained_run()
    secret(stage)
    declared(stage, run, credentialsRef={"name": "tinker"})
    stage.kubectl("delete", "namespace", stage.namespace, "--wait=false")
    wait_for(
        lambda: stage.kubectl("get", "namespace", stage.namespace, check=False).returncode != 0,
        "the namespace to be gone",
        90,
    )
    stage.kubectl("create", "namespace", stage.namespace)  # what ends the test deletes it


def test_suspend_does_not_hold_a_deletion(stage: Stage) -> None:
    """Suspend is about the run; whoever deletes the object says what becomes of the rest."""
    run, _ = stage.trained_run()
    declared(stage, run)
    stage.apply(stage.training_run({"run": {"trainingRunId": run}, "deletionPolicy": "Delete", "suspend": True}))
    stage.wait_condition("Ready", "False", "Suspended")
    delete(stage)
    wait_gone(stage)

    assert stage.remote_checkpoints(run) == []


def test_observe_only_deletes_nothing(stage: Stage) -> None:
    """Whatever deletionPolicy says: nothing is ever done."""
    run, paths = stage.trained_run()
    declared(stage, run)
    wanted = {"run": {"trainingRunId": run}, "deletionPolicy": "Delete", "managementPolicy": "ObserveOnly"}
    stage.apply(stage.training_run(wanted))
    wait_for(lambda: not bound(stage), "the finalizer to go")
    delete(stage)
    wait_gone(stage)

    assert stage.remote_checkpoints(run) == sorted(paths)


def test_an_operator_that_is_killed_in_the_middle_goes_on_where_it_was(stage: Stage) -> None:
    """And one that is down holds the deletion until it is back."""
    run, paths = stage.trained_run(12)
    declared(stage, run)
    stage.wire.fault("latency", delay=0.4, route="DELETE .*")
    delete(stage)
    wait_for(lambda: len(stage.remote_checkpoints(run)) < len(paths), "the first checkpoint to go")
    assert stage.operator.end(signal.SIGKILL) == -signal.SIGKILL
    left = stage.remote_checkpoints(run)
    assert exists(stage)
    assert left
    stage.operator.start()
    wait_gone(stage)

    assert stage.remote_checkpoints(run) == []


def test_an_object_whose_finalizer_another_holds_keeps_it(stage: Stage) -> None:
    """Ours goes when its work is done; theirs is theirs."""
    run, _ = stage.trained_run()
    stage.apply(
        stage.training_run(
            {"run": {"trainingRunId": run}, "deletionPolicy": "Delete"}, finalizers=["example.com/theirs"]
        )
    )
    stage.wait_ready()
    wait_for(lambda: bound(stage), "the finalizer to come")
    delete(stage)
    wait_for(lambda: not bound(stage), "the operator's finalizer to go")

    assert stage.get("trainingrun", "sft")["metadata"]["finalizers"] == ["example.com/theirs"]
    assert stage.remote_checkpoints(run) == []
    free = '{"metadata": {"finalizers": null}}'
    stage.kubectl("patch", "trainingrun", "sft", "--namespace", stage.namespace, "--type=merge", "--patch", free)
    wait_gone(stage)
