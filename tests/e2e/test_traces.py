"""A collector of OpenTelemetry is told of every round and of the requests in it, and of no key."""

from collections.abc import Iterator

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.e2e.scraping import show_metrics
from tests.e2e.stage import Stage, wait_for
from tests.otlp import Collector, collecting
from tests.simulator.bare import KEYS

pytestmark = pytest.mark.cluster

ROUNDS = "controller_runtime_reconcile_total"


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """A collector that the environment names, with a key of its own in a header."""
    with collecting() as listening:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", listening.url)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=lab")
        yield listening


def rounds(port: int) -> int:
    """Returns how many rounds the operator has counted."""
    page = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).raise_for_status().text
    samples = (sample for family in text_string_to_metric_families(page) for sample in family.samples)
    return int(sum(sample.value for sample in samples if sample.name == ROUNDS))


def test_a_recovery_is_a_trace_of_rounds_with_their_requests(collector: Collector, stage: Stage) -> None:
    """As many spans as rounds are counted; each request of a round below it, and none elsewhere."""
    port = show_metrics(stage)
    run, _ = stage.trained_run()
    stage.apply(stage.training_run({"run": {"trainingRunId": run}}), stage.policy({"keepLast": 2}))
    stage.wait_ready()
    stage.corrupt(run)
    wait_for(lambda: stage.status().get("recoveries") == 1, "one recovery")
    stage.wait_ready()
    wait_for(lambda: len(collector.named("reconcile ")) == rounds(port) > 0, "a span of every round")

    by_id = {span.span_id: span for span in collector.spans}
    loads = collector.named("POST load_weights")
    parents = [by_id[span.parent_id] for span in loads]
    assert {span.name for span in parents} == {"reconcile TrainingRun"}
    assert {span.trace_id for span in loads} <= {span.trace_id for span in parents}
    assert {parent.attributes["tinker_operator.name"] for parent in parents} == {"sft"}
    assert {parent.attributes["tinker_operator.attempt"] for parent in parents} == {1}
    assert {parent.attributes["k8s.namespace.name"] for parent in parents} == {stage.namespace}
    listings = [span for span in collector.named("GET training_runs/{id}/checkpoints") if span.parent_id]
    assert {by_id[span.parent_id].attributes["tinker_operator.kind"] for span in listings} >= {"CheckpointPolicy"}
    assert {span.attributes["http.response.status_code"] for span in listings} == {200}
    newest = collector.named("reconcile TrainingRun")[-1].attributes
    assert (newest["tinker_operator.run"], newest["tinker_operator.outcome"]) == (
        stage.status()["trainingRunId"],
        "requeue_after",
    )
    who = collector.resources[0]
    assert (who["service.name"], who["deployment.environment.name"]) == ("tinker-operator", "lab")

    stage.operator.close()
    everything = b"".join(collector.bodies)
    assert [key for key in KEYS if key.encode() in everything] == []
    assert b"X-API-Key" not in everything


def test_a_collector_that_does_not_answer_holds_nothing_up(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a recovery, nor the end of the operator; and what opens the collector is in no line of the log."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://192.0.2.1:4318")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20planted-secret,planted-secret")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
    show_metrics(stage)
    run, _ = stage.trained_run()
    stage.apply(stage.training_run({"run": {"trainingRunId": run}}))
    stage.wait_ready()
    stage.corrupt(run)
    wait_for(lambda: stage.status().get("recoveries") == 1, "one recovery")

    assert stage.operator.end() == 0
    assert "planted-secret" not in stage.operator.log.read_text()
