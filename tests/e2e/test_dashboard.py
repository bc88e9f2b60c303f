"""Every query of the dashboard is asked of a real Prometheus that scrapes a real operator with something to do."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from tests.dashboard.answers import lines, panels
from tests.dashboard.drawing import drawn
from tests.dashboard.making import DASHBOARD
from tests.dashboard.picture import WANTED
from tests.e2e.scraping import scraped, value
from tests.e2e.stage import Stage, wait_for

from playground.prometheus import Programs, Prometheus

pytestmark = pytest.mark.cluster

BOARD = json.loads(DASHBOARD.read_text(encoding="utf-8"))
NOT_HERE = {"Exports by state"}
"""What this world has none of: an export takes a node."""


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """Where the picture goes."""
    return Path(os.environ.get(WANTED) or tmp_path / "dashboard.svg")


def busy(stage: Stage) -> None:
    """A run that comes back, one that is lost for good, two that are well, and a policy that deletes."""
    runs = {name: stage.trained_run(5)[0] for name in ("chat-dpo", "code-rl", "math-sft")}
    bare = stage.wire.run()
    recovery = {"enabled": True, "maxAttempts": 1, "backoffSeconds": 1}
    for name, run in {**runs, "no-checkpoint": bare}.items():
        stage.apply(stage.training_run({"run": {"trainingRunId": run}, "recovery": recovery}, name=name))
    keep = stage.policy({"keepLast": 3, "action": "Delete", "gracePeriodSeconds": 10})
    keep["spec"]["validation"] = {"level": "Metadata", "intervalSeconds": 60}
    stage.apply(keep)
    for name in (*runs, "no-checkpoint"):
        stage.wait_ready(name)
    stage.corrupt(runs["math-sft"])
    stage.corrupt(bare)
    stage.wait_condition("Stalled", "True", "RecoveryExhausted", name="no-checkpoint")
    wait_for(lambda: stage.status("math-sft").get("recoveries") == 1, "one recovery")


def trouble(stage: Stage, prometheus: Prometheus) -> None:
    """The service fails, and fails again: a rate sees of a counter what comes after its first value."""
    failed = 'sum(tinker_operator_service_requests_total{code="503"})'
    for count in (1, 2):
        stage.wire.fault("http", status=503, count=1, route="GET /api/v1/training_runs")
        wait_for(lambda count=count: value(prometheus, failed) == count, "the failure to be scraped")  # type: ignore[misc]
    stage.wait_polls(30 if WANTED in os.environ else 3)


def test_every_panel_shows_what_happened(
    stage: Stage, prometheus_programs: Programs, tmp_path: Path, picture: Path
) -> None:
    """Each query can be parsed and evaluated, and each returns series where there is something to show."""
    with scraped(stage, prometheus_programs, tmp_path / "prometheus") as prometheus:
        start = clock(prometheus)
        busy(stage)
        deleted = "sum(tinker_operator_policy_deletions_total)"
        wait_for(lambda: value(prometheus, deleted) == 6, "the deletions to be scraped")
        trouble(stage, prometheus)
        end = clock(prometheus)
        answers = {panel["title"]: list(lines(prometheus, panel, start, end)) for panel in panels(BOARD)}

    assert {title for title, found in answers.items() if not found} == NOT_HERE
    assert {title for title, found in answers.items() if len(found) > 1 and not all(it.name for it in found)} == set()
    told = {title: found[0].points[-1][1] for title, found in answers.items() if len(found) == 1}
    shown = ("TrainingRuns", "Corrupted now", "Brought back", "Given up", "Replicas that lead")
    assert [told[title] for title in shown] == [4, 1, 1, 1, 1]
    assert max(rate for _, rate in answers["Requests that failed"][0].points) > 0
    series = [[replace(it, name=it.name.replace(stage.namespace, "lab")) for it in each] for each in answers.values()]
    picture.write_text(drawn(BOARD, series, start, end), encoding="utf-8")


def clock(prometheus: Prometheus) -> float:
    """Returns the time that its samples have, in seconds since 1970."""
    return float(prometheus.ask("query", query="time()")["result"][0])
