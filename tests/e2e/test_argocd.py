"""Under Argo CD: nothing that the operator does makes an object differ from what was applied."""

import json

import pytest
from tests.e2e.stage import Stage, wait_for

pytestmark = pytest.mark.cluster


def test_recovery_and_deletion_leave_no_difference_to_what_was_applied(stage: Stage) -> None:
    """No difference for `kubectl diff`, which exits 1 for one, when everything has happened; nor for a finalizer."""
    run, paths = stage.trained_run(5)
    spec = {"run": {"trainingRunId": run}, "deletionPolicy": "Delete"}
    policy = stage.policy({"keepLast": 2, "action": "Delete"}, labels={"team": "math"})
    policy["spec"] |= {"publish": "Latest", "validation": {"level": "Metadata"}, "schedule": {"saveEvery": 100}}
    applied = [
        stage.training_run(spec, labels={"team": "math"}, annotations={"example.com/by": "argocd"}),
        policy,
    ]
    stage.apply(*applied)
    wait_for(lambda: stage.remote_checkpoints(run) == sorted(paths[3:]), "the deletions")
    stage.corrupt(run)
    wait_for(lambda: stage.status().get("recoveries") == 1, "the recovery")
    stage.wait_ready()
    stage.wait_condition("Ready", "True", "Enforced", "keep", "checkpointpolicy")
    stage.wait_condition("Published", "True", name="keep", of="checkpointpolicy")
    stage.wait_condition("Validated", "True", name="keep", of="checkpointpolicy")
    assert stage.get("trainingrun", "sft")["metadata"]["finalizers"]

    items = {"apiVersion": "v1", "kind": "List", "items": applied}
    found = stage.kubectl("diff", "--namespace", stage.namespace, "-f", "-", stdin=json.dumps(items), check=False)
    assert (found.returncode, found.stdout) == (0, "")
    applied[0]["spec"]["pollIntervalSeconds"] = 7
    differs = stage.kubectl("diff", "--namespace", stage.namespace, "-f", "-", stdin=json.dumps(items), check=False)
    assert differs.returncode == 1
