"""How a plan is said to people: reasons in the words of the spec, sizes, ages, and paths that fit."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from tinker_operator.api.policy_status import DueRule, KeepReason
from tinker_operator.plugin.report import Fate

KEPT: Mapping[KeepReason, str] = {
    KeepReason.KEEP_LAST: "keepLast",
    KeepReason.KEEP_BEST: "keepBest",
    KeepReason.KEEP_EVERY_STEPS: "keepEverySteps",
    KeepReason.KEEP_WITHIN: "keepWithin",
    KeepReason.KEEP_HOURLY: "keepHourly",
    KeepReason.KEEP_DAILY: "keepDaily",
    KeepReason.KEEP_WEEKLY: "keepWeekly",
    KeepReason.KEEP_NAMES: "keepNames",
    KeepReason.MINIMUM_GOOD: "floor",
    KeepReason.NOT_VALIDATED: "not validated yet",
    KeepReason.NO_METRIC: "no metric",
    KeepReason.NO_STEP: "no step",
    KeepReason.NEWEST: "newest",
    KeepReason.CORRUPTED_RUN: "run is corrupted",
    KeepReason.RECOVERY_IN_FLIGHT: "recovery under way",
    KeepReason.RECOVERY_SOURCE: "restored from it",
    KeepReason.HANDED_OVER: "handed over",
    KeepReason.VALIDATING: "being validated",
    KeepReason.EXPORTING: "being exported",
    KeepReason.SPECIFIC: "named by a recovery",
    KeepReason.BEGUN_FROM: "a run begins from it",
    KeepReason.PUBLISHED: "published",
    KeepReason.PINNED: "pinned",
    KeepReason.FUTURE_TIME: "age unproven",
    KeepReason.OTHER_POLICY: "another policy",
}
DUE: Mapping[DueRule, str] = {
    DueRule.NOT_KEPT: "nothing keeps it",
    DueRule.MAX_TOTAL_BYTES: "over the budget",
}
FATES: Mapping[Fate, str] = {
    Fate.GOES: "goes",
    Fate.WAITS: "waits",
    Fate.WOULD_GO: "would go",
    Fate.LEFT: "left to another",
    Fate.WITHHELD: "held up",
    Fate.STAYS: "stays",
}
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_STEP = 1024
_SPANS = (("d", 86_400), ("h", 3_600), ("min", 60))
_TWO = 2


def size_in_words(size: int | None) -> str:
    """Returns a size in binary units with three digits or so; a hyphen when it is not known."""
    if size is None:
        return "-"
    amount, unit = float(size), 0
    while amount >= _STEP - 0.5 and unit < len(_UNITS) - 1:
        amount, unit = amount / _STEP, unit + 1
    return f"{amount:.0f} {_UNITS[unit]}" if unit == 0 or amount >= 99.5 else f"{amount:.1f} {_UNITS[unit]}"  # noqa: PLR2004 - from there on a fraction says nothing


def span_in_words(span: timedelta) -> str:
    """Returns a span of time in its largest unit, rounded down, and in days and hours below three days."""
    seconds = int(span.total_seconds())
    if abs(seconds) < _SPANS[-1][1]:
        return f"{seconds} s"
    name, width = next((name, width) for name, width in _SPANS if abs(seconds) >= width)
    whole, rest = divmod(abs(seconds), width)
    hours = rest // 3_600
    sign = "-" if seconds < 0 else ""
    return f"{sign}{whole} {name}" + (f" {hours} h" if name == "d" and whole <= _TWO and hours else "")


def age_in_words(time: datetime | None, now: datetime) -> str:
    """Returns how long ago a time is; what lies ahead is told as such."""
    if time is None:
        return "unknown"
    return f"in {span_in_words(time - now)}" if time > now else span_in_words(now - time)


def printable(text: str) -> str:
    """Returns the text without anything that a terminal would obey."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def shortened(text: str, width: int) -> str:
    """Returns the text with its middle left out where it is wider than `width`: both ends tell things apart."""
    if len(text) <= width:
        return text
    tail = width // 2
    head = width - tail - 1
    return f"{text[:head]}…{text[-tail:] if tail else ''}"
