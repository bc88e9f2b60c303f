"""The programs of the bench with the sizes that they are run at, and where what they found is saved."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.bench.machine import machine
from tests.bench.outcome import Outcome, Untrue
from tests.bench.page_text import given

Orders = Mapping[str, Sequence[str]]
_FEWER = ("--rest-seconds", "120", "--newcomers", "30")
_TROUBLE = (*("--error-every", "50", "--without", "limit", "--without", "timers"), *_FEWER)
_SHORTLY = ("--newcomers", "1", "--poll-seconds", "2", "--rest-seconds", "6", "--baseline-rest-seconds", "4")
FULL: Orders = {
    "client": ["client"],
    "inspection": ["inspection"],
    "recovery": ["recovery"],
    "retention": ["retention"],
    "policies": [
        *("policies", "--runs", "2000", "--checkpoints", "100", "--policies", "20"),
        *("--rest-seconds", "300"),
    ],
    "scale-100": ["scale", "--runs", "100", *_FEWER],
    "scale-1000": ["scale", "--runs", "1000", *_FEWER],
    "scale-10000": ["scale", "--runs", "10000", "--rest-seconds", "600", "--newcomers", "50", "--starts", "3"],
    "scale-50ms": ["scale", "--runs", "1000", "--latency-ms", "50", *_TROUBLE],
    "scale-300ms": ["scale", "--runs", "1000", "--latency-ms", "300", *_TROUBLE],
}
"""Name of a run → the program, and what it is told besides the seed."""
SHORT: Orders = {
    "client": [
        *("client", "--runs", "250", "--gets", "40", "--download-mib", "8"),
        *("--repetitions", "1", "--downloads", "1"),
    ],
    "inspection": ["inspection", "--mib", "16", "--repetitions", "1"],
    "recovery": ["recovery", "--many", "3", "--samples-of-one", "1", "--samples-of-many", "3"],
    "retention": ["retention", "--policies", "4", "--runs", "40", "--checkpoints", "10", "--repetitions", "1"],
    "policies": [
        *("policies", "--runs", "40", "--checkpoints", "5", "--policies", "2"),
        *("--poll-seconds", "2", "--rest-seconds", "6"),
    ],
    "scale-300": ["scale", "--runs", "300", "--corrupted", "5", *_SHORTLY],
    "scale-50ms": [
        *("scale", "--runs", "40", "--corrupted", "5", "--latency-ms", "50"),
        *("--error-every", "50", "--without", "limit", "--without", "timers", *_SHORTLY),
    ],
}
"""Enough to show that every program and every baseline does its work; their times mean nothing."""

PROGRAMS = tuple(dict.fromkeys([*(order[0] for order in FULL.values()), *FULL, *SHORT]))
"""What can be run alone: all runs of a program, or one run."""


def place_of(folder: Path, name: str, *, short: bool) -> Path:
    """Returns where the outcome of a run is saved: never a short one in the place of a full one."""
    return folder / f"{'short-' * short}{name}.json"


def saved(folder: Path) -> list[Outcome]:
    """Returns the outcomes of the full runs that a folder has, in the order of the page.

    Raises:
        Untrue: One of them does not say on what machine it was measured.
    """
    places = [place_of(folder, name, short=False) for name in FULL]
    return [Outcome.read(place) for place in places if place.exists()]


def check_usable(place: Path, order: Sequence[str], seed: int) -> None:
    """Lets a saved outcome pass that is what would be measured here and now.

    Raises:
        Untrue: It is of another machine, or of other sizes.
    """
    outcome = Outcome.read(place)
    if outcome.machine != machine():
        raise Untrue(f"{place.name} was measured on another machine")
    words = given(outcome).split()
    told = set(zip(words[::2], words[1::2], strict=True))
    asked = {("--seed", str(seed)), *zip(order[1::2], order[2::2], strict=True)}
    if outcome.program != order[0] or not asked <= told:
        raise Untrue(f"{place.name} is not of {' '.join(order)} --seed {seed}")
