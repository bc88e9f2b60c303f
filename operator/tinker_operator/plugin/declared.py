"""Carries a declaration out: shows it, asks for confirmation, changes the object, and tells what changed."""

import sys
from collections.abc import Callable, Mapping
from typing import Any

import click
from pydantic import Field
from rich.console import Console
from rich.text import Text
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt

from tinker_operator.api.checkpoint_policy import CheckpointPolicy
from tinker_operator.api.meta import GROUP, VERSION, ApiModel, to_wire
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.cli.settings import InvalidSettings
from tinker_operator.engine.keys import Resource
from tinker_operator.engine.kube_errors import WriteConflict
from tinker_operator.plugin.cluster import Cluster
from tinker_operator.plugin.declaring import Declaration
from tinker_operator.plugin.endings import Declined
from tinker_operator.plugin.names import MODELS
from tinker_operator.plugin.words import printable

Confirm = Callable[[str], bool]
"""Asks a person."""
Wish = Callable[[TrainingRun | CheckpointPolicy], Declaration]
"""The change that is wanted of an object."""
LOOKS = 5
"""How often an object is looked at that changes meanwhile."""


class Change(ApiModel):
    """One field that changed."""

    field: str = Field(description="Its path, as in spec.suspend.")
    before: Any = Field(default=None, description="What it was; absent if it was not there.")
    after: Any = Field(default=None, description="What it is; absent if it is removed.")


class Declared(ApiModel):
    """What was declared."""

    api_version: str = f"{GROUP}/{VERSION}"
    kind: str = "Declared"
    of: str = Field(description="Kind of the object.")
    namespace: str = Field(description="Namespace.")
    name: str = Field(description="Name.")
    dry_run: bool = Field(description="Whether it was only checked by the API server.")
    changes: tuple[Change, ...] = Field(description="What changed; none where it was so already.")
    remarks: tuple[str, ...] = Field(default=(), description="What there is to know about it.")


async def declare(
    cluster: Cluster,
    resource: Resource,
    one: TrainingRun | CheckpointPolicy,
    declaration: Declaration,
    confirm: Confirm | None,
    *,
    dry_run: bool,
) -> Declared:
    """Changes what an object asks for.

    Args:
        cluster: Where.
        resource: Kind of the object.
        one: The object, as it was seen.
        declaration: The change.
        confirm: Asks a person; None where no question is needed.
        dry_run: Have it checked only, and ask nobody.

    Raises:
        Declined: It was not confirmed.
        KubeError: The API server did not answer, does not allow it or does not accept it.
    """
    told = Declared(
        of=resource.kind,
        namespace=one.metadata.namespace,
        name=one.metadata.name,
        dry_run=dry_run,
        changes=tuple(_change(one, path, value) for path, value in declaration.fields.items()),
        remarks=declaration.remarks,
    )
    if told.changes:
        if confirm is not None and not dry_run and not confirm("\n".join(_lines(told))):
            raise Declined("not confirmed: nothing was changed.")
        await cluster.changed(resource, one, declaration.patch, dry_run=dry_run)
    return told


async def declare_by_name(
    cluster: Cluster, resource: Resource, name: str, wish: Wish, confirm: Confirm | None, *, dry_run: bool
) -> Declared:
    """Changes what an object asks for, as it is when the change arrives.

    The operator writes status whenever it likes. Where nobody has confirmed what was shown, a change that met such a
    write is made of the object as it is then.

    Args:
        cluster: Where.
        resource: Kind of the object.
        name: Its name.
        wish: The change, of the object as it was seen.
        confirm: Asks a person; None where no question is needed.
        dry_run: Have it checked only, and ask nobody.

    Raises:
        Declined: It was not confirmed, or cannot be meant as things stand.
        InvalidSettings: There is none of this name.
        KubeError: As for `declare`; `WriteConflict` when it changes all the time, or after a person's yes.
    """
    looks = stop_after_attempt(LOOKS if confirm is None else 1)
    async for attempt in AsyncRetrying(retry=retry_if_exception_type(WriteConflict), stop=looks, reraise=True):
        with attempt:
            one = await cluster.one(resource, MODELS[resource.kind], name)
            told = await declare(cluster, resource, one, wish(one), confirm, dry_run=dry_run)
    return told


def _change(one: TrainingRun | CheckpointPolicy, path: tuple[str, ...], value: Any) -> Change:
    before: Any = to_wire(one)
    for part in path:
        before = before.get(part) if isinstance(before, Mapping) else None
    return Change(field=".".join(path), before=before, after=value)


def _lines(told: Declared) -> list[str]:
    changes = (f"  {it.field}: {_value(it.before)} → {_value(it.after)}" for it in told.changes)
    return [f"{told.of} {told.namespace}/{told.name}:", *changes, *told.remarks]


def _value(value: Any) -> str:
    return "-" if value is None else printable(str(value).lower() if isinstance(value, bool) else str(value))


def show_declared(told: Declared, console: Console) -> None:
    """Prints what changed.

    Args:
        told: What to say.
        console: Where.
    """
    if not told.changes:
        console.print(Text(f"{told.of} {told.namespace}/{told.name} is so already."))
        return
    for line in _lines(told):
        console.print(Text(line), soft_wrap=True)
    if told.dry_run:
        console.print(Text("Nothing was changed: --dry-run.", "yellow"))


def asked_of_a_person(question: str) -> bool:
    """Asks on the terminal, on the stream that the result is not printed to.

    Raises:
        InvalidSettings: Nobody is there to be asked.
    """
    if not sys.stdin.isatty():
        raise InvalidSettings("nobody can be asked to confirm it here: say --yes if it is meant")
    return click.confirm(f"{question}\nGo on?", err=True)
