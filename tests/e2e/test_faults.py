"""Bad input and trouble: none starts a recovery, none ends the operator, each is told with a remedy, each passes."""

import base64
import json
from typing import Any

import pytest
from tests.e2e.stage import KEY, Stage, wait_for
from tests.simulator.bare import KEYS

pytestmark = pytest.mark.cluster


def secret(name: str, **entries: str) -> dict[str, Any]:
    """Returns a Secret."""
    encoded = {
        key.replace("ca_crt", "ca.crt"): base64.b64encode(value.encode()).decode() for key, value in entries.items()
    }
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": encoded}


def referring(stage: Stage, run: str) -> dict[str, Any]:
    """Returns a TrainingRun whose key is in the Secret `tinker`."""
    return stage.training_run({"run": {"trainingRunId": run}, "credentialsRef": {"name": "tinker"}})


def assert_nothing_was_done(stage: Stage, *, of_the_loop: int = 1) -> None:
    """The operator opened no session and made no run: the loop's own are the only ones that were counted."""
    assert stage.calls("create_session") == of_the_loop
    assert stage.calls("create_model") == of_the_loop
    assert stage.calls("load_weights") == 0


FAULTS: dict[str, tuple[str, dict[str, Any], str]] = {
    "500 for a while": ("http", {"status": 500, "route": "GET /api/v1/training_runs"}, "ServerFault"),
    "429 with Retry-After": (
        "http",
        {"status": 429, "retry_after": 1, "route": "GET /api/v1/training_runs"},
        "RateLimited",
    ),
    "403": ("http", {"status": 403, "route": "GET /api/v1/training_runs"}, "Forbidden"),
    "garbage instead of JSON": ("garbage", {"route": "GET /api/v1/training_runs"}, "InvalidResponse"),
    "half a body": ("half-body", {"route": "GET /api/v1/training_runs"}, ""),
    "half a listing": ("half-page", {"route": "GET /api/v1/training_runs"}, "IncompleteListing"),
    "dropped connections": ("drop", {"route": "GET /api/v1/training_runs"}, "ServiceUnreachable"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_trouble_of_the_service_is_told_and_passes(stage: Stage, name: str) -> None:
    """A corrupted run behind it is not touched while the view is troubled; all is well when it is over."""
    kind, rule, reason = FAULTS[name]
    run, _ = stage.trained_run()
    stage.apply(stage.training_run({"run": {"trainingRunId": run}}))
    stage.wait_ready()
    stage.wire.fault(kind, **rule)
    stage.corrupt(run)
    synced = stage.wait_condition("Synced", "False", reason or None)
    stage.wait_condition("Ready", "False")

    assert synced["message"].count(".") >= 2, "what happened, and what to do"
    assert stage.condition("Corrupted")["status"] == "Unknown"
    assert_nothing_was_done(stage)
    stage.sound()
    wait_for(lambda: stage.status().get("recoveries") == 1, "the recovery once the service answers")
    stage.wait_ready()


def test_a_service_that_is_gone_is_told_and_comes_back(stage: Stage) -> None:
    """Nothing listens: Reconciling, and Ready by itself when the service is back."""
    run, _ = stage.trained_run()
    stage.apply(stage.training_run({"run": {"trainingRunId": run}}))
    stage.wait_ready()
    stage.served.close()
    synced = stage.wait_condition("Synced", "False", "ServiceUnreachable")
    stage.wait_condition("Reconciling", "True")
    assert "network" in synced["message"]

    stage.served.start()
    stage.wait_ready()
    assert_nothing_was_done(stage, of_the_loop=0)  # a restarted simulator counts anew


def test_a_run_that_does_not_exist_is_told_with_what_to_compare(stage: Stage) -> None:
    """Stalled after two complete listings; Ready when the id is put right."""
    run, _ = stage.trained_run()
    stage.apply(stage.training_run({"run": {"trainingRunId": "no-such:train:0"}}))
    stalled = stage.wait_condition("Stalled", "True", "RunNotFound")
    assert "tinker run list" in stalled["message"]

    stage.apply(stage.training_run({"run": {"trainingRunId": run}}))
    stage.wait_ready()
    assert_nothing_was_done(stage)


def test_a_run_that_is_lost_is_not_recovered(stage: Stage) -> None:
    """Gone is not corrupted: a person is asked."""
    run, _ = stage.trained_run()
    stage.apply(stage.training_run({"run": {"trainingRunId": run}}))
    stage.wait_ready()
    stage.wire.order("lose", {"run": run})
    stage.wait_condition("Stalled", "True", "RunNotFound")

    assert stage.calls("create_session") == 1


def test_a_secret_may_appear_late_and_change(stage: Stage) -> None:
    """Missing, without the entry, with a wrong key, with the right one: each told, the last one Ready."""
    run, _ = stage.trained_run()
    stage.apply(referring(stage, run))
    missing = stage.wait_condition("Stalled", "True", "SecretNotFound")
    assert "TINKER_API_KEY" in missing["message"]
    stage.apply(secret("tinker", OTHER="x"))
    stage.wait_condition("Stalled", "True", "SecretInvalid")
    stage.apply(secret("tinker", TINKER_API_KEY="tml-wrong-key"))
    refused = stage.wait_condition("Stalled", "True", "Unauthorized")
    assert "tml-wrong-key" not in json.dumps(stage.get("tr", "sft")["status"])
    assert "key" in refused["message"]
    stage.apply(secret("tinker", TINKER_API_KEY=KEY))
    stage.wait_ready()
    stage.kubectl("delete", "secret", "tinker", "-n", stage.namespace)
    stage.wait_condition("Stalled", "True", "SecretNotFound")
    stage.apply(secret("tinker", TINKER_API_KEY=KEY))
    stage.wait_ready()

    assert_nothing_was_done(stage)


def test_a_key_that_is_no_key_is_told_without_showing_it(stage: Stage) -> None:
    """The form is checked before anything is sent."""
    run, _ = stage.trained_run()
    stage.apply(secret("tinker", TINKER_API_KEY="hunter2"), referring(stage, run))
    stalled = stage.wait_condition("Stalled", "True", "SecretInvalid")

    assert "hunter2" not in stalled["message"]
    assert "tml-" in stalled["message"]


def test_a_secret_cannot_send_requests_elsewhere(stage: Stage) -> None:
    """A base URL that is not on the allow list is refused, and never called."""
    run, _ = stage.trained_run()
    elsewhere = secret("tinker", TINKER_API_KEY=KEY, TINKER_BASE_URL="http://127.0.0.1:1")
    stage.apply(elsewhere, referring(stage, run))
    stalled = stage.wait_condition("Stalled", "True", "BaseUrlNotAllowed")

    assert "--allow-base-url" in stalled["message"]


def test_without_any_key_the_object_says_what_is_needed(stage: Stage) -> None:
    """The operator has no key of its own, and the object names no Secret."""
    run, _ = stage.trained_run()
    assert stage.operator.end() == 0
    stage.operator.key = None
    stage.operator.start()
    stage.apply(stage.training_run({"run": {"trainingRunId": run}}))
    stalled = stage.wait_condition("Stalled", "True", "NoCredentials")

    assert "credentialsRef" in stalled["message"]


def test_another_owner_s_run_is_not_found(stage: Stage) -> None:
    """A valid key of somebody else does not see the run."""
    run, _ = stage.trained_run()
    stage.apply(secret("tinker", TINKER_API_KEY=KEYS[1]), referring(stage, run))
    stage.wait_condition("Stalled", "True", "RunNotFound")


def test_a_path_that_does_not_parse_is_refused_with_the_right_form(stage: Stage) -> None:
    """The API server refuses it, so no wrong path ever reaches the operator."""
    run, _ = stage.trained_run()
    recovery = {"enabled": True, "checkpointStrategy": "Specific", "checkpoint": "weights/step-3"}
    manifest = stage.training_run({"run": {"trainingRunId": run}, "recovery": recovery})
    arguments = ("apply", "-n", stage.namespace, "-f", "-")
    answer = stage.kubectl(*arguments, stdin=json.dumps(manifest), check=False)

    assert answer.returncode != 0
    assert "tinker://" in answer.stderr


def test_a_foreign_config_map_is_not_overwritten(stage: Stage) -> None:
    """A ConfigMap of the hand-over's name that is somebody's is told of, and left as it is."""
    run, _ = stage.trained_run()
    theirs = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "sft-handover"}, "data": {"mine": "yes"}}
    stage.apply(theirs, stage.training_run({"run": {"trainingRunId": run}}))
    stage.wait_condition("Stalled", "True", "HandOverConflict")

    assert stage.get("configmap", "sft-handover")["data"] == {"mine": "yes"}
    stage.kubectl("delete", "configmap", "sft-handover", "-n", stage.namespace)
    stage.wait_ready()
    assert stage.hand_over()["trainingRunId"] == run
