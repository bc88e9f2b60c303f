"""Prometheus' own tool reads the rules, and each alert fires when it should and only then."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.deploy.rendering import DEPLOY
from tests.deploy.test_alerts import ALERTS

from playground.prometheus import Programs

pytestmark = pytest.mark.http

FOLDER = DEPLOY / "prometheus"
RULES = (FOLDER / "rules.yaml").read_text(encoding="utf-8")
CASES = (FOLDER / "rules_test.yaml").read_text(encoding="utf-8")


def promtool(programs: Programs, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([programs.tool, *arguments], capture_output=True, text=True, check=False, timeout=60)


def judged(programs: Programs, folder: Path, rules: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    """Runs the cases on other rules."""
    (folder / "rules.yaml").write_text(yaml.safe_dump(rules), encoding="utf-8")
    (folder / "rules_test.yaml").write_text(CASES, encoding="utf-8")
    return promtool(programs, "test", "rules", folder / "rules_test.yaml")


def changed(expression: str | None) -> dict[str, Any]:
    """Returns the rules with alerts that do not wait, and that ask for this, if it is not None."""
    rules: dict[str, Any] = yaml.safe_load(RULES)
    for alert in rules["groups"][0]["rules"]:
        alert["expr"] = expression or alert["expr"]
        alert.pop("for", None)
    return rules


def blamed(done: subprocess.CompletedProcess[str]) -> set[str]:
    """Returns the alerts that do not do what the cases say."""
    return set(re.findall(r"alertname: (\w+),", done.stdout + done.stderr))


def test_the_rules_are_rules(prometheus_programs: Programs) -> None:
    done = promtool(prometheus_programs, "check", "rules", FOLDER / "rules.yaml")
    assert done.returncode == 0, done.stderr
    assert f"{len(ALERTS)} rules found" in done.stdout


def test_each_alert_fires_when_it_should_and_only_then(prometheus_programs: Programs) -> None:
    done = promtool(prometheus_programs, "test", "rules", FOLDER / "rules_test.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        pytest.param("vector(0) > 1", set(ALERTS), id="never fires"),
        pytest.param("vector(1)", set(ALERTS), id="always fires"),
        pytest.param(None, {name for name, rule in ALERTS.items() if "for" in rule}, id="does not wait"),
    ],
)
def test_an_alert_that_is_wrong_is_found(
    expression: str | None, found: set[str], prometheus_programs: Programs, tmp_path: Path
) -> None:
    """So each has a case in which it fires, one in which it does not, and one in which it has not waited enough."""
    done = judged(prometheus_programs, tmp_path, changed(expression))
    assert done.returncode != 0
    assert blamed(done) == found
