"""What is done to checkpoints at the service; the actuator calls it."""

from collections.abc import Callable

from tinker_operator.controllers.translate import observed_checkpoint
from tinker_operator.core.policy_group import is_pinned
from tinker_operator.core.world import (
    DeleteCheckpoint,
    Done,
    ObservedCheckpoint,
    Outcome,
    PreconditionFailed,
    SetCheckpointTtl,
)
from tinker_operator.tinker.client import TinkerClient
from tinker_operator.tinker.errors import NotFound
from tinker_operator.tinker.paths import TinkerPath

StillDue = Callable[[], bool]
"""Judges a deletion once more on what is known at that very moment; it does not await."""


async def delete_checkpoint(action: DeleteCheckpoint, client: TinkerClient, still_due: StillDue) -> Outcome:
    """Looks again, judges again, deletes. Done means that this very call deleted it; nothing awaits before the call.

    Raises:
        TinkerError: The service did not answer, or did not do it.
    """
    listed = {one.tinker_path: one for one in await client.checkpoints(action.run_id)}
    present = listed.get(action.path)
    if present is None:
        return PreconditionFailed(f"{action.path} is gone: somebody else deleted it.")
    if objection := _objection(action, observed_checkpoint(present, action.run_id)):
        return PreconditionFailed(f"{action.path} was {objection} since it was judged.")
    if not still_due():
        return PreconditionFailed(f"{action.path} is kept by now.")
    try:
        await client.delete_checkpoint(TinkerPath.listed(action.path))
    except NotFound:
        return PreconditionFailed(f"{action.path} is gone: somebody else deleted it.")
    return Done()


async def set_checkpoint_ttl(action: SetCheckpointTtl, client: TinkerClient) -> Outcome:
    """Says how long a checkpoint lives.

    Raises:
        TinkerError: The service did not do it.
    """
    try:
        await client.set_checkpoint_ttl(TinkerPath.listed(action.path), action.seconds)
    except NotFound:
        return PreconditionFailed(f"{action.path} is gone: it was deleted or it expired.")
    return Done()


def _objection(action: DeleteCheckpoint, present: ObservedCheckpoint) -> str | None:
    if (present.time, present.size_bytes) != (action.expected_time, action.expected_size):
        return "saved again"
    if present.public:
        return "published"
    return "pinned" if is_pinned(present) else None
