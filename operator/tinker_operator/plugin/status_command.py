"""`kubectl tinker status`: how everything of a namespace stands, on one screen."""

import asyncio
from collections.abc import Callable

import click
from rich.console import Console
from rich.live import Live
from rich.text import Text

from tinker_operator.cli.commands import until_signalled
from tinker_operator.engine.kube_errors import KubeUnavailable
from tinker_operator.plugin.cluster import Cluster
from tinker_operator.plugin.curves import Curves
from tinker_operator.plugin.endings import DONE
from tinker_operator.plugin.place import Place, placed
from tinker_operator.plugin.plan_command import utc_now
from tinker_operator.plugin.printing import TEXT, console_of, formed, tell
from tinker_operator.plugin.status_report import StatusReport, status_report
from tinker_operator.plugin.status_table import status_screen


@click.command()
@placed
@formed
@click.option("-A", "--all-namespaces", "everywhere", is_flag=True, help="Of every namespace.")
@click.option("-w", "--watch", is_flag=True, help="Show it anew as it changes, until Ctrl-C.")
@click.option("--every", type=click.FloatRange(0.5, 3600), default=2.0, show_default=True, help="Seconds, for --watch.")
@click.option("--cluster-only", is_flag=True, help="Ask the API server only: no curves, and no key is needed.")
def status(  # noqa: PLR0917 - click names them
    place: Place, form: str, no_color: bool, everywhere: bool, watch: bool, every: float, cluster_only: bool
) -> int:
    """Show how TrainingRuns and CheckpointPolicies stand, and what happens next.

    Beside them is how the loss went, from the metadata of their checkpoints. With --watch and -o json or yaml there is
    a document for each look.
    """
    console = console_of(no_color=no_color)
    namespace = None if everywhere else place.namespace
    curves = None if cluster_only else Curves()

    async def look() -> None:
        async with Cluster.opened(place) as cluster:
            if not watch:
                _show(await _report(cluster, namespace, curves), form, console)
            elif form == TEXT and console.is_terminal:
                with Live(console=console, screen=True, auto_refresh=False) as live:
                    await _watched(cluster, namespace, curves, every, lambda it: _drawn(live, it))
            else:
                await _watched(cluster, namespace, curves, every, lambda it: _document(it, form, console))

    try:
        until_signalled(look())
    except click.Abort:
        if not watch:
            raise
    return DONE


async def _report(cluster: Cluster, namespace: str | None, curves: Curves | None) -> StatusReport:
    now = utc_now()
    cluster.unreadable.clear()
    runs, policies = await cluster.training_runs(namespace), await cluster.policies(namespace)
    drawn = await curves.of(cluster, runs, policies, now) if curves is not None else {}
    return status_report(runs, policies, drawn, namespace=namespace, now=now, unreadable=tuple(cluster.unreadable))


async def _watched(
    cluster: Cluster,
    namespace: str | None,
    curves: Curves | None,
    every: float,
    show: Callable[[StatusReport | KubeUnavailable], None],
) -> None:
    """An API server that does not answer for a while is told, and asked again."""
    while True:
        try:
            show(await _report(cluster, namespace, curves))
        except KubeUnavailable as error:
            show(error)
        await asyncio.sleep(every)


def _show(report: StatusReport, form: str, console: Console) -> None:
    tell(report, form, lambda it: it.print(status_screen(report, it.width)), no_color=bool(console.no_color))


def _drawn(live: Live, told: StatusReport | KubeUnavailable) -> None:
    """Trouble stands in the place of the screen, which would be out of date."""
    shown = Text(str(told), "magenta") if isinstance(told, KubeUnavailable) else status_screen(told, live.console.width)
    live.update(shown, refresh=True)


def _document(told: StatusReport | KubeUnavailable, form: str, console: Console) -> None:
    if isinstance(told, KubeUnavailable):
        click.echo(f"kubectl tinker: {told}", err=True)
        return
    if form == "yaml":
        click.echo("---")
    _show(told, form, console)
