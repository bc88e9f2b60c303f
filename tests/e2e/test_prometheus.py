"""A real Prometheus scrapes a real operator, judges by the rules that ship, and raises the alarm when a run is lost."""

import re
from pathlib import Path

import pytest
import yaml
from tests.deploy.rendering import DEPLOY
from tests.deploy.test_alerts import ALERTS
from tests.e2e.scraping import scraped, state_of_alert, value
from tests.e2e.stage import Stage, wait_for

from playground.prometheus import Programs

pytestmark = pytest.mark.cluster

RULES = DEPLOY / "prometheus" / "rules.yaml"
PAGE = (DEPLOY.parent / "docs" / "metrics.md").read_text(encoding="utf-8")
AT_REST = ("TinkerOperatorAbsent", "TinkerOperatorTwoLeaders", "TinkerRecoveryExhausted", "TinkerCheckpointsStale")


def hasty(folder: Path) -> Path:
    """Writes the rules with patience of a second instead of minutes, and a checkpoint stale after five."""
    rules = yaml.safe_load(RULES.read_text(encoding="utf-8"))
    for rule in rules["groups"][0]["rules"]:
        rule["expr"] = rule["expr"].replace("> 21600", "> 5")
        if "for" in rule:
            rule["for"] = "1s"
    (folder / "rules.yaml").write_text(yaml.safe_dump(rules), encoding="utf-8")
    return folder / "rules.yaml"


def test_a_run_that_cannot_be_brought_back_raises_the_alarm(
    stage: Stage, prometheus_programs: Programs, tmp_path: Path
) -> None:
    """And nothing else does; the rules are read, and ask for nothing that is not there or documented."""
    with scraped(stage, prometheus_programs, tmp_path / "prometheus", [hasty(tmp_path)]) as prometheus:
        run = stage.wire.run()
        recovery = {"enabled": True, "maxAttempts": 1, "backoffSeconds": 1}
        stage.apply(stage.training_run({"run": {"trainingRunId": run}, "recovery": recovery}))
        stage.wait_ready()
        (target,) = prometheus.ask("targets")["activeTargets"]
        rules = [rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"]]

        assert (target["health"], target["lastError"]) == ("up", "")
        assert {rule["name"]: rule["health"] for rule in rules} == dict.fromkeys(ALERTS, "ok")
        assert {state_of_alert(prometheus, name) for name in AT_REST} == {"inactive"}

        stage.corrupt(run)
        stage.wait_condition("Stalled", "True", "RecoveryExhausted")
        wait_for(lambda: state_of_alert(prometheus, "TinkerRecoveryExhausted") == "firing", "the alarm")
        (alarm,) = [one for one in prometheus.ask("alerts")["alerts"] if one["state"] == "firing"]
        assert alarm["labels"]["namespace"] == stage.namespace
        assert stage.namespace in alarm["annotations"]["summary"]

        shown = set(prometheus.ask("label/__name__/values"))
        asked = {name for rule in ALERTS.values() for name in re.findall(r"tinker_operator_\w+", rule["expr"])}
        assert [name for name in asked - shown if f"| `{name}` |" not in PAGE] == []


def test_a_loop_that_saves_no_more_is_told_until_its_user_suspends_it(
    stage: Stage, prometheus_programs: Programs, tmp_path: Path
) -> None:
    """What is over or held is expected to save nothing."""
    with scraped(stage, prometheus_programs, tmp_path / "prometheus", [hasty(tmp_path)]) as prometheus:
        run, _ = stage.trained_run(1)
        stage.apply(stage.training_run({"run": {"trainingRunId": run}}))
        stage.wait_ready()
        wait_for(lambda: state_of_alert(prometheus, "TinkerCheckpointsStale") == "firing", "the alert")

        stage.apply(stage.training_run({"run": {"trainingRunId": run}, "suspend": True}))
        wait_for(lambda: value(prometheus, "tinker_operator_training_run_training") == 0, "the run to be held")
        wait_for(lambda: state_of_alert(prometheus, "TinkerCheckpointsStale") == "inactive", "the alert to end")
        assert value(prometheus, "count(tinker_operator_training_run_newest_checkpoint_timestamp_seconds)") == 1
