"""A plan for people: per TrainingRun what goes, what waits and what stays, and why; totals last."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from itertools import groupby

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tinker_operator.api.retention_spec import RetentionAction
from tinker_operator.core.world import CheckpointKind
from tinker_operator.plugin.report import Fate, PlannedCheckpoint, PlanReport, PolicyReport
from tinker_operator.plugin.words import (
    DUE,
    FATES,
    KEPT,
    age_in_words,
    printable,
    shortened,
    size_in_words,
    span_in_words,
)

SHOWN = 40
"""Checkpoints of a policy that are shown without --all; the totals tell of all."""
_NARROWEST = 18
_WHY_WIDTH = 16
"""Characters that are left to the reasons before names are shortened; longer ones are folded."""
_GAPS = 15
"""Characters before, between and after the columns."""
_NAMED = 3
"""Run ids that the line of a TrainingRun names."""
_STYLES = {
    Fate.GOES: "bold red",
    Fate.WAITS: "yellow",
    Fate.WOULD_GO: "red",
    Fate.LEFT: "yellow",
    Fate.WITHHELD: "magenta",
    Fate.STAYS: "green",
}
_SIGNS = {Fate.STAYS: "+", Fate.WAITS: "~", Fate.LEFT: "~", Fate.WITHHELD: "?"}
_GONE = "-"


def show(report: PlanReport, console: Console, *, everything: bool) -> None:
    """Prints the report.

    Args:
        report: What to say.
        console: Where.
        everything: Whether to show each checkpoint, those that stay too.
    """
    if not report.policies:
        console.print("No CheckpointPolicy here. kubectl get checkpointpolicies -A lists those that there are.")
    for number, policy in enumerate(report.policies):
        console.print(
            *([""] if number else []), _policy(policy, report, console.width, everything=everything), sep="\n"
        )


def _policy(policy: PolicyReport, report: PlanReport, width: int, *, everything: bool) -> RenderableType:
    entries = _told(policy, everything=everything)
    shown = entries if everything else entries[:SHOWN]
    parts: list[RenderableType] = [_title(policy, report)]
    parts.extend(_gap(gap.training_run, gap.message) for gap in policy.gaps)
    for name, its in groupby(sorted(shown, key=lambda it: it.training_run), key=lambda it: it.training_run):
        parts.append(_run(name, list(its), report.as_of, width))
    if len(shown) < len(entries):
        parts.append(Text(f"  … and {len(entries) - len(shown)} more: --all shows them", style="dim"))
    parts.extend(("", _totals(policy), *_remarks(policy)))
    return Group(*parts)


def _told(policy: PolicyReport, *, everything: bool) -> Sequence[PlannedCheckpoint]:
    """Of an edited policy what changes, of another one what does not stay."""
    if everything:
        return policy.checkpoints
    if policy.edited:
        return [it for it in policy.checkpoints if it.was is not it.fate]
    return [it for it in policy.checkpoints if it.fate is not Fate.STAYS]


def _title(policy: PolicyReport, report: PlanReport) -> Text:
    runs = f"{policy.training_runs} TrainingRun{'' if policy.training_runs == 1 else 's'}"
    title = Text.assemble((f"{policy.namespace}/{policy.name}", "bold"), "  ", (f"action {policy.action}", _of(policy)))
    title.append("  suspended" if policy.suspended else "", style="yellow")
    title.append("  as edited" if policy.edited else "", style="cyan")
    title.append(f"\n{runs}, as of {report.as_of:%Y-%m-%d %H:%M:%S} UTC", style="dim")
    return title


def _of(policy: PolicyReport) -> str:
    return "bold red" if policy.action is RetentionAction.DELETE and not policy.suspended else "bold green"


def _gap(name: str, message: str) -> Padding:
    told = Text.assemble(("! ", "bold magenta"), (name, "bold"), f": {printable(message)} Nothing of it goes.")
    return Padding(told, (0, 0, 0, 2), expand=False)


def _run(name: str, entries: Sequence[PlannedCheckpoint], now: datetime, width: int) -> RenderableType:
    changes = any(it.was is not None for it in entries)
    rows = [_cells(it, now, changes=changes) for it in entries]
    taken = sum(max(len(row[place]) for row in rows) for place in (1, 2, 3))
    reasons = max(len(row[4]) for row in rows)
    room = max(_NARROWEST, width - _GAPS - taken - min(reasons, _WHY_WIDTH))
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=False)
    table.add_column("sign", no_wrap=True)
    table.add_column("name", no_wrap=True)
    table.add_column("age", justify="right", no_wrap=True)
    table.add_column("size", justify="right", no_wrap=True)
    table.add_column("fate", no_wrap=True)
    table.add_column("why")
    for it, (name_of_it, age, size, fate, why) in zip(entries, rows, strict=True):
        style = _STYLES[it.fate]
        sign, label = Text(_SIGNS.get(it.fate, _GONE), style), Text(shortened(name_of_it, room))
        table.add_row(sign, label, Text(age), Text(size), Text(fate, style), Text(why, "dim"))
    ids = list(dict.fromkeys(_run_id(it) for it in entries))
    each = max(_NARROWEST, (width - len(name) - _GAPS) // min(len(ids), _NAMED) - 2)
    head = Text.assemble((name, "bold"), "  ", (", ".join(shortened(one, each) for one in ids[:_NAMED]), "dim"))
    head.append(f" and {len(ids) - _NAMED} more" if len(ids) > _NAMED else "", style="dim")
    return Group("", Padding(head, (0, 0, 0, 2), expand=False), Padding(table, (0, 0, 0, 4), expand=False))


def _cells(it: PlannedCheckpoint, now: datetime, *, changes: bool) -> tuple[str, str, str, str, str]:
    age, size = age_in_words(it.time, now), size_in_words(it.size_bytes)
    return _short(it), age, size, _fate(it, now, changes=changes), _why(it)


def _run_id(it: PlannedCheckpoint) -> str:
    return printable(it.path.removeprefix("tinker://").partition("/")[0])


def _short(it: PlannedCheckpoint) -> str:
    """The middle part says nothing of a training checkpoint."""
    name = it.path.removeprefix("tinker://").partition("/")[2] or it.path
    return printable(name.removeprefix("weights/") if it.type is CheckpointKind.TRAINING else name)


def _fate(it: PlannedCheckpoint, now: datetime, *, changes: bool) -> str:
    told = FATES[it.fate]
    if it.fate is Fate.WAITS and it.not_before is not None:
        told = f"goes in {span_in_words(it.not_before - now)}"
    before = FATES[it.was] if it.was is not None else "unknown"
    return f"{told} (was: {before})" if changes and it.was is not it.fate else told


def _why(it: PlannedCheckpoint) -> str:
    return ", ".join(_whys(it))


def _whys(it: PlannedCheckpoint) -> Sequence[str]:
    return [DUE[it.rule]] if it.rule is not None else [KEPT[reason] for reason in it.because]


def _totals(policy: PolicyReport) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=False)
    for justify in ("left", "right", "right"):
        table.add_column(justify=justify, no_wrap=True)
    table.add_column(overflow="fold")
    for fate, total in policy.totals.items():
        if total.checkpoints or fate is Fate.STAYS:
            told = size_in_words(total.bytes) + (" or more" if total.of_unknown_size else "")
            why = Counter(word for it in policy.checkpoints if it.fate is fate for word in _whys(it))
            counted = ", ".join(f"{word} {count}" for word, count in why.most_common())
            table.add_row(Text(FATES[fate], _STYLES[fate]), str(total.checkpoints), told, Text(counted, "dim"))
    return table


def _remarks(policy: PolicyReport) -> list[Text]:
    said = []
    going = policy.totals[Fate.GOES].checkpoints
    if going > policy.max_deletions_per_hour:
        said.append(f"At most {policy.max_deletions_per_hour} an hour, so this takes {_hours(policy, going)}.")
    if policy.left_to:
        said.append(f"What is left to another goes by the older {', '.join(policy.left_to)}.")
    if policy.totals[Fate.WOULD_GO].checkpoints:
        held = "spec.suspend is true" if policy.suspended else "action is Report"
        said.append(f"Nothing is deleted: {held}.")
    return [Text(one, style="dim") for one in said]


def _hours(policy: PolicyReport, going: int) -> str:
    hours = -(-going // policy.max_deletions_per_hour) - 1
    return f"more than {hours} hour{'' if hours == 1 else 's'}"
