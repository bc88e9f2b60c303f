"""Makes the run that a loop trains: from the hand-over's checkpoint when there is one, else a fresh one.

Called once at the start of a loop and once after each recovery. The SDK cannot attach to a run of another session, so
going on always means a new run made from a checkpoint.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import tinker

from tinker_operator.trainer.errors import CheckpointUnusable
from tinker_operator.trainer.handover import HandOver
from tinker_operator.trainer.sources import HandOverSource, source_from

RESUMED_AT: Final = "tinker-operator.dev/resumed-at"
"""Metadata key that a loop sets on the runs it makes; the operator's own runs never carry it."""

STEP: Final = "step"
"""Metadata key of a checkpoint: how many steps were done when it was saved."""


@dataclass(frozen=True, slots=True)
class Resumed:
    """A run that is ready to be trained.

    Attributes:
        training_client: The SDK's client of the run.
        training_run_id: Id of the run.
        start_step: Steps that are done already: 0 for a fresh run, else the checkpoint's step.
        attempt: Attempt of the hand-over that was followed; 0 without one.
        checkpoint: Where the weights came from; None for a fresh run.
        fresh: Whether the run started from the base model.
    """

    training_client: tinker.TrainingClient
    training_run_id: str
    start_step: int
    attempt: int
    checkpoint: str | None
    fresh: bool


def wall_clock() -> datetime:
    """The time of day, with its zone."""
    return datetime.now(UTC)  # noqa: TID251  # the default of a `clock` argument: a user's loop is a composition root


def step_in_metadata(checkpoint: tinker.Checkpoint) -> int:
    """The step that a `Checkpointer` wrote into the checkpoint's user_metadata.

    Raises:
        CheckpointUnusable: When there is none, or it is no whole number.
    """
    text = (checkpoint.user_metadata or {}).get(STEP)
    if text is None or not text.isdecimal():
        raise CheckpointUnusable(
            f"The checkpoint {checkpoint.tinker_path} does not say its step (user_metadata {STEP!r} is {text!r}).",
            remedy="Save with tinker_operator.trainer.Checkpointer, or pass step_of= to tell the step by other means.",
        )
    return int(text)


def resume(
    service_client: tinker.ServiceClient,
    *,
    base_model: str,
    lora_rank: int,
    seed: int | None = None,
    train_mlp: bool = True,
    train_attn: bool = True,
    train_unembed: bool = True,
    handover: HandOver | None = None,
    source: HandOverSource | None = None,
    user_metadata: Mapping[str, str] | None = None,
    rest_client: tinker.RestClient | None = None,
    step_of: Callable[[tinker.Checkpoint], int] = step_in_metadata,
    clock: Callable[[], datetime] = wall_clock,
) -> Resumed:
    """Make the run to train now.

    Args:
        service_client: Makes the run; the run lives as long as its session.
        base_model: Model of the training. A checkpoint of another model is refused.
        lora_rank: Rank of the adapter. A checkpoint of another rank is refused.
        seed: Seed of a fresh adapter; without meaning for a resumed one.
        train_mlp: Whether a fresh adapter trains the MLP layers; a resumed one takes it from its checkpoint.
        train_attn: Same for the attention layers.
        train_unembed: Same for the unembedding layer.
        handover: The hand-over to follow; None reads it from `source`.
        source: Where to read it; None means what TINKER_OPERATOR_HANDOVER names, and nowhere when that is not set.
        user_metadata: Metadata for the run; the hand-over's keys win over these.
        rest_client: Looks the checkpoint up; needed only where `service_client` was not configured by the environment.
        step_of: Tells the step of a checkpoint that was not saved by `Checkpointer`.
        clock: The time of day, for the metadata of the run.

    Raises:
        CheckpointUnusable: When the checkpoint is gone, is of another model or rank, or does not say its step. No run
            was made then.
        TrainerError: When the hand-over cannot be read.
        tinker.TinkerError: When the service refuses.
    """
    follow = handover or (source or source_from()).read()
    metadata = _metadata(user_metadata or {}, follow, clock)
    if follow is None or follow.checkpoint is None:
        client = service_client.create_lora_training_client(
            base_model,
            rank=lora_rank,
            seed=seed,
            train_mlp=train_mlp,
            train_attn=train_attn,
            train_unembed=train_unembed,
            user_metadata=metadata,
        ).result()
        return Resumed(client, client.model_id, 0, follow.attempt if follow else 0, None, fresh=True)
    rest = rest_client or tinker.RestClient()
    start_step = step_of(_find(follow.checkpoint, rest))
    _require_fit(follow.checkpoint, rest, base_model=base_model, lora_rank=lora_rank)
    client = _restore(service_client, follow.checkpoint, with_optimizer=follow.restore_optimizer, metadata=metadata)
    return Resumed(client, client.model_id, start_step, follow.attempt, follow.checkpoint, fresh=False)


def _metadata(own: Mapping[str, str], follow: HandOver | None, clock: Callable[[], datetime]) -> dict[str, str]:
    if follow is None:
        return dict(own)
    return {**own, **follow.user_metadata, RESUMED_AT: clock().isoformat(timespec="seconds")}


def _restore(
    service_client: tinker.ServiceClient, path: str, *, with_optimizer: bool, metadata: dict[str, str]
) -> tinker.TrainingClient:
    if with_optimizer:
        return service_client.create_training_client_from_state_with_optimizer(path, user_metadata=metadata).result()
    return service_client.create_training_client_from_state(path, user_metadata=metadata).result()


def _find(path: str, rest: tinker.RestClient) -> tinker.Checkpoint:
    # No call of the service returns a single checkpoint: its run's list is what there is.
    try:
        run = tinker.ParsedCheckpointTinkerPath.from_tinker_path(path).training_run_id
        listed = rest.list_checkpoints(run).result().checkpoints
    except (ValueError, tinker.NotFoundError) as error:
        raise _gone(path) from error
    for checkpoint in listed:
        if checkpoint.tinker_path == path:
            return checkpoint
    raise _gone(path)


def _require_fit(path: str, rest: tinker.RestClient, *, base_model: str, lora_rank: int) -> None:
    info = rest.get_weights_info_by_tinker_path(path).result()
    found = (info.base_model, info.lora_rank)
    # A service may leave the rank out; only what it says can contradict.
    if found not in {(base_model, lora_rank), (base_model, None)}:
        raise CheckpointUnusable(
            f"The checkpoint {path} is of {info.base_model} with rank {info.lora_rank}, "
            f"the loop wants {base_model} with rank {lora_rank}.",
            remedy="Start the loop with the checkpoint's model and rank, or give the new training its own TrainingRun.",
        )


def _gone(path: str) -> CheckpointUnusable:
    return CheckpointUnusable(
        f"The service lists no checkpoint {path}.",
        remedy="See with `tinker checkpoint list` what is left, and have the TrainingRun recover from that "
        "(checkpointStrategy: Specific).",
    )
