"""One recovery told three times, as Events, counts and lines of the log: the three say the same."""

import json
import re
from collections import Counter
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.e2e.stage import Stage, wait_for
from tests.simulator.bare import KEYS

from tinker_operator.core.telemetry import STEPS, EventReason

pytestmark = pytest.mark.cluster


@pytest.fixture
def measured(stage: Stage) -> Stage:
    """The stage with an operator whose metrics are served."""
    stage.operator.close()
    stage.operator.arguments = ("--metrics-address", "127.0.0.1:0")
    stage.operator.start()
    return stage


def lines(stage: Stage) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stage.operator.log.read_text().splitlines() if line.startswith("{")]


def scraped(stage: Stage) -> str:
    """Returns the page as it stands, from the operator that runs now."""
    port = [line["port"] for line in lines(stage) if line["event"] == "metrics_served"][-1]
    return httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).raise_for_status().text


def counted(page: str, name: str, label: str) -> Counter[str]:
    samples = [sample for family in text_string_to_metric_families(page) for sample in family.samples]
    return Counter({one.labels[label]: int(one.value) for one in samples if one.name == name})


def as_logged(reason: str) -> str:
    step = STEPS.get(EventReason(reason))
    return f"recovery_{step}" if step else re.sub(r"(?<!^)(?=[A-Z])", "_", reason).lower()


def recovered(stage: Stage) -> str:
    run, paths = stage.trained_run()
    stage.apply(stage.training_run({"run": {"trainingRunId": run}}))
    stage.wait_ready()
    stage.break_checkpoint(paths[-1])
    stage.corrupt(run)
    wait_for(lambda: stage.status().get("recoveries") == 1, "one recovery")
    stage.wait_ready()
    return run


def test_events_counts_and_log_tell_the_same_of_a_recovery(measured: Stage) -> None:
    """Each transition once in each, and at rest no more of any."""
    run = recovered(measured)
    measured.wait_polls()
    events = Counter(measured.events())
    page = scraped(measured)
    logged = Counter(line["event"] for line in lines(measured) if line.get("name") == "sft" and "message" in line)

    assert counted(page, "tinker_operator_events_total", "reason") == events
    assert counted(page, "tinker_operator_recovery_steps_total", "step") == {
        "detected": 1,
        "started": 1,
        "checkpoint_selected": 2,
        "client_created": 1,
        "completed": 1,
    }
    assert logged == Counter({as_logged(reason): count for reason, count in events.items()})
    status = measured.status()
    (completed,) = [line for line in lines(measured) if line["event"] == "recovery_completed"]
    assert completed["namespace"] == measured.namespace
    assert completed["attempt"] == 1
    assert (completed["lost_run"], completed["run"]) == (run, status["trainingRunId"])
    assert completed["checkpoint"] == status["recovery"]["restoredFrom"]
    assert (completed["cause"], completed["result"]) == ("Corrupted", "Recovered")


def test_what_people_read_is_what_the_log_says(measured: Stage) -> None:
    """The sentence of an Event is the message of its line."""
    recovered(measured)
    items = measured.kubectl.json("get", "events.events.k8s.io", "--namespace", measured.namespace)["items"]
    notes = sorted((as_logged(one["reason"]), one["note"]) for one in items if one["regarding"]["name"] == "sft")
    said = [(line["event"], line["message"]) for line in lines(measured) if line.get("name") == "sft"]

    assert sorted(said) == notes


def test_a_recovery_that_fails_is_counted_to_its_end(measured: Stage) -> None:
    """Each attempt that failed, and once that none is left."""
    run = measured.wire.run()
    recovery = {"enabled": True, "maxAttempts": 2, "backoffSeconds": 1}
    measured.apply(measured.training_run({"run": {"trainingRunId": run}, "recovery": recovery}))
    measured.wait_ready()
    measured.corrupt(run)
    measured.wait_condition("Stalled", "True", "RecoveryExhausted")
    measured.wait_polls()

    steps = counted(scraped(measured), "tinker_operator_recovery_steps_total", "step")
    assert steps == {"detected": 1, "started": 2, "failed": 2, "exhausted": 1}
    assert Counter(measured.events())["RecoveryExhausted"] == 1


def test_no_metric_shows_a_key_or_a_run(measured: Stage) -> None:
    """There is no end to runs of the service, and keys are secret."""
    run = recovered(measured)
    page = scraped(measured)

    assert run not in page
    assert [key for key in KEYS[:5] if key in page] == []


def test_every_line_of_a_round_says_of_which_run_and_attempt_and_none_holds_a_key(measured: Stage) -> None:
    """Through a recovery in which the service fails, and with a Secret that is wrong."""
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "wrong"},
        "stringData": {"TINKER_API_KEY": "tml-wrong-key"},
    }
    run, _ = measured.trained_run()
    measured.apply(secret, measured.training_run({"run": {"trainingRunId": run}}))
    spec = {"run": {"trainingRunId": run}, "credentialsRef": {"name": "wrong"}}
    measured.apply(measured.training_run(spec, name="wrong"))
    measured.wait_ready()
    measured.corrupt(run)
    measured.wire.fault("http", status=500, count=4, route="POST /api/v1/load_weights")
    wait_for(lambda: measured.status().get("recoveries") == 1, "one recovery")
    measured.wait_condition("Synced", "False", name="wrong")

    told = lines(measured)
    rounds = [line for line in told if line.get("kind") == "TrainingRun"]
    assert {line["name"] for line in rounds} == {"sft", "wrong"}
    assert [line for line in rounds if not {"namespace", "name", "run", "attempt"} <= line.keys()] == []
    assert {
        line["attempt"]
        for line in rounds
        if line["event"].startswith("recovery_") and line["event"] != "recovery_detected"
    } == {1}
    assert [line for line in told if "tml-" in json.dumps(line)] == []
