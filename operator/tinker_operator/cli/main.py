"""`tinker-operator`: the command. Reads settings, runs the operator, and says in one line what is wrong with them."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

import click

from tinker_operator.cli.download import download
from tinker_operator.cli.export import export
from tinker_operator.cli.logs import configure_logs, tell_of_fault
from tinker_operator.cli.memory import thrifty
from tinker_operator.cli.numbers import FiniteRange
from tinker_operator.cli.settings import InvalidSettings, Settings
from tinker_operator.controllers.composition import run_operator
from tinker_operator.controllers.deployment import Deployment
from tinker_operator.engine.elector import LeadershipLost
from tinker_operator.engine.exposition import AddressUnusable
from tinker_operator.engine.faults import described
from tinker_operator.engine.kube_errors import CredentialsInvalid, KubeError
from tinker_operator.tinker.budget import USUAL_PACE
from tinker_operator.tinker.errors import TinkerError

BAD_SETTING = 2
FAILED = 1


@click.group()
@click.version_option(package_name="tinker-operator")
def command() -> None:
    """Keeps training runs of the Tinker service alive and their checkpoints tidy, by declaration."""


@command.command()
@click.option(
    "--kubeconfig",
    type=click.Path(path_type=Path),
    help="Kubeconfig file. Default: KUBECONFIG, ~/.kube/config, or the pod's own service account.",
)
@click.option("--namespace", "namespaces", multiple=True, metavar="NS", help="Namespace to watch; may be repeated.")
@click.option("--all-namespaces", is_flag=True, help="Watch every namespace. The default when no --namespace is given.")
@click.option(
    "--cluster-id",
    metavar="ID",
    help="Name of this cluster in the owner key that remote runs carry. Set it to find the runs again after the "
    "cluster was rebuilt. Default: the uid of namespace kube-system.",
)
@click.option(
    "--allow-base-url",
    "allowed_urls",
    multiple=True,
    metavar="URL",
    help="Base URL that a Secret may name beside the operator's own; may be repeated.",
)
@click.option(
    "--lease-namespace",
    metavar="NS",
    help="Namespace of the leader-election Lease. Default: the pod's own; outside of a pod there is no election.",
)
@click.option(
    "--shard",
    metavar="I/N",
    help="Work on share I of N of the objects, from 0/N; auto/N takes I from the number of the StatefulSet's pod, "
    "which is in POD_NAME. All processes must have the same N: others wait until those have ended. Default: on all.",
)
@click.option(
    "--allow-webhook",
    "webhooks",
    multiple=True,
    metavar="HOST",
    help="Host that hooks of recoveries may call: <host>, <host>:<port> or *.<domain>; may be repeated.",
)
@click.option(
    "--min-poll-seconds",
    type=FiniteRange(0.1, 3600),
    default=1.0,
    show_default=True,
    help="Floor of pollIntervalSeconds: an object that asks for less is looked at this often.",
)
@click.option(
    "--calls-per-second",
    type=FiniteRange(1, 10_000),
    default=USUAL_PACE,
    show_default=True,
    help="Pace of calls to the service under one key; many at once may make up for a pause of two seconds.",
)
@click.option(
    "--metrics-address",
    metavar="HOST:PORT",
    help="Serve Prometheus metrics there, at /metrics, and the probes /healthz and /readyz. Default: nowhere.",
)
@click.option("--log-format", type=click.Choice(["auto", "json", "text"]), default="auto", help="Form of the logs.")
@click.option("--debug", is_flag=True, help="Log more.")
def run(  # noqa: PLR0917 - click names them
    kubeconfig: Path | None,
    namespaces: tuple[str, ...],
    all_namespaces: bool,
    cluster_id: str | None,
    allowed_urls: tuple[str, ...],
    lease_namespace: str | None,
    shard: str | None,
    webhooks: tuple[str, ...],
    min_poll_seconds: float,
    calls_per_second: float,
    metrics_address: str | None,
    log_format: str,
    debug: bool,
) -> None:
    """Run the operator until SIGTERM.

    The default service and key come from TINKER_BASE_URL and TINKER_API_KEY; a TrainingRun may name a Secret of its
    own instead (spec.credentialsRef).
    """
    if namespaces and all_namespaces:
        raise InvalidSettings("--namespace and --all-namespaces exclude each other: give one of them")
    if kubeconfig is not None and not kubeconfig.is_file():
        raise InvalidSettings(f"--kubeconfig {kubeconfig}: no such file; give the path of a kubeconfig")
    settings = Settings.read(
        os.environ,
        kubeconfig=kubeconfig,
        namespaces=namespaces,
        cluster_id=cluster_id,
        allowed_urls=allowed_urls,
        lease_namespace=lease_namespace,
        webhooks=webhooks,
        shortest_poll_seconds=min_poll_seconds,
        calls_per_second=calls_per_second,
        metrics_address=metrics_address,
        shard=shard,
    )
    configure_logs(json=None if log_format == "auto" else log_format == "json", debug=debug)
    thrifty()
    asyncio.run(_until_signalled(settings.deployment()))


command.add_command(download)
command.add_command(export)


async def _until_signalled(deployment: Deployment) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(tell_of_fault)
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    await run_operator(deployment, stop)


def main() -> NoReturn:
    """Runs the command and exits: 0 when it ended as asked, 1 when it failed, 2 when a setting is wrong."""
    try:
        command.main(standalone_mode=False)
    except click.UsageError as error:
        _end(BAD_SETTING, f"{error.format_message()} See {error.ctx.command_path if error.ctx else ''} --help.")
    except InvalidSettings as error:
        _end(BAD_SETTING, f"{error}.")
    except (AddressUnusable, CredentialsInvalid) as error:
        _end(BAD_SETTING, str(error))
    except (KubeError, LeadershipLost, TinkerError) as error:
        _end(FAILED, str(error))
    except click.Abort:
        _end(FAILED, "interrupted.")
    except Exception as error:  # noqa: BLE001 - Python's own traceback would quote it, secrets and all
        told = ", ".join(described(error).values())
        _end(FAILED, f"a defect of the operator: {told}. Report it with this line.")
    sys.exit(0)


def _end(status: int, message: str) -> NoReturn:
    click.echo(f"tinker-operator: {message}", err=True)
    sys.exit(status)
