"""Writes deploy/grafana/dashboard.json with the builders of Grafana's own SDK: `python -m tests.dashboard.making`."""

import json
from pathlib import Path
from typing import Final, TypeAlias

from grafana_foundation_sdk.builders import common, prometheus, stat, timeseries
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as words
from grafana_foundation_sdk.models import dashboard as models
from tests.dashboard.panels import ROWS, Panel

DASHBOARD: Final = Path(__file__).parents[2] / "deploy" / "grafana" / "dashboard.json"
SOURCE: Final = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
_HEIGHTS: Final = {"stat": 4, "timeseries": 7}
AnyPanel: TypeAlias = stat.Panel | timeseries.Panel


def made() -> str:
    """Returns the dashboard as Grafana imports it."""
    board = (
        build.Dashboard("tinker-operator")
        .uid("tinker-operator")
        .description("Training runs and checkpoints of the Tinker service, and the operator that keeps them.")
        .tags(["tinker-operator"])
        .timezone("browser")
        .time("now-6h", "now")
        .refresh("30s")
        .readonly()
        .with_variable(build.DatasourceVariable("datasource").label("Data source").type("prometheus"))
        .with_variable(_asked("job", "Job", "label_values(tinker_operator_leading, job)"))
        .with_variable(
            _asked("namespace", "Namespace", 'label_values(tinker_operator_training_runs{job="$job"}, namespace)')
            .multi(True)
            .include_all(True)
            .all_value(".*")
        )
    )
    for title, panels in ROWS:
        board.with_row(build.Row(title))
        for panel in panels:
            board.with_panel(_panel(panel))
    return json.dumps(board.build(), cls=JSONEncoder, indent=1, sort_keys=True) + "\n"


def _asked(name: str, label: str, query: str) -> build.QueryVariable:
    asked = build.QueryVariable(name).label(label).query({"query": query, "refId": name}).datasource(SOURCE)
    return asked.refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(models.VariableSort.ALPHABETICAL_ASC)


def _panel(panel: Panel) -> AnyPanel:
    drawn: AnyPanel = _stat() if panel.kind == "stat" else _lines(panel)
    drawn.title(panel.title).description(panel.about).datasource(SOURCE).unit(panel.unit)
    drawn.span(panel.width).height(_HEIGHTS[panel.kind])
    if panel.bounds:
        steps = [models.Threshold(None if value == 0 else value, colour) for value, colour in panel.bounds]
        drawn.thresholds(build.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps))
    for number, ask in enumerate(panel.asks):
        query = prometheus.Dataquery().expr(ask.expression).legend_format(ask.legend).ref_id("ABC"[number])
        drawn.with_target(query.datasource(SOURCE).range())
    return drawn


def _stat() -> stat.Panel:
    last = common.ReduceDataOptions().calcs(["lastNotNull"])
    drawn = stat.Panel().reduce_options(last).graph_mode(words.BigValueGraphMode.NONE)
    return drawn.color_mode(words.BigValueColorMode.VALUE)


def _lines(panel: Panel) -> timeseries.Panel:
    mode = words.StackingMode.NORMAL if panel.stacked else words.StackingMode.NONE
    bounded = words.GraphThresholdsStyleMode.LINE if panel.bounds else words.GraphThresholdsStyleMode.OFF
    style = common.GraphThresholdsStyleConfig().mode(bounded)
    legend = common.VizLegendOptions().show_legend(True).display_mode(words.LegendDisplayMode.LIST)
    drawn = timeseries.Panel().min(0).thresholds_style(style).legend(legend.placement(words.LegendPlacement.BOTTOM))
    return drawn.stacking(common.StackingConfig().mode(mode)).fill_opacity(30 if panel.stacked else 0).line_width(2)


if __name__ == "__main__":
    DASHBOARD.write_text(made(), encoding="utf-8")
