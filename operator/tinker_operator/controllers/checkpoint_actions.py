"""What is done to checkpoints at the service; the actuator calls it."""

from collections.abc import Callable

from tinker_operator.controllers.translate import observed_checkpoint, weights_seen
from tinker_operator.core.policy_group import is_pinned
from tinker_operator.core.world import (
    CheckpointMissing,
    DeleteCheckpoint,
    Done,
    NotWanted,
    ObservedCheckpoint,
    Outcome,
    PreconditionFailed,
    PublishCheckpoint,
    ReadWeights,
    SetCheckpointTtl,
    UnpublishCheckpoint,
    WeightsRead,
)
from tinker_operator.tinker.client import TinkerClient
from tinker_operator.tinker.errors import Conflict, NotFound
from tinker_operator.tinker.paths import TinkerPath

StillDue = Callable[[], bool]
"""Judges a deletion once more on what is known at that very moment; it does not await."""
CheckpointAction = DeleteCheckpoint | SetCheckpointTtl | ReadWeights | PublishCheckpoint | UnpublishCheckpoint


async def on_checkpoint(action: CheckpointAction, client: TinkerClient, still_due: StillDue) -> Outcome:
    """Does any of these. No call of it waits for the budget: what was judged must not change before it is done.

    Raises:
        TinkerError: The service did not answer, or did not do it.
    """
    async with client.reserved():
        return await _done(action, client, still_due)


async def _done(action: CheckpointAction, client: TinkerClient, still_due: StillDue) -> Outcome:
    match action:
        case DeleteCheckpoint():
            return await delete_checkpoint(action, client, still_due)
        case SetCheckpointTtl():
            return await set_checkpoint_ttl(action, client)
        case ReadWeights():
            return await read_weights(action, client)
        case PublishCheckpoint():
            return await publish_checkpoint(action, client, still_due)
        case UnpublishCheckpoint():
            return await unpublish_checkpoint(action, client, still_due)


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


async def read_weights(action: ReadWeights, client: TinkerClient) -> Outcome:
    """Reads what a checkpoint was trained as. That it is missing counts only if it is listed afterwards still.

    Raises:
        TinkerError: The service did not answer, or cannot tell.
    """
    try:
        return WeightsRead(weights_seen(await client.weights_info(TinkerPath.listed(action.path))))
    except NotFound:
        same = await _as_expected(action, client)
        return CheckpointMissing() if isinstance(same, ObservedCheckpoint) else same


async def publish_checkpoint(action: PublishCheckpoint, client: TinkerClient, still_wanted: StillDue) -> Outcome:
    """Looks again, judges again, publishes. Done means that this very call did it; nothing awaits before the call.

    Raises:
        TinkerError: The service did not answer, or did not do it.
    """
    present = await _as_expected(action, client)
    if isinstance(present, PreconditionFailed):
        return present
    if present.public:
        return PreconditionFailed(f"{action.path} is public: somebody else published it.")
    if not still_wanted():
        return NotWanted()
    try:
        await client.publish_checkpoint(TinkerPath.listed(action.path))
    except (NotFound, Conflict):
        return PreconditionFailed(f"{action.path} is gone, or somebody else published it.")
    return Done()


async def unpublish_checkpoint(action: UnpublishCheckpoint, client: TinkerClient, still_wanted: StillDue) -> Outcome:
    """Looks again, judges again, takes it back.

    Raises:
        TinkerError: The service did not answer, or did not do it.
    """
    present = await _as_expected(action, client)
    if isinstance(present, PreconditionFailed):
        return present
    if not present.public:
        return PreconditionFailed(f"{action.path} is private already.")
    if not still_wanted():
        return NotWanted()
    try:
        await client.unpublish_checkpoint(TinkerPath.listed(action.path))
    except (NotFound, Conflict):
        return PreconditionFailed(f"{action.path} is gone, or private already.")
    return Done()


async def _as_expected(
    action: ReadWeights | PublishCheckpoint | UnpublishCheckpoint, client: TinkerClient
) -> ObservedCheckpoint | PreconditionFailed:
    try:
        listed = {one.tinker_path: one for one in await client.checkpoints(action.run_id)}
    except NotFound:
        return PreconditionFailed(f"{action.path} is gone, and its run.")
    present = listed.get(action.path)
    if present is None:
        return PreconditionFailed(f"{action.path} is gone.")
    seen = observed_checkpoint(present, action.run_id)
    if (seen.time, seen.size_bytes) != (action.expected_time, action.expected_size):
        return PreconditionFailed(f"{action.path} was saved again since it was judged.")
    return seen


def _objection(action: DeleteCheckpoint, present: ObservedCheckpoint) -> str | None:
    if (present.time, present.size_bytes) != (action.expected_time, action.expected_size):
        return "saved again"
    if present.public:
        return "published"
    return "pinned" if is_pinned(present) else None
