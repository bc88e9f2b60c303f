"""`kubectl tinker publish` and `unpublish`: who may read one checkpoint, by a person's own decision.

What a policy publishes is the policy's: it would publish it again, so taking that back is declined. What a person
publishes no policy ever takes back, and every policy keeps it.
"""

import asyncio
from collections.abc import Iterable

import click
from pydantic import Field
from rich.text import Text

from tinker_operator.api.checkpoint_policy import CheckpointPolicy
from tinker_operator.api.meta import GROUP, VERSION, ApiModel
from tinker_operator.controllers.actuator import perform_remote
from tinker_operator.core.world import Done, ObservedCheckpoint, PublishCheckpoint, UnpublishCheckpoint
from tinker_operator.engine.kube_errors import KubeForbidden
from tinker_operator.plugin.declared import Confirm, asked_of_a_person
from tinker_operator.plugin.endings import DONE, Declined, Failed
from tinker_operator.plugin.names import path_argument
from tinker_operator.plugin.place import Place, placed
from tinker_operator.plugin.printing import formed, tell
from tinker_operator.plugin.services import Opened, opened
from tinker_operator.tinker.paths import TinkerPath


class Sharing(ApiModel):
    """Who may read a checkpoint."""

    api_version: str = f"{GROUP}/{VERSION}"
    kind: str = "Sharing"
    path: str = Field(description="Path at the service.")
    public: bool = Field(description="Whether everybody may read it.")
    changed: bool = Field(description="Whether it was otherwise before.")


@click.command()
@path_argument
@placed
@formed
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def publish(path: TinkerPath, place: Place, form: str, no_color: bool, yes: bool) -> int:
    """Let everybody look at a checkpoint, load it and sample from it.

    PATH is tinker://<run>/<kind>/<name>. No policy deletes what is public, nor takes back what it did not publish.
    """
    told = asyncio.run(_shared(path, place, None if yes else asked_of_a_person, public=True))
    return _told(told, form, no_color=no_color)


@click.command()
@path_argument
@placed
@formed
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def unpublish(path: TinkerPath, place: Place, form: str, no_color: bool, yes: bool) -> int:
    """Take a checkpoint back, unless a CheckpointPolicy publishes it.

    PATH is tinker://<run>/<kind>/<name>. Policies may delete it afterwards.
    """
    told = asyncio.run(_shared(path, place, None if yes else asked_of_a_person, public=False))
    return _told(told, form, no_color=no_color)


def publisher_of(path: str, policies: Iterable[CheckpointPolicy]) -> CheckpointPolicy | None:
    """Returns the policy that publishes a checkpoint; None if no policy does.

    Args:
        path: Of the checkpoint.
        policies: All that can be seen.
    """
    for policy in policies:
        section = policy.status.publishing
        if section is not None and any(it.path == path for it in section.checkpoints):
            return policy
    return None


async def _shared(path: TinkerPath, place: Place, confirm: Confirm | None, *, public: bool) -> Sharing:
    async with opened(place, path) as reach:
        before = await reach.listed()
        if not public:
            await _check_nobodys(reach)
        if before.public is public:
            return Sharing(path=str(path), public=public, changed=False)
        if confirm is not None and not confirm(_question(path, public=public)):
            raise Declined("not confirmed: nothing was changed.")
        if not public:
            await _check_nobodys(reach)
        outcome = await perform_remote(_action(before, public=public), None, reach.client)
        if not isinstance(outcome, Done):
            raise Failed(getattr(outcome, "message", "The service did not do it: look at it again."))
        return Sharing(path=str(path), public=public, changed=True)


def _action(it: ObservedCheckpoint, *, public: bool) -> PublishCheckpoint | UnpublishCheckpoint:
    """The operator's own: it looks again, and leaves alone what was saved anew while the person thought about it."""
    kind = PublishCheckpoint if public else UnpublishCheckpoint
    return kind(it.path, it.run_id, it.time, it.size_bytes)


async def _check_nobodys(reach: Opened) -> None:
    try:
        policies = await reach.cluster.policies(None)
    except KubeForbidden:
        policies = await reach.cluster.policies(reach.cluster.place.namespace)
    policy = publisher_of(str(reach.path), policies)
    if policy is not None:
        name = f"{policy.metadata.namespace}/{policy.metadata.name}"
        raise Declined(f"CheckpointPolicy {name} publishes it, and would again: change its spec.publish.")


def _question(path: TinkerPath, *, public: bool) -> str:
    if public:
        return f"{path}:\nEverybody may then look at it, load it and sample from it."
    return f"{path}:\nNobody else may then load it, and no policy keeps it for being public."


def _told(told: Sharing, form: str, *, no_color: bool) -> int:
    word = "public" if told.public else "private"
    line = Text(f"{told.path} is {word}{'' if told.changed else ' already'}.")
    tell(told, form, lambda console: console.print(line, soft_wrap=True), no_color=no_color)
    return DONE
