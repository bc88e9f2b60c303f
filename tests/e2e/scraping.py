"""A stage whose operator is scraped by a real Prometheus."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.e2e.stage import Stage, wait_for

from playground.prometheus import Programs, Prometheus


def show_metrics(stage: Stage, *arguments: str) -> int:
    """Starts the stage's operator again with its metrics served; returns the port."""
    stage.operator.close()
    stage.operator.arguments = ("--metrics-address", "127.0.0.1:0", *arguments)
    stage.operator.start()
    lines = [json.loads(it) for it in stage.operator.log.read_text().splitlines() if it.startswith("{")]
    return [int(line["port"]) for line in lines if line["event"] == "metrics_served"][-1]


@contextmanager
def scraped(stage: Stage, programs: Programs, folder: Path, rules: Sequence[Path] = ()) -> Iterator[Prometheus]:
    """Yields a Prometheus that scrapes the stage's operator each second."""
    port = show_metrics(stage)
    with Prometheus(programs, folder, [f"127.0.0.1:{port}"], rules) as prometheus:
        wait_for(lambda: value(prometheus, "up") == 1, "the operator to be scraped")
        yield prometheus


def value(prometheus: Prometheus, expression: str) -> float | None:
    """Returns the one value of an expression now, None where there is not exactly one."""
    found = prometheus.query(expression)
    return float(found[0]["value"][1]) if len(found) == 1 else None


def state_of_alert(prometheus: Prometheus, name: str) -> str:
    """Returns inactive, pending or firing."""
    rules: list[dict[str, Any]] = [rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"]]
    (state,) = [str(rule["state"]) for rule in rules if rule["name"] == name]
    return state
