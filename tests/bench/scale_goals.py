"""What is asked of the operator with many TrainingRuns, and whether it was reached: judged from what was measured."""

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from tests.bench.contest import OURS
from tests.bench.outcome import Outcome, quantile, ratio
from tests.bench.page_text import MIB
from tests.bench.scale import LIMIT, PAGE, TIMERS

SIGNS: Mapping[str, Callable[[float, float], bool]] = {
    "at most": operator.le,
    "less than": operator.lt,
    "at least": operator.ge,
    "": operator.eq,
}
START, MEMORY = "start_seconds", "rest_bytes"
Values = Mapping[str, Sequence[float]]
GOALS = ["Figure", "Asked", "Found", ""]
_GROWING = {
    START: "start to the first status of all, s",
    "ready_seconds": "start to all Ready, with their hand-overs, s",
    "start_cpu_seconds": "CPU of the start, s",
    "rest_cpu_seconds_per_minute": "CPU at rest, s per minute",
    MEMORY: "resident memory, MiB",
}
"""Quantity → how it is shown; memory is to grow less than the others may."""


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure, and what is asked of it.

    Attributes:
        text: What it is, with its unit.
        sense: How it is to stand to the bound, of `SIGNS`.
        bound: Which it is compared with.
        found: What was measured; None where it was not.
        digits: With so many it is shown.
    """

    text: str
    sense: str
    bound: float
    found: float | None
    digits: int = 0

    @property
    def verdict(self) -> str:
        """Whether it was reached, in words."""
        if self.found is None:
            return "not measured"
        return "reached" if SIGNS[self.sense](self.found, self.bound) else "**not reached**"

    def row(self) -> list[str]:
        """Returns it as a row of a table."""
        found = "-" if self.found is None else f"{self.found:,.{self.digits}f}"
        return [self.text, f"{self.sense} {self.bound:,g}".strip(), found, self.verdict]


def values_of(outcome: Outcome, contender: str) -> Values:
    """Returns what was measured of a contender; nothing of one that was left out."""
    return next((one.values for one in outcome.series if one.contender == contender), {})


def goals(outcome: Outcome) -> list[Goal]:
    """Returns each figure that is asked for at one size."""
    ours, arguments = values_of(outcome, OURS), outcome.arguments
    poll, lost, runs = arguments["poll_seconds"], arguments["corrupted"], arguments["runs"]
    to_limit, of_timers = (_relation(outcome, *pair) for pair in ((OURS, LIMIT), (TIMERS, OURS)))
    rest = f"in {arguments['rest_seconds']} s at rest"
    return [
        Goal("start to the first status of all: multiple of the bare loop's", "at most", 1.3, to_limit, 2),
        Goal("start with a kopf timer for each object: multiple of ours", "at least", 8, of_timers, 1),
        Goal("a newcomer's first call, p99, s", "less than", 1, _of(ours, "newcomer_call_seconds", 0.99), 2),
        Goal("calls in one poll", "at most", -(-runs // PAGE) + 1, _of(ours, "rest_calls_per_poll")),
        Goal(f"writes {rest}", "", 0, _of(ours, "rest_writes")),
        Goal(f"Events {rest}", "", 0, _of(ours, "rest_events")),
        Goal("CPU at rest, s per minute", "less than", 1, _of(ours, "rest_cpu_seconds_per_minute"), 2),
        Goal("resident memory, MiB", "less than", 250, _of(ours, MEMORY, unit=MIB)),
        Goal(
            f"{lost} corrupted at once: to the first status that tells, s",
            "at most",
            poll,
            _of(ours, "detected_seconds"),
            1,
        ),
        Goal("from there to the last hand-over, s", "less than", 10, _of(ours, "recovered_seconds"), 1),
        Goal("of them recovered rightly", "", lost, _of(ours, "recovered_right")),
        Goal("new runs made for them", "", lost, _of(ours, "recovered_made")),
    ]


def _of(ours: Values, quantity: str, part: float = 1.0, *, unit: float = 1.0) -> float | None:
    found = ours.get(quantity)
    return quantile(found, part) / unit if found else None


def _relation(outcome: Outcome, above: str, below: str) -> float | None:
    one, other = values_of(outcome, above).get(START), values_of(outcome, below).get(START)
    return ratio(one, other) if one and other else None


def growth(small: Outcome, large: Outcome) -> tuple[list[str], list[list[str]]]:
    """Returns head and rows of how what ours takes grows from one size to another."""
    sizes = [outcome.arguments["runs"] for outcome in (small, large)]
    head = ["Ours", *(f"{runs:,}" for runs in sizes), "Growth, times", "Asked", ""]
    return head, list(_growing(values_of(small, OURS), values_of(large, OURS), sizes[1] / sizes[0]))


def _growing(small: Values, large: Values, times: float) -> Iterator[list[str]]:
    for quantity, text in _GROWING.items():
        before, after = small.get(quantity), large.get(quantity)
        if not before or not after:
            continue
        unit, sense = (MIB, "less than") if quantity == MEMORY else (1, "at most")
        goal = Goal(text, sense, times, ratio(after, before), 2)
        shown = [f"{median(one) / unit:,.2f}" for one in (before, after)]
        _, asked, found, verdict = goal.row()
        yield [text, *shown, found, asked, verdict]
