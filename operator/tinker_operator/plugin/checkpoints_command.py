"""`kubectl tinker checkpoints`: what there is to go back to, newest first."""

from collections.abc import Sequence

import click
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tinker_operator.api.recovery_status import Verdict
from tinker_operator.cli.commands import until_signalled
from tinker_operator.controllers.observer import remote_answer
from tinker_operator.core.policy_references import followed_runs
from tinker_operator.core.world import Absent, CheckpointsOf, Fault, ObservedCheckpoint
from tinker_operator.plugin.checkpoints_report import CheckpointsReport, ToldCheckpoint, checkpoints_report
from tinker_operator.plugin.cluster import Cluster
from tinker_operator.plugin.endings import DONE, Failed
from tinker_operator.plugin.names import run_argument
from tinker_operator.plugin.place import Place, placed
from tinker_operator.plugin.plan_command import utc_now
from tinker_operator.plugin.printing import formed, tell
from tinker_operator.plugin.words import KEPT, age_in_words, printable, shortened, size_in_words, span_in_words
from tinker_operator.tinker.paths import SCHEME

_NARROWEST, _OTHERS, _METADATA_WIDTH = 24, 64, 30


@click.command()
@run_argument
@placed
@formed
def checkpoints(name: str, place: Place, form: str, no_color: bool) -> int:
    """List the checkpoints of a TrainingRun, those of the runs before it too.

    RUN is the name of a TrainingRun. The paths are what recover, validate, download and publish take.
    """
    report = until_signalled(_read(name, place))
    tell(report, form, lambda console: console.print(checkpoints_table(report, console.width)), no_color=no_color)
    return DONE


async def _read(name: str, place: Place) -> CheckpointsReport:
    async with Cluster.opened(place) as cluster:
        run, policies = await cluster.training_run(name), await cluster.policies(place.namespace)
        client = await cluster.service(run)
        found: list[ObservedCheckpoint] = []
        missing: list[str] = []
        for run_id in followed_runs(run):
            answer = await remote_answer(CheckpointsOf(run_id), client)
            if isinstance(answer, Fault):
                raise Failed(answer.message)
            if isinstance(answer, Absent):
                missing.append(run_id)
            elif isinstance(answer, tuple):
                found.extend(answer)
        return checkpoints_report(run, found, policies, utc_now(), missing_runs=missing)


def checkpoints_table(report: CheckpointsReport, width: int) -> RenderableType:
    """Returns the checkpoints as they are shown.

    Args:
        report: What to say.
        width: Columns of the terminal.
    """
    gone = [Text(f"The service has no run {printable(one)} any more.", "dim") for one in report.missing_runs]
    if not report.checkpoints:
        return Group("No checkpoint yet.", *gone)
    parts: list[RenderableType] = []
    for run_id in dict.fromkeys(it.training_run_id for it in report.checkpoints):
        its = [it for it in report.checkpoints if it.training_run_id == run_id]
        parts += [Text(_prefix(run_id), "bold"), Padding(_of_run(its, report, width), (0, 0, 0, 2), expand=False)]
    return Group(*parts, *gone)


def _of_run(its: Sequence[ToldCheckpoint], report: CheckpointsReport, width: int) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=False)
    table.add_column("name", no_wrap=True)
    table.add_column("age", justify="right", no_wrap=True)
    table.add_column("size", justify="right", no_wrap=True)
    table.add_column("metadata", no_wrap=True)
    table.add_column("known")
    room = max(_NARROWEST, width - _OTHERS)
    for it in its:
        values = ", ".join(f"{key} {value}" for key, value in it.metadata.items())
        table.add_row(
            Text(shortened(printable(it.path.removeprefix(_prefix(it.training_run_id))), room)),
            Text(age_in_words(it.time, report.observed_at)),
            Text(size_in_words(it.size_bytes)),
            Text(shortened(printable(values), _METADATA_WIDTH) or "-", "dim"),
            _known(it, report),
        )
    return table


def _prefix(run_id: str) -> str:
    """A path is this and what the line of the checkpoint begins with."""
    return f"{SCHEME}{printable(run_id)}/"


def _known(it: ToldCheckpoint, report: CheckpointsReport) -> Text:
    now, told = report.observed_at, []
    if it.verdict is not None:
        told.append((str(it.verdict), "green" if it.verdict is Verdict.GOOD else "red"))
    if it.public:
        told.append(("public", "cyan"))
    if it.deleted_not_before is not None:
        waits = it.deleted_not_before > now
        told.append((f"goes in {span_in_words(it.deleted_not_before - now)}" if waits else "goes", "red"))
    if it.expires_at is not None:
        lasts = it.expires_at > now
        told.append((f"expires in {span_in_words(it.expires_at - now)}" if lasts else "expired", "yellow"))
    told.extend((KEPT[reason], "dim") for reason in it.because)
    return Text(", ").join(Text(word, style) for word, style in told)
