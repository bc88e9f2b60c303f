"""The metrics of policies on a real operator: true, in form, documented, and gone with their objects."""

import json
import re
from datetime import datetime
from pathlib import Path

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families
from tests.e2e.stage import Stage, wait_for

pytestmark = pytest.mark.cluster

PAGE = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scraped(stage: Stage, accept: str = "") -> str:
    """Returns /metrics of the operator that runs now."""
    lines = (json.loads(line) for line in stage.operator.log.read_text().splitlines() if line.startswith("{"))
    port = [line["port"] for line in lines if line["event"] == "metrics_served"][-1]
    headers = {"Accept": accept} if accept else {}
    url = f"http://127.0.0.1:{port}/metrics"
    return httpx.get(url, headers=headers, trust_env=False).raise_for_status().text


def series(stage: Stage) -> Series:
    """Returns every sample of the stage's namespace by its name and labels, without the namespace."""
    samples = (one for family in text_string_to_metric_families(scraped(stage)) for one in family.samples)
    own = (one for one in samples if one.labels.get("namespace") == stage.namespace)
    return {(one.name, frozenset(one.labels.items() - {("namespace", stage.namespace)})): one.value for one in own}


def at(found: Series, name: str, **labels: str) -> float | None:
    return found.get((f"tinker_operator_{name}", frozenset(labels.items())))


@pytest.fixture
def measured(stage: Stage) -> Stage:
    """The stage with an operator whose metrics are served."""
    stage.operator.close()
    stage.operator.arguments = ("--metrics-address", "127.0.0.1:0")
    stage.operator.start()
    return stage


def test_metrics_of_policies_are_true_in_form_documented_and_go_with_their_objects(measured: Stage) -> None:
    """Three due of five with one pinned, then deleted, then nothing left of any of it."""
    run, _ = measured.trained_run(3)
    pinned = measured.wire.saved(run, "keep-me", user_metadata={"pinned": "true", "step": "9"})
    measured.save(run, 5)
    measured.save(run, 6)
    measured.apply(measured.training_run({"run": {"trainingRunId": run}}), measured.policy({"keepLast": 2}))
    measured.wait_ready()
    wait_for(
        lambda: at(series(measured), "policy_checkpoints", policy="keep", state="due") == 3, "the figures of a pass"
    )
    found = series(measured)
    assert at(found, "policy_checkpoints", policy="keep", state="kept") == 3
    assert at(found, "policy_protected_checkpoints", policy="keep", reason="Pinned") == 1
    assert at(found, "policy_kept_checkpoints", policy="keep", reason="KeepLast") == 2
    assert at(found, "policy_unseen_training_runs", policy="keep") == 0
    assert at(found, "policy_deletions_total", policy="keep", rule="NotKept") == 0
    status = measured.status("keep", "checkpointpolicy")
    assert at(found, "policy_checkpoint_bytes", policy="keep", state="due") == status["dueBytes"]
    newest = at(found, "training_run_newest_checkpoint_timestamp_seconds", training_run="sft")
    listed = measured.wire.get(f"training_runs/{run}/checkpoints").json()["checkpoints"]
    assert newest == max(datetime.fromisoformat(one["time"]).timestamp() for one in listed)
    assert {one["tinker_path"] for one in listed} >= {pinned}

    measured.apply(measured.policy({"keepLast": 2, "action": "Delete"}))
    wait_for(
        lambda: at(series(measured), "policy_deletions_total", policy="keep", rule="NotKept") == 3, "three deletions"
    )
    wait_for(lambda: at(series(measured), "policy_checkpoints", policy="keep", state="due") == 0, "nothing due")
    _lint(measured)

    measured.kubectl("delete", "checkpointpolicy/keep", "trainingrun/sft", "--namespace", measured.namespace)
    gone = ("policy_", "training_run_")
    wait_for(
        lambda: not [name for name, _ in series(measured) if name.removeprefix("tinker_operator_").startswith(gone)],
        "the series to go",
    )


def _lint(stage: Stage) -> None:
    """Both forms parse; names, units and help follow the conventions; the page has every family with its labels."""
    families = list(text_string_to_metric_families(scraped(stage)))
    strict = list(open_metrics(scraped(stage, "application/openmetrics-text; version=1.0.0")))  # type: ignore[no-untyped-call]
    assert len({one.name for one in families}) == len(families)
    assert [one.name for one in strict if not one.documentation.endswith(".")] == []
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("| `")
    ]
    told = {row[0].strip("`"): (row[1], set(re.findall(r"`(\w+)`", row[2]))) for row in rows}
    for family in strict:
        counts = family.type == "counter"
        name = family.name + ("_total" if counts else "")
        labels = {label for one in family.samples for label in one.labels}
        assert re.fullmatch(r"(tinker_operator|controller_runtime|workqueue|process)_[a-z_]+", name)
        assert counts or not name.endswith(("_total", "_count", "_sum"))
        assert told[name][0] == family.type
        assert labels - {"le"} in (set(), told[name][1]), name
    named = {family.name + ("_total" if family.type == "counter" else "") for family in strict}
    assert {name for name in told if "policy" in name} <= named
