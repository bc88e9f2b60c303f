"""What the page of the bench says of many TrainingRuns; `page` puts it there."""

from collections.abc import Sequence

from tests.bench.outcome import Outcome, quantile

MIB = 1024**2
TEXT = """## Many TrainingRuns at once

`python -m tests.bench.scale {arguments}`

A real API server, the simulator, and each contender with a namespace of TrainingRuns that were there before it. Ours
has the rights of `deploy/`. The limit is a loop that writes one status to each object and does nothing else; a timer
for each object, with a call of its own, is how most kopf operators are written; the loop with the official SDK has
nothing to do with Kubernetes. A start is over when a watch has shown the first status of the last object that tells of
its run. Writes are counted by the API server, Leases aside; calls by the simulator. A newcomer's times are to the first
call at the service after it was made, and to Ready, which takes a whole look. For the failed look, three answers in a
row were 500. What was corrupted at once is timed from the first status that tells of a recovery to each hand-over, and
counts only if each run was loaded exactly once.

{figures}
"""
_FIGURES = {
    "start_seconds": ("start to the first status of all, s", 1),
    "start_cpu_seconds": ("CPU of that, s", 1),
    "ready_seconds": ("start to all Ready, with their hand-overs, s", 1),
    "rest_cpu_seconds_per_minute": ("CPU at rest, s per minute", 2),
    "rest_calls_per_poll": ("calls in one poll, at most", 0),
    "rest_calls_per_interval": ("calls in each interval", 0),
    "rest_writes": ("writes at rest", 0),
    "rest_events": ("Events at rest", 0),
    "rest_bytes": ("resident memory, MiB", 0),
    "round_seconds": ("one round over all, s", 1),
    "newcomer_call_seconds": ("a newcomer's first call, s", 2),
    "newcomer_seconds": ("a newcomer Ready, s", 2),
    "blip_writes": ("writes after one failed look", 0),
    "blip_events": ("Events after it", 0),
    "blip_cpu_seconds": ("CPU of it, s", 2),
    "detected_seconds": ("corrupted at once, to the first status that tells, s", 1),
    "recovered_seconds": ("from there to each hand-over, s", 1),
    "recovered_cpu_seconds": ("CPU of it, s", 1),
}
"""Quantity → how it is shown, with so many digits."""


def figures(outcome: Outcome) -> tuple[list[str], list[list[str]]]:
    """Returns the head and the rows; of many values the median, the 99th part and the most are shown."""
    rows = []
    for quantity, (title, digits) in _FIGURES.items():
        unit = MIB if quantity.endswith("bytes") else 1
        cells = [[value / unit for value in one.values.get(quantity, ())] for one in outcome.series]
        rows.append([title, *(_shown(values, digits) for values in cells)])
    return [outcome.series[0].job, *(one.contender for one in outcome.series)], rows


def _shown(values: Sequence[float], digits: int) -> str:
    shown = [quantile(values, part) for part in (0.5, 0.99, 1.0)[: 3 if len(values) > 1 else 1]] if values else []
    return " / ".join(f"{value:,.{digits}f}" for value in shown) or "-"
