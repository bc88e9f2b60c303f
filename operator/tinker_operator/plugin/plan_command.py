"""`kubectl tinker plan`: what CheckpointPolicies keep and delete, before they do."""

import asyncio
import os
from datetime import UTC, datetime
from pathlib import Path

import click
import yaml
from rich.console import Console

from tinker_operator.api.meta import to_wire
from tinker_operator.cli.settings import InvalidSettings, Settings
from tinker_operator.plugin.files import read_files
from tinker_operator.plugin.planning import asked_for, looked, reported
from tinker_operator.plugin.reading import Access
from tinker_operator.plugin.report import PlanReport
from tinker_operator.plugin.snapshot import dumped
from tinker_operator.plugin.table import show

WHOLE, INCOMPLETE = 0, 1


@click.command()
@click.argument("policy", required=False)
@click.option("-n", "--namespace", metavar="NS", help="Namespace. Default: that of the kubeconfig's context.")
@click.option("--context", metavar="NAME", help="Context of the kubeconfig. Default: the current one.")
@click.option(
    "--kubeconfig", type=click.Path(path_type=Path), help="Kubeconfig file. Default: KUBECONFIG, or ~/.kube/config."
)
@click.option(
    "-f",
    "--filename",
    "files",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A CheckpointPolicy to try before it is applied, or a file that --dump wrote, to plan from instead of the "
    "cluster; may be repeated.",
)
@click.option("--as-of", metavar="TIME", help="Plan for this moment, as RFC 3339: 2026-01-31T12:00:00Z. Default: now.")
@click.option("-o", "--output", "form", type=click.Choice(["table", "json", "yaml"]), default="table", help="Form.")
@click.option("--all", "everything", is_flag=True, help="Show every checkpoint, those that stay too.")
@click.option("--no-color", is_flag=True, help="No colours. There are none where the output is no terminal either.")
@click.option("--dump", type=click.Path(path_type=Path), help="Write what the plan is made from to this file.")
@click.option("--allow-base-url", "urls", multiple=True, metavar="URL", help="Base URL that a Secret may name.")
def plan(  # noqa: PLR0917 - click names them
    policy: str | None,
    namespace: str | None,
    context: str | None,
    kubeconfig: Path | None,
    files: tuple[Path, ...],
    as_of: str | None,
    form: str,
    everything: bool,
    no_color: bool,
    dump: Path | None,
    urls: tuple[str, ...],
) -> int:
    """Show what CheckpointPolicies delete and keep, why, and how many bytes.

    POLICY is the name of one; without it all of the namespace are planned for. It is the operator's own decision, on
    what cluster and service say now. Checkpoints are listed with the key in the TrainingRun's Secret or, where you may
    not read that, with TINKER_API_KEY. Nothing is written anywhere.

    Exits with 0 when the plan is whole, 1 when a TrainingRun could not be seen, 2 when an argument is wrong.
    """
    settings = Settings.read(
        os.environ, kubeconfig=kubeconfig, namespaces=(), cluster_id=None, allowed_urls=urls, lease_namespace=None
    ).deployment()
    access = Access(settings.own, settings.default_url, settings.allowed_urls)
    asked = asked_for(policy, namespace, read_files(files), as_of=_moment(as_of), cluster=(kubeconfig, context))
    with Console(stderr=True).status("Looking at the cluster and the service …"):
        snapshot = asked.given.snapshot or asyncio.run(looked(asked, kubeconfig, context, access, utc_now))
    if dump is not None:
        _write(dump, dumped(snapshot))
    report = reported(asked, snapshot)
    if form == "table":
        show(report, Console(no_color=no_color or None, highlight=False), everything=everything)
    else:
        click.echo(_as_json(report) if form == "json" else yaml.safe_dump(to_wire(report), sort_keys=False), nl=False)
    if not snapshot.whole:
        click.echo("Only one namespace was read: what TrainingRuns of others refer to is unknown here.", err=True)
    return INCOMPLETE if any(one.gaps for one in report.policies) else WHOLE


def utc_now() -> datetime:
    """Returns the wall clock, in whole seconds, as status has it."""
    return datetime.now(UTC).replace(microsecond=0)  # noqa: TID251 - this is where the plugin is put together


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise InvalidSettings(f"--as-of {text!r} is no time with a zone: give one like 2026-01-31T12:00:00Z")
    return moment.astimezone(UTC)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidSettings(f"--dump {path}: {error.strerror}: give a file that can be written") from None


def _as_json(report: PlanReport) -> str:
    return report.model_dump_json(by_alias=True, exclude_none=True, indent=2) + "\n"
