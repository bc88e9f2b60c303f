"""How good a checkpoint is: its metric, from what the training loop wrote beside it, or from its name.

A value that is no finite number is no value: NaN compares with nothing, and a run that diverged must not be the best.
"""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import takewhile
from math import isfinite

from tinker_operator.api.recovery_spec import Metric, MetricMode
from tinker_operator.core.world import ObservedCheckpoint

_WHOLE, _FRACTION, _EXPONENT = r"[-+]?[0-9]+", r"(?:\.[0-9]+)", r"(?:[eE][-+]?[0-9]+)"
_NUMBERS = tuple(re.compile(form) for form in (f"{_WHOLE}{_FRACTION}?{_EXPONENT}", f"{_WHOLE}{_FRACTION}", _WHOLE))
"""A number from some place on, the longest reading first; its digits are never shared with what comes after it."""
_VALUE, _ANY_NUMBER = "\0value", "\0number"
_PARTS = re.compile(r"(\{[A-Za-z_][A-Za-z0-9_]*\}|\*)")


def metric_value(checkpoint: ObservedCheckpoint, metric: Metric) -> float | None:
    """Returns the checkpoint's value, None when it has none that is finite.

    What stands beside the checkpoint wins over its name; a value there that is no number is not replaced by the name's.
    """
    value = _reading(checkpoint, metric)
    return value if value is not None and isfinite(value) else None


def tells(checkpoint: ObservedCheckpoint, metric: Metric) -> bool:
    """Tells whether it has a value at all, NaN and infinity included."""
    return _reading(checkpoint, metric) is not None


def rank_of(value: float, metric: Metric) -> float:
    """Returns the value so that lower is better."""
    return value if metric.mode is MetricMode.MIN else -value


def _reading(checkpoint: ObservedCheckpoint, metric: Metric) -> float | None:
    beside = checkpoint.metadata.get(metric.name)
    if beside is not None:
        return _number(beside)
    if metric.name_pattern is None:
        return None
    value = _value_in(checkpoint.path.rpartition("/")[2], metric.name_pattern, metric.name)
    return _number(value) if value is not None else None


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _value_in(name: str, pattern: str, metric: str) -> str | None:
    """Returns the text of the value in a checkpoint's name; None when the name is not of this pattern.

    {metric} is the value, any other {word} a number, * anything, as little as will do. All readings of the name go
    forward together, the preferred one of each place: an expression that backtracks would hold up every other object.
    """
    readings: dict[int, str | None] = {0: None}
    if "{" + metric + "}" not in pattern:
        return None
    for part in _parts_of(pattern, metric):
        further: dict[int, str | None] = {}
        for start, value in readings.items():
            for end in _ends(part, name, start, further):
                further.setdefault(end, name[start:end] if part == _VALUE else value)
        readings = further
    return readings.get(len(name))


def _ends(part: str, name: str, start: int, reached: Mapping[int, object]) -> Iterable[int]:
    if part == "*":
        return takewhile(lambda end: end not in reached, range(start, len(name) + 1))
    if part not in {_VALUE, _ANY_NUMBER}:
        return (start + len(part),) if name.startswith(part, start) else ()
    return tuple(found.end() for number in _NUMBERS if (found := number.match(name, start)) is not None)


@lru_cache(maxsize=256)
def _parts_of(pattern: str, metric: str) -> tuple[str, ...]:
    parts: list[str] = []
    for part in filter(None, _PARTS.split(pattern)):
        is_number = part.startswith("{") and part.endswith("}")
        is_value = part == "{" + metric + "}" and _VALUE not in parts
        parts.append(_VALUE if is_value else _ANY_NUMBER if is_number else part)
    return tuple(parts)
