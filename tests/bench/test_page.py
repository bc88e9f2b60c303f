"""The page of the bench: made of outcomes alone, of one machine alone, and honest about what was not reached."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tests.bench import __main__ as whole
from tests.bench import page, page_of, scale
from tests.bench.charts import Bar, Chart, Group
from tests.bench.contest import OURS
from tests.bench.machine import machine
from tests.bench.outcome import Claim, Outcome, Series, Untrue, one_machine
from tests.bench.runs import FULL, check_usable, place_of
from tests.bench.scale_goals import goals, growth
from tests.bench.scale_page import charts, section

pytestmark = pytest.mark.pure
MIB = 1024**2
COSTS = {"wall_seconds", "cpu_seconds", "grown_bytes", "ready_cpu_seconds", "ready_bytes"}
FAST = {"CPU": "a fast one"}
REACHED: Mapping[str, Sequence[float]] = {
    "start_seconds": [13.0],
    "ready_seconds": [20.0],
    "start_cpu_seconds": [6.0],
    "newcomer_call_seconds": [0.1] * 98 + [0.99, 7.0],
    "rest_calls_per_poll": [11],
    "rest_writes": [0],
    "rest_events": [0],
    "rest_cpu_seconds_per_minute": [0.99],
    "rest_bytes": [249.0 * MIB],
    "detected_seconds": [60.0],
    "recovered_seconds": [1.0, 9.9],
    "recovered_right": [5],
    "recovered_made": [5],
}


def crowd(runs: int = 1000, ours: Mapping[str, Sequence[float]] = REACHED, **arguments: Any) -> Outcome:
    """What the program of scale could have found: all that is asked for, to a hair."""
    named = {"runs": runs, "corrupted": 5, "newcomers": 100, "poll_seconds": 60, "rest_seconds": 600}
    found: dict[str, Mapping[str, Sequence[float]]] = {
        scale.LIMIT: {"start_seconds": [10.0]},
        scale.TIMERS: {"start_seconds": [104.0], "rest_cpu_seconds_per_minute": [30.0]},
        scale.MONITOR: {"start_seconds": [99.0], "handed_over_seconds": [70.0], "recovered_right": [4]},
        OURS: ours,
    }
    series = [Series(f"{runs:,} TrainingRuns", name, values) for name, values in found.items()]
    return Outcome("scale", {"seed": 7, **named, **arguments, "without": []}, series, machine=FAST)


def outcomes(seconds: float = 2.0, here: Mapping[str, str] = FAST) -> list[Outcome]:
    """What the programs could have found; the baseline always takes a second and 2 MiB."""

    def costs(job: str, name: str, amount: float) -> Series:
        values = {name: 2 * amount * MIB if name.endswith("bytes") else amount for name in COSTS}
        return Series(job, name, {quantity: [value] for quantity, value in values.items()})

    pairs = [costs("job", OURS, seconds), costs("job", "baseline", 1.0)]
    delays = [Series("1 run", name, {"delay_seconds": [1.0, 9.0]}) for name in (OURS, "loop")]
    return [
        Outcome("client", {"seed": 7}, pairs, [Claim("Little memory.", holds=True)], here),
        Outcome("inspection", {"seed": 7}, pairs, machine=here),
        Outcome("recovery", {"seed": 7, "poll_seconds": 1.0}, delays, machine=here),
        Outcome("retention", {"seed": 7}, pairs, machine=here),
        Outcome("policies", {"seed": 7}, [Series("many", OURS, {"start_seconds": [42.5]})], machine=here),
        *(replace(crowd(runs), machine=here) for runs in (100, 1000, 10_000)),
        *(replace(crowd(latency_ms=late, error_every=50), machine=here) for late in (50, 300)),
    ]


def save(folder: Path, found: Sequence[Outcome]) -> None:
    for name, outcome in zip(FULL, found, strict=True):
        outcome.write(place_of(folder, name, short=False))


def test_the_page_is_made_of_the_outcomes_alone(tmp_path: Path) -> None:
    """Ratios, quantiles, claims, the machine and the date; and a picture for each part, which the page shows."""
    page.write(tmp_path, outcomes(), "2026-01-31")

    text = (tmp_path / "bench.md").read_text()
    assert "| Date | 2026-01-31 |" in text
    assert "| CPU | a fast one |" in text
    assert "- Little memory. Holds." in text
    assert "| *ours / baseline* | **2.0** | **2.0** | **2.0** |" in text
    assert f"| 1 run | {OURS} | 2 | 1.00 | 9.00 | 9.00 | 0.00 | 8.00 |" in text
    assert "| start until every policy has told, s | 42.5 |" in text
    assert str(tmp_path) not in text
    pictures = sorted(path.name for path in tmp_path.glob("*.svg"))
    assert pictures == [
        f"bench-{name}.svg" for name in ("client", "inspection", "recovery", "scale-rest", "scale-start")
    ]
    assert all(f"]({name})" in text for name in pictures)


def test_the_same_outcomes_give_the_same_page(tmp_path: Path) -> None:
    """Whether they come from the programs or from what these saved."""
    saved, at_once, later = (tmp_path / name for name in ("saved", "at-once", "later"))
    for folder in (saved, at_once, later):
        folder.mkdir()
    save(saved, outcomes())
    page.write(at_once, outcomes(), "2026-01-31")

    answer = CliRunner().invoke(page_of.main, ["--outcomes", str(saved), "--date", "2026-01-31", "--docs", str(later)])

    assert answer.exit_code == 0, answer.output
    pages = [{path.name: path.read_text() for path in folder.iterdir()} for folder in (at_once, later)]
    assert pages[0] == pages[1]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda found: found[1:], "there is no outcome of client"),
        (lambda found: found[:5], "there is no outcome of scale"),
        (lambda found: [*found[:5], *found[8:]], "there is no outcome of scale at a service that is well"),
        (lambda found: [*found[:9], replace(found[9], machine={"CPU": "a slow one"})], "differ in: CPU"),
        (lambda found: [*found[:9], replace(found[9], machine={**FAST, "Cores": "2"})], "differ in: Cores"),
    ],
    ids=["a program is missing", "scale is missing", "scale is there in trouble alone", "another CPU", "another fact"],
)
def test_no_page_is_made_of_a_part_or_of_two_machines(tmp_path: Path, change: Any, expected: str) -> None:
    """And nothing is written."""
    with pytest.raises(Untrue, match=expected):
        page.write(tmp_path, change(outcomes()), "2026-01-31")

    assert list(tmp_path.iterdir()) == []


def test_an_outcome_that_names_no_machine_is_none(tmp_path: Path) -> None:
    """It may be of any."""
    place = tmp_path / "scale-100.json"
    crowd().write(place)
    assert one_machine([Outcome.read(place)]) == FAST
    place.write_text(json.dumps({**json.loads(place.read_text()), "machine": {}}))

    with pytest.raises(Untrue, match="on what machine"):
        Outcome.read(place)


def test_what_is_there_is_not_measured_again(tmp_path: Path) -> None:
    """A run that was interrupted goes on; what was measured elsewhere or otherwise is refused before anything runs."""
    place = place_of(tmp_path, "scale-1000", short=False)
    order = ["scale", "--runs", "1000", "--newcomers", "100"]
    replace(crowd(), machine=machine()).write(place)
    orders = {"scale-1000": order}

    assert whole.outcomes_of(orders, 7, tmp_path, short=False, resume=True) == [Outcome.read(place)]
    for changed, seed in ((order, 8), ([*order, "--corrupted", "6"], 7), (["client", *order[1:]], 7)):
        with pytest.raises(Untrue, match="is not of"):
            check_usable(place, changed, seed)
    crowd().write(place)
    with pytest.raises(Untrue, match="another machine"):
        whole.outcomes_of(orders, 7, tmp_path, short=False, resume=True)


def test_goals_are_judged_at_their_bounds() -> None:
    """All of them are reached, each by a hair."""
    assert {goal.verdict for goal in goals(crowd())} == {"reached"}


@pytest.mark.parametrize(
    ("quantity", "values", "which"),
    [
        ("start_seconds", [13.01], 0),
        ("start_seconds", [13.01], 1),
        ("newcomer_call_seconds", [0.1, 1.0], 2),
        ("rest_calls_per_poll", [12], 3),
        ("rest_writes", [1], 4),
        ("rest_events", [1], 5),
        ("rest_cpu_seconds_per_minute", [1.0], 6),
        ("rest_bytes", [250.0 * MIB], 7),
        ("detected_seconds", [60.1], 8),
        ("recovered_seconds", [0.1] * 99 + [10.0], 9),
        ("recovered_right", [4], 10),
        ("recovered_made", [6], 11),
    ],
)
def test_what_is_beyond_a_bound_is_not_reached(quantity: str, values: list[float], which: int) -> None:
    """However little; the page says so in words."""
    found = crowd(ours={**REACHED, quantity: values})

    assert goals(found)[which].verdict == "**not reached**"
    assert "**not reached** |" in section([found])


def test_what_was_not_measured_is_not_reached_either() -> None:
    """Such as the relation to a baseline that was left out."""
    left = crowd()
    found = replace(left, series=[one for one in left.series if one.contender != scale.TIMERS])

    assert goals(found)[1].row()[2:] == ["-", "not measured"]


def test_growth_is_that_of_the_two_greatest_sizes() -> None:
    """Ten times as many may take ten times as long, and less than ten times the memory."""
    ten = {name: [value * 10 for value in values] for name, values in REACHED.items()}
    _, rows = growth(crowd(1000), crowd(10_000, ten))

    verdicts = {row[0]: row[3:] for row in rows}
    assert verdicts["start to the first status of all, s"] == ["10.00", "at most 10", "reached"]
    assert verdicts["resident memory, MiB"] == ["10.00", "less than 10", "**not reached**"]
    assert "### From 1,000 to 10,000" in section([crowd(10_000), crowd(100), crowd(1000)])


def test_a_service_in_trouble_shows_both_side_by_side() -> None:
    """And is neither a size nor a goal."""
    text = section([crowd(), crowd(latency_ms=50, error_every=50, runs=20_000)])

    assert "found, at 1,000\n" in text
    assert "| of them recovered rightly | - | - | 4 | 5 |" in text
    assert "--latency-ms 50 --error-every 50" in text


def test_a_start_that_was_given_up_is_drawn_as_the_least_that_it_can_have_taken() -> None:
    """Its bar ends where the patience did, and says so; one that was seen to its end stands as it is."""
    seen = crowd()
    given_up = Series("", scale.TIMERS, {"start_seconds": [960.0], "untold": [9049]})
    cut = replace(seen, series=[one for one in seen.series if one.contender != scale.TIMERS] + [given_up])
    texts = [{bar.label: bar.text for bar in dict(charts([one]))["start"].groups[0].bars} for one in (seen, cut)]

    assert texts[0] == {OURS: "13 s", scale.LIMIT: "10 s", scale.TIMERS: "104 s"}
    assert texts[1] == texts[0] | {scale.TIMERS: "over 960 s"}


def test_equal_lengths_are_equal_factors_on_an_axis_of_decades() -> None:
    """From the power of ten below the least value; what is 0 has no length to speak of."""
    bars = [Bar(str(value), value, "") for value in (0.0, 1.0, 10.0, 100.0)]
    shown = Chart("", "", [Group("", bars)], decades=True)
    widths = [
        float(line.split('width="')[1].split('"')[0]) for line in shown.svg().splitlines() if 'height="17"' in line
    ]

    assert widths[0] == 1.0
    assert widths[2] - widths[1] == pytest.approx(widths[3] - widths[2], abs=0.2)
    assert [tick for tick in ("0.1", "1", "10", "100") if f">{tick}</text>" not in shown.svg()] == []
