"""How objects and checkpoints are named on the command line, and how shells complete such names."""

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress

import click
from click.shell_completion import CompletionItem

from tinker_operator.api.checkpoint_policy import CheckpointPolicy
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.cli.commands import until_signalled
from tinker_operator.cli.settings import InvalidSettings
from tinker_operator.controllers.objects import CHECKPOINT_POLICIES, TRAINING_RUNS
from tinker_operator.engine.keys import Resource
from tinker_operator.engine.kube_errors import KubeError
from tinker_operator.plugin.cluster import Cluster
from tinker_operator.plugin.place import Place
from tinker_operator.tinker.errors import CallNotPossible
from tinker_operator.tinker.paths import TinkerPath

COMPLETION_SECONDS = 3.0
"""How long somebody who pressed the tabulator waits for names."""
_KINDS: dict[str, Resource] = {
    **dict.fromkeys(("tr", "trainingrun", "trainingruns"), TRAINING_RUNS),
    **dict.fromkeys(("ckp", "checkpointpolicy", "checkpointpolicies"), CHECKPOINT_POLICIES),
}
MODELS: dict[str, type[TrainingRun | CheckpointPolicy]] = {
    TRAINING_RUNS.kind: TrainingRun,
    CHECKPOINT_POLICIES.kind: CheckpointPolicy,
}


def named(text: str) -> tuple[Resource, str]:
    """Returns kind and name of an object; without a kind it is a TrainingRun.

    Args:
        text: As kubectl has it: `math-sft`, `tr/math-sft` or `checkpointpolicy/keep`.

    Raises:
        InvalidSettings: The kind is none of ours, or there is no name.
    """
    kind, slash, name = text.rpartition("/")
    resource = _KINDS.get(kind.lower()) if slash else TRAINING_RUNS
    if resource is None or not name:
        raise InvalidSettings(f"{text!r} names no object: give NAME or tr/NAME of a TrainingRun, or ckp/NAME")
    return resource, name


def named_run(text: str) -> str:
    """Returns the name of a TrainingRun.

    Raises:
        InvalidSettings: It is something else.
    """
    resource, name = named(text)
    if resource is not TRAINING_RUNS:
        raise InvalidSettings(f"{text!r} is no TrainingRun: give NAME or tr/NAME of one")
    return name


def named_checkpoint(text: str) -> TinkerPath:
    """Returns the path of a checkpoint.

    Raises:
        InvalidSettings: It is none.
    """
    try:
        return TinkerPath.parse(text)
    except CallNotPossible as error:
        raise InvalidSettings(str(error).rstrip(".")) from None


def _completed_runs(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Nothing where the cluster cannot be asked: a shell has no place for an error."""
    with suppress(KubeError, InvalidSettings, TimeoutError, click.Abort):
        return [CompletionItem(name) for name in until_signalled(_names(context)) if name.startswith(incomplete)]
    return []


async def _names(context: click.Context) -> list[str]:
    given = {name: context.params.get(name) for name in ("namespace", "context", "kubeconfig")}
    place = Place.read(os.environ, **given)  # type: ignore[arg-type]  # click's own dictionary
    async with asyncio.timeout(COMPLETION_SECONDS), Cluster.opened(place) as cluster:
        return [run.metadata.name for run in await cluster.training_runs(place.namespace)]


def _checked(_: click.Context, __: click.Parameter, value: str) -> str:
    return named_run(value)


run_argument: Callable[[Callable[..., int]], Callable[..., int]] = click.argument(
    "name", metavar="RUN", shell_complete=_completed_runs, callback=_checked
)
object_argument: Callable[[Callable[..., int]], Callable[..., int]] = click.argument(
    "name", metavar="[tr/|ckp/]NAME", shell_complete=_completed_runs
)


def _as_path(_: click.Context, __: click.Parameter, value: str) -> TinkerPath:
    return named_checkpoint(value)


path_argument: Callable[[Callable[..., int]], Callable[..., int]] = click.argument(
    "path", metavar="PATH", callback=_as_path
)
