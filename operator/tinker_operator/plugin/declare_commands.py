"""`kubectl tinker recover`, `suspend`, `resume` and `reconcile`: what a person asks of the operator, by declaration."""

import asyncio

import click

from tinker_operator.api.checkpoint_policy import CheckpointPolicy
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.cli.settings import InvalidSettings
from tinker_operator.plugin.cluster import Cluster
from tinker_operator.plugin.declared import Confirm, Declared, Wish, asked_of_a_person, declare_by_name, show_declared
from tinker_operator.plugin.declaring import Declaration, fresh_look, recovery, reset, suspension
from tinker_operator.plugin.endings import DONE
from tinker_operator.plugin.names import named, named_checkpoint, object_argument, run_argument
from tinker_operator.plugin.place import Place, placed
from tinker_operator.plugin.plan_command import utc_now
from tinker_operator.plugin.printing import formed, tell

_dry = click.option("--dry-run", is_flag=True, help="Have the API server check it, and change nothing.")


@click.command()
@run_argument
@placed
@formed
@click.option("--from", "source", metavar="PATH", help="Checkpoint to restore. Default: as spec.recovery says.")
@click.option("--reset", "back", is_flag=True, help="Let later recoveries begin from the newest checkpoint again.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@_dry
def recover(  # noqa: PLR0917 - click names them
    name: str, place: Place, form: str, no_color: bool, source: str | None, back: bool, yes: bool, dry_run: bool
) -> int:
    """Have a lost run restored, once the operator has confirmed that it is lost.

    RUN is the name of a TrainingRun. Its spec.recovery is changed as far as needed, and annotation reconcile-at asks
    for a new budget of attempts; the operator does the rest as ever. A healthy run is never replaced: then the command
    declines, with exit status 3.
    """
    if back and source is not None:
        raise InvalidSettings("--reset and --from exclude each other: give one of them")
    path = None if source is None else named_checkpoint(source)

    def wish(run: TrainingRun | CheckpointPolicy) -> Declaration:
        assert isinstance(run, TrainingRun)  # noqa: S101 - the name says so
        return reset(run) if back else recovery(run, path, utc_now())

    told = asyncio.run(_declared(name, place, wish, None if yes else asked_of_a_person, dry_run=dry_run))
    return _told(told, form, no_color=no_color)


@click.command()
@object_argument
@placed
@formed
@_dry
def suspend(name: str, place: Place, form: str, no_color: bool, dry_run: bool) -> int:
    """Hold every action of the operator back; the object is still observed.

    It is the name of a TrainingRun, or ckp/NAME of a CheckpointPolicy.
    """
    told = asyncio.run(_declared(name, place, lambda one: suspension(one, suspend=True), None, dry_run=dry_run))
    return _told(told, form, no_color=no_color)


@click.command()
@object_argument
@placed
@formed
@_dry
def resume(name: str, place: Place, form: str, no_color: bool, dry_run: bool) -> int:
    """Let the operator go on with what was suspended.

    It is the name of a TrainingRun, or ckp/NAME of a CheckpointPolicy.
    """
    told = asyncio.run(_declared(name, place, lambda one: suspension(one, suspend=False), None, dry_run=dry_run))
    return _told(told, form, no_color=no_color)


@click.command()
@run_argument
@placed
@formed
@_dry
def reconcile(name: str, place: Place, form: str, no_color: bool, dry_run: bool) -> int:
    """Ask for a look at once, and for a new budget of recovery attempts.

    RUN is the name of a TrainingRun.
    """
    told = asyncio.run(_declared(name, place, lambda _: fresh_look(utc_now()), None, dry_run=dry_run))
    return _told(told, form, no_color=no_color)


async def _declared(
    text: str,
    place: Place,
    wish: Wish,
    confirm: Confirm | None,
    *,
    dry_run: bool,
) -> Declared:
    resource, name = named(text)
    async with Cluster.opened(place) as cluster:
        return await declare_by_name(cluster, resource, name, wish, confirm, dry_run=dry_run)


def _told(told: Declared, form: str, *, no_color: bool) -> int:
    tell(told, form, lambda console: show_declared(told, console), no_color=no_color)
    return DONE
