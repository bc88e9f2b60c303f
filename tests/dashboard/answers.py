"""What a Prometheus answers to the queries of a dashboard, read from the JSON that Grafana reads."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from playground.prometheus import JOB, Prometheus

VARIABLES: Final[Mapping[str, str]] = {"$__rate_interval": "15s", "$job": JOB, "$namespace": ".*"}
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Line:
    """One series.

    Attributes:
        name: As its legend has it.
        points: Times and values, oldest first, without gaps.
    """

    name: str
    points: tuple[Point, ...]


def expression(query: Mapping[str, Any]) -> str:
    """Returns a query with its variables filled in."""
    text = str(query["expr"])
    for name, value in VARIABLES.items():
        text = text.replace(name, value)
    assert "$" not in text, f"a variable that the dashboard does not have: {text}"
    return text


def legend(form: str, labels: Mapping[str, str]) -> str:
    """Returns what a series is called."""
    return re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), form)


def lines(prometheus: Prometheus, panel: Mapping[str, Any], start: float, end: float) -> Iterator[Line]:
    """Yields the series of a panel; what is not a number is left out, as Grafana does.

    Raises:
        ComponentFailed: A query cannot be parsed or evaluated.
    """
    for query in panel["targets"]:
        for series in prometheus.query_range(expression(query), start, end, 1):
            points = tuple((float(time), float(value)) for time, value in series["values"] if value != "NaN")
            if points:
                yield Line(legend(query["legendFormat"], series["metric"]), points)


def panels(dashboard: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Returns the panels that ask for something."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]
