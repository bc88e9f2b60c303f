"""The status on one screen, for people: a line for each object, and below what needs one of them."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from tinker_operator.api.retention_spec import RetentionAction
from tinker_operator.plugin.curves import Curve
from tinker_operator.plugin.sparks import sparkline
from tinker_operator.plugin.status_next import Next
from tinker_operator.plugin.status_report import PolicyLine, RunLine, Standing, StatusReport
from tinker_operator.plugin.words import age_in_words, printable, shortened, size_in_words, span_in_words

_WIDE = 120
"""Columns of a terminal from which on the run's id is shown too."""
_ROOMY = 100
"""Columns from which on what happens next stands beside the object, not below."""
_NAME_WIDTH, _RUN_WIDTH, _CHECKPOINT_WIDTH, _SPARK_WIDTH = 28, 18, 20, 12
_GOOD, _GOING, _BAD, _HELD = ("●", "green"), ("◌", "yellow"), ("✗", "bold red"), ("‖", "cyan")
_NEXT, _UNKNOWN, _BROKEN = ("→", "blue"), ("?", "magenta"), ("!", "bold magenta")
_NEXT_SHOWN = 2


def status_screen(report: StatusReport, width: int) -> RenderableType:
    """Returns the report as it is shown.

    Args:
        report: What to say.
        width: Columns of the terminal.
    """
    everywhere = report.namespace is None
    where = "all namespaces" if everywhere else f"namespace {report.namespace}"
    head = Text.assemble((where, "bold"), (f", as of {report.observed_at:%Y-%m-%d %H:%M:%S} UTC", "dim"))
    parts: list[RenderableType] = [head]
    if report.training_runs:
        parts += ["", _runs(report, width, everywhere=everywhere)]
    if report.policies:
        parts += ["", _policies(report, width, everywhere=everywhere)]
    if not report.training_runs and not report.policies:
        parts.append("No TrainingRun and no CheckpointPolicy here. kubectl get tinker -A lists those that there are.")
    remarks = list(_remarks(report, width, everywhere=everywhere))
    return Group(*parts, *([""] if remarks else []), *remarks)


def _runs(report: StatusReport, width: int, *, everywhere: bool) -> Table:
    wide, roomy, now = width >= _WIDE, width >= _ROOMY, report.observed_at
    metrics = {line.curve.metric for line in report.training_runs if line.curve is not None}
    drawn = next(iter(metrics)).upper() if len(metrics) == 1 else "METRIC"
    heads = [
        "",
        "TRAININGRUN",
        "STATE",
        *(["RUN"] if wide else []),
        "LAST CHECKPOINT",
        "",
        drawn,
        *(["NEXT"] if roomy else []),
    ]
    table = _table(heads)
    for line in report.training_runs:
        saved, age = _saved(line, now)
        run = [Text(shortened(printable(line.training_run_id or "-"), _RUN_WIDTH), "dim")] if wide else []
        cells = [_sign(line), _name(line, everywhere=everywhere), _state(line), *run, saved, age]
        steps = [_next(line.next, now)] if roomy else []
        table.add_row(*cells, _drawn(line.curve, several=len(metrics) > 1), *steps)
    return table


def _policies(report: StatusReport, width: int, *, everywhere: bool) -> Table:
    roomy = width >= _ROOMY
    table = _table(["", "CHECKPOINTPOLICY", "STATE", "RUNS", "STAY", "GO", "DELETED", *(["NEXT"] if roomy else [])])
    for line in report.policies:
        go = "red" if line.due_count and line.action is RetentionAction.DELETE and not line.suspended else ""
        table.add_row(
            _sign(line),
            _name(line, everywhere=everywhere),
            _state(line),
            str(line.training_runs),
            _counted(line.kept_count, line.kept_bytes),
            Text(_counted(line.due_count, line.due_bytes), go),
            str(line.deleted_total),
            *([_next(line.next, report.observed_at)] if roomy else []),
        )
    return table


def _table(heads: Sequence[str]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for head in heads:
        table.add_column(head, no_wrap=head != "NEXT")
    return table


def _mark(line: Standing) -> tuple[str, str]:
    if line.suspended:
        return _HELD
    return _GOOD if line.ready else _BAD if line.stalled else _GOING


def _sign(line: Standing) -> Text:
    return Text(*_mark(line))


def _name(line: Standing, *, everywhere: bool) -> Text:
    name = f"{line.namespace}/{line.name}" if everywhere else line.name
    return Text(shortened(printable(name), _NAME_WIDTH), "bold")


def _state(line: Standing) -> Text:
    return Text(printable(line.state), _mark(line)[1])


def _saved(line: RunLine, now: datetime) -> tuple[Text, Text]:
    last = line.last_checkpoint
    if last is None:
        return Text("-"), Text("")
    name = shortened(printable(last.path.rpartition("/")[2]), _CHECKPOINT_WIDTH)
    return Text(name), Text(age_in_words(last.time, now), "dim")


def _drawn(curve: Curve | None, *, several: bool) -> Text:
    if curve is None or (curve.gap is None and not curve.points):
        return Text("-")
    if curve.gap is not None:
        return Text(*_UNKNOWN)
    values = [point.value for point in curve.points]
    told = f"{curve.metric} {values[-1]:.4g}" if several else f"{values[-1]:.4g}"
    return Text.assemble((sparkline(values, _SPARK_WIDTH), "cyan"), f" {told}")


def _next(steps: Sequence[Next], now: datetime) -> Text:
    if not steps:
        return Text("-", "dim")
    told = [_told(step, now) for step in steps[:_NEXT_SHOWN]]
    more = [f"and {len(steps) - _NEXT_SHOWN} more"] if len(steps) > _NEXT_SHOWN else []
    return Text(", ".join([*told, *more]))


def _told(step: Next, now: datetime) -> str:
    waits = step.not_before is not None and step.not_before > now
    span = f" in {span_in_words(step.not_before - now)}" if waits and step.not_before is not None else ""
    return f"{printable(step.what)}{span}"


def _counted(count: int, size: int) -> str:
    return f"{count} ({size_in_words(size)})" if size else str(count)


def _remarks(report: StatusReport, width: int, *, everywhere: bool) -> Iterator[Text]:
    lines: tuple[RunLine | PolicyLine, ...] = (*report.training_runs, *report.policies)
    for line in lines:
        if not line.ready and not line.suspended:
            yield _remark(_mark(line), line, line.message, everywhere=everywhere)
    for line in lines:
        if line.next and width < _ROOMY:
            yield _remark(_NEXT, line, _next(line.next, report.observed_at).plain, everywhere=everywhere)
    for run in report.training_runs:
        if run.curve is not None and run.curve.gap is not None:
            yield _remark(_UNKNOWN, run, run.curve.gap, everywhere=everywhere)
    for name in report.unreadable:
        yield Text.assemble(_BROKEN, f" {printable(name)} does not parse: apply crds/ of this version, and correct it.")


def _remark(sign: tuple[str, str], line: Standing, said: str, *, everywhere: bool) -> Text:
    name = f"{line.namespace}/{line.name}" if everywhere else line.name
    return Text.assemble(sign, " ", (printable(name), "bold"), f": {printable(said)}")
