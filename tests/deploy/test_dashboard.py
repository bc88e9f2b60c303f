"""The dashboard is what its script makes, and asks for nothing that the operator does not tell of itself."""

import json
import re
import xml.etree.ElementTree as ET
from typing import Any

import pytest
from tests.dashboard.answers import expression, panels
from tests.dashboard.making import DASHBOARD, made
from tests.dashboard.picture import PICTURE
from tests.deploy.rendering import DEPLOY

pytestmark = pytest.mark.pure

BOARD: dict[str, Any] = json.loads(DASHBOARD.read_text(encoding="utf-8"))
PAGE = (DEPLOY.parent / "docs" / "metrics.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `(\w+)` \|[^|]+\|([^|]*)\|", PAGE, re.MULTILINE)
LABELS = {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in ROWS}
OF_PROMETHEUS = {"job", "instance", "le"}


def test_the_dashboard_is_what_the_script_makes() -> None:
    """Written anew by `python -m tests.dashboard.making`."""
    assert DASHBOARD.read_text(encoding="utf-8") == made()


@pytest.mark.parametrize("panel", panels(BOARD), ids=lambda panel: panel["title"])
def test_a_panel_asks_for_what_is_documented(panel: dict[str, Any]) -> None:
    """Metrics and labels, and says what it means."""
    for query in panel["targets"]:
        asked = expression(query)
        names = re.findall(r"\b(?:tinker_operator|controller_runtime|workqueue|process)_\w+", asked)
        metrics = {re.sub(r"_(bucket|sum|count)$", "", name) for name in names}
        assert metrics
        assert metrics <= LABELS.keys()
        known = OF_PROMETHEUS.union(*(LABELS[metric] for metric in metrics))
        grouped = {word for found in re.findall(r"by \(([^)]+)\)", asked) for word in re.split(r",\s*", found)}
        matched = set(re.findall(r"[{,]\s*(\w+)\s*[=!]", asked))
        assert grouped | matched | set(re.findall(r"\{\{(\w+)\}\}", query["legendFormat"])) <= known
    assert panel["description"].endswith(".")


def test_every_metric_of_the_operators_own_is_on_the_dashboard_or_in_an_alert() -> None:
    """What nobody looks at need not be counted."""
    asked = DASHBOARD.read_text(encoding="utf-8") + (DEPLOY / "prometheus" / "rules.yaml").read_text(encoding="utf-8")
    unseen = {name for name in LABELS if name.startswith("tinker_operator") and name not in asked}
    assert unseen == {
        "tinker_operator_events_total",
        "tinker_operator_policy_expiring_bytes",
        "tinker_operator_policy_protected_checkpoints",
    }


def test_panels_fill_their_rows_and_do_not_overlap() -> None:
    taken = [
        (x, y)
        for panel in BOARD["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) == 23


def test_the_picture_shows_every_panel_and_fetches_nothing() -> None:
    """Drawn anew by `python -m tests.dashboard.picture`."""
    svg = PICTURE.read_text(encoding="utf-8")
    texts = {"".join(element.itertext()) for element in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")}  # noqa: S314
    assert {panel["title"] for panel in panels(BOARD)} <= texts
    assert "http" not in svg.replace("http://www.w3.org/2000/svg", "")
