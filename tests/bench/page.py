"""The page of the bench, docs/bench.md, and its pictures: made from what the programs found, and from nothing else."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

from tests.bench import policies_page, scale_page
from tests.bench.charts import Bar, Chart, Group
from tests.bench.contest import OURS
from tests.bench.outcome import Claim, Outcome, Series, Untrue, one_machine, quantile, ratio
from tests.bench.page_text import MIB, figures, given, spread, table

SCALE = "scale"
NEEDED = ("client", "inspection", "recovery", "retention", "policies", SCALE)
"""Programs that the page tells of."""
LEAST_GROWTH = MIB
"""Growth below this is the noise of the allocator: nothing is divided by it."""
_INTRODUCTION = """# The bench

Written by `make bench DATE={date}`; edit the programs in `tests/bench/`, not this page. Every number stands beside
that of a named baseline, measured in the same run on the same machine. Ratios outlive the machine, seconds do not.
The whole takes hours: `ARGS='--outcomes DIR'` saves what each program found, with `--resume` an interrupted run goes
on from there, and `python -m tests.bench.page_of --outcomes DIR --date {date}` writes this page once more.

{machine}

{claims}
"""
_CLIENT = """## The client beside the official SDK

`python -m tests.bench.client {arguments}`

Each turn is a new process; turns alternate in an order that the seed decides. Shown are the median and, in brackets,
the least and the most of all turns. The simulator is a process on the same machine: wall time is partly its own. CPU is
user and system time of the contender's process during the job, memory the growth of its peak above what was resident
before. The SDK is used as its own command line uses it, which fetches pages of 100 as ours does. Its download is not
brought to the disk and not proven; ours is both, and the third contender does as much for the SDK.

![CPU and wall time of our client as multiples of the official SDK's](bench-client.svg)

{costs}

Before the job, with interpreter, imports and a first call:

{starts}
"""
_INSPECTION = """## The search for NaN and infinite values

`python -m tests.bench.inspection {arguments}`

Ours judges the header, offsets, ranks and every value in blocks of 1 MiB, without numpy. The baseline opens the file
with the safetensors library and counts tensor by tensor (8 MiB each) with numpy; the library maps the file, and what of
it is resident counts as memory, though the kernel can take it back. Both found the same values. BF16 has no numpy type
and therefore no baseline.

![Wall, CPU and memory of our inspection as multiples of numpy's](bench-inspection.svg)

{costs}
"""
_RECOVERY = """## From corruption to hand-over

`python -m tests.bench.recovery {arguments}`

A real API server, the simulator, and the operator as a process with the rights of `deploy/`. A time begins just before
a run is flagged, at a random moment of the poll interval ({poll:g} s), and ends when a watch shows the hand-over
ConfigMap. Many runs are flagged one request after the other, each with its own beginning.

The baseline looks at each run in turn, with the official SDK, once in the same interval; it believes the first look,
keeps no journal and restores one run after the other. The operator looks a second time before it believes, writes every
step to status before it acts, and restores runs side by side. Every hand-over was checked: it is from the newest
checkpoint, and leads to a run of its own that lives.

![Seconds from corruption to hand-over](bench-recovery.svg)

{delays}
"""
_RETENTION = """## The plans of many checkpoints

`python -m tests.bench.retention {arguments}`

One process, no network: listings and objects are there as values before the time begins. Every policy is planned for
once, as the operator does it when it has listed: all rules and protections, what every TrainingRun refers to, what
other policies say, and a reason for each checkpoint. The baseline is the script that people run today: for each run
sort by time, keep five, delete the rest; it knows none of that. Both found the same checkpoints. One policy over a
whole namespace is the worst case; shared among policies, one is planned for at a time.

{costs}
"""


def write(folder: Path, outcomes: Sequence[Outcome], date: str) -> None:
    """Writes the page and its pictures.

    Args:
        folder: Where.
        outcomes: Of every program; of scale, one for each size and for each service in trouble.
        date: When, as it is shown.

    Raises:
        Untrue: One is missing, or they are not of one machine.
    """
    found = {outcome.program: outcome for outcome in outcomes}
    if missing := [name for name in NEEDED if name not in found]:
        raise Untrue(f"there is no outcome of {', '.join(missing)}")
    crowds = [outcome for outcome in outcomes if outcome.program == SCALE]
    if not scale_page.sizes_of(crowds):
        raise Untrue(f"there is no outcome of {SCALE} at a service that is well")
    parts = [_introduction(outcomes, date), *_parts(found), scale_page.section(crowds)]
    (folder / "bench.md").write_text("\n".join(parts), encoding="utf-8")
    for name, chart in _charts(found["client"], found["inspection"], found["recovery"]):
        (folder / f"bench-{name}.svg").write_text(chart.svg(), encoding="utf-8")
    for name, chart in scale_page.charts(crowds):
        (folder / f"bench-scale-{name}.svg").write_text(chart.svg(), encoding="utf-8")


def _introduction(outcomes: Sequence[Outcome], date: str) -> str:
    facts = table(["Machine", ""], [["Date", date], *([name, value] for name, value in one_machine(outcomes).items())])
    claims = "\n".join(_claim(claim) for outcome in outcomes for claim in outcome.claims)
    return _INTRODUCTION.format(date=date, machine=facts, claims=claims)


def _parts(found: Mapping[str, Outcome]) -> Iterator[str]:
    client, recovery = found["client"], found["recovery"]
    yield _CLIENT.format(arguments=given(client), costs=_costs(client), starts=_starts(client))
    yield _INSPECTION.format(arguments=given(found["inspection"]), costs=_costs(found["inspection"]))
    poll, told = recovery.arguments["poll_seconds"], {**recovery.arguments}
    del told["poll_seconds"]  # no option, but what every TrainingRun there asks for
    yield _RECOVERY.format(arguments=given(replace(recovery, arguments=told)), poll=poll, delays=_delays(recovery))
    yield _RETENTION.format(arguments=given(found["retention"]), costs=_costs(found["retention"]))
    policies = found["policies"]
    yield policies_page.TEXT.format(arguments=given(policies), figures=table(*figures(policies, policies_page.FIGURES)))


def _claim(claim: Claim) -> str:
    return f"- {claim.text} {'Holds.' if claim.holds else '**Does not hold.**'}"


def _costs(outcome: Outcome) -> str:
    counted = any("requests" in one.values for one in outcome.series)
    rows = [row[: 5 + counted] for job in outcome.jobs() for row in _job_rows(outcome.of(job))]
    head = ["Job", "By", "Wall, s", "CPU, s", "Memory growth, MiB", "Requests"]
    return table(head[: 5 + counted], rows)


def _job_rows(series: Sequence[Series]) -> Iterator[list[str]]:
    for one in series:
        grown = [value / MIB for value in one.values["grown_bytes"]]
        shown = [spread(one.values["wall_seconds"], 2), spread(one.values["cpu_seconds"], 2), spread(grown, 1)]
        yield [one.job, one.contender, *shown, f"{median(one.values.get('requests', [0])):.0f}"]
    ours, *baselines = series
    for baseline in baselines:
        ratios = [_ratio(ours, baseline, name) for name in ("wall_seconds", "cpu_seconds", "grown_bytes")]
        yield ["", f"*ours / {baseline.contender}*", *(_times(value) for value in ratios), ""]


def _ratio(ours: Series, baseline: Series, quantity: str) -> float | None:
    least = LEAST_GROWTH if quantity == "grown_bytes" else 0.0
    return ratio(ours.values[quantity], baseline.values[quantity], least=least)


def _times(value: float | None) -> str:
    return "-" if value is None else f"**{value:.2g}**" if value < 1 else f"**{value:.1f}**"


def _starts(outcome: Outcome) -> str:
    rows = []
    for name in (OURS, outcome.of(outcome.jobs()[0])[1].contender):
        mine = [one for one in outcome.series if one.contender == name]
        cpu = [value for one in mine for value in one.values["ready_cpu_seconds"]]
        resident = [value / MIB for one in mine for value in one.values["ready_bytes"]]
        rows.append([name, spread(cpu, 2), spread(resident, 1)])
    return table(["By", "CPU, s", "Resident, MiB"], rows)


def _delays(outcome: Outcome) -> str:
    poll, rows = float(outcome.arguments["poll_seconds"]), []
    for job in outcome.jobs():
        for one in outcome.of(job):
            delays = one.values["delay_seconds"]
            middle, late = quantile(delays, 0.5), quantile(delays, 0.99)
            shown = [middle, late, max(delays), middle - poll, late - poll]
            rows.append([job, one.contender, str(len(delays)), *(f"{value:.2f}" for value in shown)])
    head = ["Job", "By", "Hand-overs", "p50, s", "p99, s", "Most, s", "p50 beyond the interval", "p99 beyond it"]
    return table(head, rows)


def _charts(client: Outcome, inspection: Outcome, recovery: Outcome) -> Iterator[tuple[str, Chart]]:
    two = {"wall time": "wall_seconds", "CPU time": "cpu_seconds"}
    three = {**two, "memory growth": "grown_bytes"}
    axis = "multiple of the baseline; the line is the baseline, shorter is better"
    yield "client", Chart("Our client / the official SDK", axis, _relative(client, two), 1.0)
    yield "inspection", Chart("Our inspection / numpy", axis, _relative(inspection, three), 1.0)
    groups = [Group(job, list(_delay_bars(recovery.of(job)))) for job in recovery.jobs()]
    yield "recovery", Chart("From corruption to hand-over", "seconds, p50 and p99; shorter is better", groups)


def _relative(outcome: Outcome, quantities: Mapping[str, str]) -> list[Group]:
    groups = []
    for job in outcome.jobs():
        ours, *baselines = outcome.of(job)
        for baseline in baselines:
            bars = [(label, name, _ratio(ours, baseline, name)) for label, name in quantities.items()]
            title = job if len(baselines) == 1 else f"{job} / {baseline.contender.removeprefix('official ')}"
            shown = [
                Bar(label, value, _bar_text(ours, value, name)) for label, name, value in bars if value is not None
            ]
            groups.append(Group(title, shown))
    return groups


def _bar_text(ours: Series, value: float, quantity: str) -> str:
    middle = median(ours.values[quantity])
    amount = f"{middle / MIB:.1f} MiB" if quantity == "grown_bytes" else f"{middle:.2f} s"
    return f"{value:.2g} ({amount})"


def _delay_bars(series: Sequence[Series]) -> Iterator[Bar]:
    for one in series:
        for part in (0.5, 0.99):
            value = quantile(one.values["delay_seconds"], part)
            yield Bar(one.contender, value, f"{value:.2f} s, p{part * 100:.0f}")
