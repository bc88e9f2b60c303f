"""What a program of the bench found, as JSON between the programs and the page, and the statistics that are shown."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench.machine import machine


class Untrue(Exception):
    """What a contender found is wrong, or differs from what another one found: its times mean nothing."""


@dataclass(frozen=True, slots=True)
class Series:
    """What repetitions of one job by one contender gave.

    Attributes:
        job: What was done.
        contender: By what.
        values: Quantity → one number for each repetition, in the quantity's unit.
    """

    job: str
    contender: str
    values: Mapping[str, Sequence[float]]


@dataclass(frozen=True, slots=True)
class Claim:
    """A promise of the project that the bench has looked at.

    Attributes:
        text: It, with the number that was found.
        holds: Whether it is so.
    """

    text: str
    holds: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one program found.

    Attributes:
        program: Its name.
        arguments: What it was told, the seed among it.
        series: What it measured; of each job, the baselines and ours.
        claims: What it looked at besides.
        machine: What the numbers were taken on; this one, unless it comes from a file.
    """

    program: str
    arguments: Mapping[str, Any]
    series: Sequence[Series]
    claims: Sequence[Claim] = ()
    machine: Mapping[str, str] = field(default_factory=machine)

    def jobs(self) -> list[str]:
        """Returns the jobs, in the order in which they were done."""
        return list(dict.fromkeys(one.job for one in self.series))

    def of(self, job: str) -> list[Series]:
        """Returns the contenders of a job."""
        return [one for one in self.series if one.job == job]

    def write(self, path: Path) -> None:
        """Writes it as JSON, whole or not at all."""
        unfinished = path.with_name(f"{path.name}.unfinished")
        unfinished.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")
        unfinished.replace(path)

    @classmethod
    def read(cls, path: Path) -> "Outcome":
        """Returns what `write` wrote.

        Raises:
            Untrue: It does not say on what machine the numbers were taken.
        """
        found = json.loads(path.read_text(encoding="utf-8"))
        if not found.get("machine"):
            raise Untrue(f"{path.name} does not say on what machine it was measured")
        series, claims = [Series(**one) for one in found["series"]], [Claim(**one) for one in found["claims"]]
        return cls(found["program"], found["arguments"], series, claims, found["machine"])


def one_machine(outcomes: Sequence[Outcome]) -> Mapping[str, str]:
    """Returns the machine that all numbers were taken on.

    Raises:
        Untrue: There is more than one: numbers of two machines do not stand side by side.
    """
    first, *others = [outcome.machine for outcome in outcomes]
    apart = {name for other in others for name in {*first, *other} if first.get(name) != other.get(name)}
    if apart:
        raise Untrue(f"the outcomes are not of one machine, which differ in: {', '.join(sorted(apart))}")
    return first


def quantile(values: Sequence[float], part: float) -> float:
    """Returns the smallest value that this part of the values does not exceed (nearest rank, never interpolated)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)]


def ratio(ours: Sequence[float], baseline: Sequence[float], *, least: float = 0.0) -> float | None:
    """Returns ours to the baseline's, median to median; None where the baseline's is too small to divide by."""
    below = median(baseline)
    return median(ours) / below if below > least else None
