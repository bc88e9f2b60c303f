"""What the page of the bench says of many TrainingRuns; `page` puts it there."""

from collections.abc import Iterator, Sequence
from statistics import median

from tests.bench.charts import Bar, Chart, Group
from tests.bench.contest import OURS
from tests.bench.outcome import Outcome
from tests.bench.page_text import figures, given, shown, table
from tests.bench.scale import LIMIT, MONITOR, TIMERS
from tests.bench.scale_goals import GOALS, goals, growth, values_of

_TEXT = """## Many TrainingRuns at once

Each contender has a real API server and a simulator of its own, with TrainingRuns that were there before it. Ours has
the rights of `deploy/`. The limit is a loop that writes to each object a status with the fields of the operator's
first one, and does nothing else; a timer for each object, with a call of its own, is how most kopf operators are
written; the loop with the official SDK has nothing to do with Kubernetes. A start is over when a watch has shown the
first status of the last object that tells of its run. Writes are counted by the API server, Leases aside; calls by the
simulator. A newcomer's times are to the first call at the service after it was made, and to Ready, which takes a whole
look. For the failed look, three answers in a row were 500. What was corrupted at once is timed from the first status
that tells of a recovery to each hand-over; it is right if the hand-over is from the newest checkpoint, to a run that
lives and is nobody else's, and recovered exactly once if the service has no more new runs than that. Of several
values the median, the 99th part and the most are shown.

![Seconds from start to the first status of all, by number of TrainingRuns](bench-scale-start.svg)

![CPU seconds per minute at rest, by number of TrainingRuns](bench-scale-rest.svg)

{parts}
"""
_GROWTH = """### From {small:,} to {large:,}

Time and CPU may grow as the number does, memory has to grow less.

{figures}"""
_TROUBLE = """### A service that is far away and answers badly

The answers to all calls are late, and one call in so many is answered with a 500. The loop with the official SDK is the
one of the recovery above: its start is its first round over all, it restores one run after the other, and what it did
not hand over in time has no times here.

{commands}

{figures}"""
_FIGURES = {
    "start_seconds": ("start to the first status of all, s", 1),
    "untold": ("objects without a status when that was given up", 0),
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
    "recovered_right": ("of them recovered rightly", 0),
    "recovered_made": ("new runs made for them", 0),
}
"""Quantity → how it is shown, with so many digits."""
_TROUBLED = {
    "start_seconds": ("start to the first status of all, or the first round, s", 1),
    "detected_seconds": _FIGURES["detected_seconds"],
    "handed_over_seconds": ("corrupted at once, to each hand-over, s", 1),
    "recovered_right": _FIGURES["recovered_right"],
    "recovered_made": _FIGURES["recovered_made"],
}


def section(outcomes: Sequence[Outcome]) -> str:
    """Returns what is said of all sizes, and of the services in trouble."""
    sizes, troubled = sizes_of(outcomes), [outcome for outcome in outcomes if _is_troubled(outcome)]
    parts = [f"### What is asked, and found, at {_runs(sizes[-1]):,}\n\n{_goals(sizes[-1])}"]
    if sizes[1:]:
        shown = table(*growth(*sizes[-2:]))
        parts.append(_GROWTH.format(small=_runs(sizes[-2]), large=_runs(sizes[-1]), figures=shown))
    parts += [f"### {_title(one)}\n\n{_command(one)}\n\n{table(*figures(one, _FIGURES))}" for one in sizes]
    if troubled:
        commands = "\n".join(f"- {_title(one)}: {_command(one)}" for one in troubled)
        parts.append(_TROUBLE.format(commands=commands, figures=table(*_trouble(troubled))))
    return _TEXT.format(parts="\n\n".join(parts))


def sizes_of(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Returns the outcomes at a service that is well, from the fewest runs to the most."""
    return sorted((outcome for outcome in outcomes if not _is_troubled(outcome)), key=_runs)


def charts(outcomes: Sequence[Outcome]) -> Iterator[tuple[str, Chart]]:
    """Returns the pictures, by what the names of their files end with."""
    sizes = sizes_of(outcomes)
    starts = [Group(_title(one), list(_bars(one, "start_seconds", (OURS, LIMIT, TIMERS)))) for one in sizes]
    rests = [Group(_title(one), list(_bars(one, _REST, (OURS, TIMERS, MONITOR)))) for one in sizes]
    by_ten = "each line is ten times the one before; shorter is better"
    yield "start", Chart("From start to the first status of all", f"seconds, {by_ten}", starts, decades=True)
    yield "rest", Chart("CPU at rest", f"seconds per minute, {by_ten}; the dark line is 1 s", rests, 1.0, decades=True)


_REST = "rest_cpu_seconds_per_minute"


def _bars(outcome: Outcome, quantity: str, contenders: Sequence[str]) -> Iterator[Bar]:
    for name in contenders:
        values = values_of(outcome, name)
        if quantity in values:
            value = median(values[quantity])
            given_up = "over " if quantity == "start_seconds" and any(values.get("untold", ())) else ""
            yield Bar(name, value, given_up + (f"{value:,.3g} s" if value < 100 else f"{value:,.0f} s"))


def _goals(outcome: Outcome) -> str:
    return table(GOALS, [goal.row() for goal in goals(outcome)])


def _trouble(outcomes: Sequence[Outcome]) -> tuple[list[str], list[list[str]]]:
    there = [(_title(outcome), one) for outcome in outcomes for one in outcome.series]
    rows = [
        [title, *(shown(one, quantity, digits) for _, one in there)] for quantity, (title, digits) in _TROUBLED.items()
    ]
    return ["", *(f"{one.contender}, {title}" for title, one in there)], rows


def _is_troubled(outcome: Outcome) -> bool:
    return bool(outcome.arguments.get("latency_ms") or outcome.arguments.get("error_every"))


def _runs(outcome: Outcome) -> int:
    return int(outcome.arguments["runs"])


def _title(outcome: Outcome) -> str:
    return outcome.series[0].job


def _command(outcome: Outcome) -> str:
    return f"`python -m tests.bench.scale {given(outcome)}`"
