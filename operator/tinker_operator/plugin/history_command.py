"""`kubectl tinker history`: the runs of a TrainingRun as a tree, with what was tried and why it was taken or not."""

import click
from rich.text import Text
from rich.tree import Tree

from tinker_operator.api.recovery_status import CandidateVerdict, RecoveryResult, Verdict
from tinker_operator.cli.commands import until_signalled
from tinker_operator.plugin.cluster import Cluster
from tinker_operator.plugin.endings import DONE
from tinker_operator.plugin.history_report import HistoryReport, ToldAttempt, ToldRun, history_report
from tinker_operator.plugin.names import run_argument
from tinker_operator.plugin.place import Place, placed
from tinker_operator.plugin.printing import formed, tell
from tinker_operator.plugin.words import printable, span_in_words

_SIGNS = {Verdict.GOOD: ("✓ ", "green"), Verdict.BACKEND_FAILED: ("? ", "yellow"), Verdict.NO_METRIC: ("- ", "dim")}
_BAD = ("✗ ", "red")


@click.command()
@run_argument
@placed
@formed
def history(name: str, place: Place, form: str, no_color: bool) -> int:
    """Show the runs of a TrainingRun: which was lost, what was tried, and what came of it.

    RUN is the name of a TrainingRun. The last ten attempts are remembered.
    """
    report = until_signalled(_read(name, place))
    tell(report, form, lambda console: console.print(history_tree(report)), no_color=no_color)
    return DONE


async def _read(name: str, place: Place) -> HistoryReport:
    async with Cluster.opened(place) as cluster:
        return history_report(await cluster.training_run(name))


def history_tree(report: HistoryReport) -> Tree:
    """Returns the history as it is shown: each run below the one that it came from.

    Args:
        report: What to say.
    """
    head = Text.assemble((printable(f"{report.namespace}/{report.name}"), "bold"))
    head.append(f"  {_count(report.recoveries, 'recovery', 'recoveries')}", "dim")
    head.append(f", {_count(report.failed_attempts, 'failed attempt', 'failed attempts')}", "dim")
    root = place = Tree(head, guide_style="dim")
    for run in report.runs:
        place = place.add(_run(run))
        for attempt in run.attempts:
            branch = place.add(_attempt(attempt))
            for candidate in attempt.candidates:
                branch.add(_candidate(candidate))
    if not report.runs:
        root.add(Text("no run yet", "dim"))
    if report.next_attempt_time is not None:
        root.add(Text(f"the next attempt is not before {report.next_attempt_time:%Y-%m-%d %H:%M:%S} UTC", "yellow"))
    return root


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _run(run: ToldRun) -> Text:
    told = Text(printable(run.training_run_id), "bold green" if run.current else "")
    told.append("  current" if run.current else "", "green")
    return told


def _attempt(one: ToldAttempt) -> Text:
    told = Text(f"attempt {one.attempt}  {one.started_at:%Y-%m-%d %H:%M:%S}  {one.cause}, {one.mode}: ")
    if one.completed_at is None:
        told.append(f"under way{f', ends as {one.result}' if one.result else ''}", "yellow")
    else:
        style = "green" if one.result is RecoveryResult.RECOVERED else "red"
        told.append(f"{one.result}", style).append(f" in {span_in_words(one.completed_at - one.started_at)}")
    if one.to_training_run_id is not None:
        told.append(f"  → {printable(one.to_training_run_id)}", "dim")
    if one.message:
        told.append(f"  {printable(one.message)}", "dim")
    return told


def _candidate(one: CandidateVerdict) -> Text:
    sign, style = _SIGNS.get(one.verdict, _BAD)
    told = Text.assemble((sign, style), printable(one.checkpoint.rpartition("/")[2]), "  ", (str(one.verdict), style))
    if one.message:
        told.append(f"  {printable(one.message)}", "dim")
    return told
