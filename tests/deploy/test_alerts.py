"""Alerts speak of metrics that there are, and each has its entry in docs/runbooks.md."""

import re
from collections.abc import Mapping
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry
from tests.deploy.rendering import DEPLOY

from tinker_operator.controllers.policy_metrics import FigureBook, PolicyCollector
from tinker_operator.controllers.run_metrics import RunCollector
from tinker_operator.controllers.telemetry import Telemetry
from tinker_operator.core.telemetry import STEPS
from tinker_operator.engine.store import Store

pytestmark = pytest.mark.pure

(GROUP,) = yaml.safe_load((DEPLOY / "prometheus" / "rules.yaml").read_text(encoding="utf-8"))["groups"]
ALERTS: Mapping[str, dict[str, Any]] = {one["alert"]: one for one in GROUP["rules"]}
DOCS = DEPLOY.parent / "docs"
RUNBOOKS = (DOCS / "runbooks.md").read_text(encoding="utf-8")
OF_PROMETHEUS = {"job"}
"""Labels that the scrape adds."""


def exposed() -> set[str]:
    """Returns the names of the series that the operator has."""
    telemetry = Telemetry(CollectorRegistry())
    telemetry.show_leading(lambda: True)
    collectors = (telemetry.registry, PolicyCollector(Store(), FigureBook()), RunCollector(Store()))
    families = [family for collector in collectors for family in collector.collect()]
    return {family.name + ("_total" if family.type == "counter" else "") for family in families}


def labels_of(metric: str) -> set[str]:
    """Returns the labels that docs/metrics.md tells, which is held to what is exposed."""
    page = (DOCS / "metrics.md").read_text(encoding="utf-8")
    (row,) = [line for line in page.splitlines() if line.startswith(f"| `{metric}`")]
    return set(re.findall(r"`(\w+)`", row.split("|")[3]))


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_asks_for_what_is_exposed(name: str) -> None:
    """Metrics and labels, in its expression and in its summary."""
    rule = ALERTS[name]
    metrics = set(re.findall(r"tinker_operator_\w+", rule["expr"]))
    labels = OF_PROMETHEUS.union(*(labels_of(metric) for metric in metrics))
    grouped = {word for found in re.findall(r"by \(([^)]+)\)", rule["expr"]) for word in re.split(r",\s*", found)}
    matched = set(re.findall(r"[{,]\s*(\w+)\s*[=!]", rule["expr"]))
    told = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))

    assert metrics
    assert metrics <= exposed()
    assert grouped | matched | told <= labels
    assert not grouped or told <= grouped
    assert rule["expr"].count("(") == rule["expr"].count(")")


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_is_graded_and_leads_to_its_runbook(name: str) -> None:
    """By the anchor that its heading has."""
    rule = ALERTS[name]

    assert rule["labels"] == {"severity": rule["labels"]["severity"]}
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert rule["annotations"]["runbook"] == f"docs/runbooks.md#{name.lower()}"


def test_the_runbooks_are_those_of_the_alerts_and_no_others() -> None:
    """Each with what it means, where to look and what to do."""
    parts = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", RUNBOOKS, flags=re.MULTILINE | re.DOTALL))

    said = {name: re.findall(r"^\*\*(\w+):\*\*", part, flags=re.MULTILINE) for name, part in parts.items()}

    assert list(parts) == list(ALERTS)
    assert [name for name, words in said.items() if words != ["Means", "Look", "Do"]] == []


def test_steps_that_are_asked_for_are_counted() -> None:
    """A value of a label that is never written would never alert."""
    asked = {step for rule in ALERTS.values() for step in re.findall(r'step="(\w+)"', rule["expr"])}

    assert asked == {"exhausted", "failed"}
    assert asked <= set(STEPS.values())
