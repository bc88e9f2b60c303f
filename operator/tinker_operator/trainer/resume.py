"""Makes the run that a loop trains: from the hand-over's checkpoint when there is one, else a fresh one.

Called once at the start of a loop and once after each recovery. The SDK cannot attach to a run of another session, so
going on always means a new run made from a checkpoint.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import tinker

from tinker_operator.trainer.errors import CheckpointUnfit, CheckpointUnusable
from tinker_operator.trainer.handover import HandOver, Mode
from tinker_operator.trainer.sources import HandOverSource, source_from
from tinker_operator.trainer.waiting import attempt_from, current_hand_over

RESUMED_AT: Final = "tinker-operator.dev/resumed-at"
"""Metadata key that a loop sets on the runs it makes; the operator's own runs never carry it."""

STEP: Final = "step"
"""Metadata key of a checkpoint: how many steps were done when it was saved."""

_DIGITS: Final = 18
_REFUSAL: Final = frozenset({400, 404, 410, 422})


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
        mode: How a lost run comes back, as the hand-over says it.
        schedule: When to save, as the hand-over says it; empty where it does not.
        saved: What the checkpoints up to this one say of themselves, as far as they are of the same run.
    """

    training_client: tinker.TrainingClient
    training_run_id: str
    start_step: int
    attempt: int
    checkpoint: str | None
    fresh: bool
    mode: Mode = Mode.RECREATE
    schedule: Mapping[str, Any] = field(default_factory=dict, compare=False)
    saved: tuple[Mapping[str, str], ...] = field(default=(), compare=False)


def wall_clock() -> datetime:
    """The time of day, with its zone."""
    return datetime.now(UTC)  # noqa: TID251  # the default of a `clock` argument: a user's loop is a composition root


def step_in_metadata(checkpoint: tinker.Checkpoint) -> int:
    """The step that a `Checkpointer` wrote into the checkpoint's user_metadata.

    Raises:
        CheckpointUnfit: When there is none, or it is no whole number.
    """
    text = (checkpoint.user_metadata or {}).get(STEP)
    if text is None or not text.isdecimal():
        raise CheckpointUnfit(
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
    checkpoint: str | None = None,
    restore_optimizer: bool = True,
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
        source: Where to read it; None means what `source_from()` finds. In a pod that the operator started, the
            document of its attempt is waited for.
        checkpoint: Where to start from while no hand-over names a checkpoint; None means the base model.
        restore_optimizer: Whether the optimizer's state comes back with `checkpoint`.
        user_metadata: Metadata for the run; the hand-over's keys win over these.
        rest_client: Looks the checkpoint up; needed only where `service_client` was not configured by the environment.
        step_of: Tells the step of a checkpoint that was not saved by `Checkpointer`.
        clock: The time of day, for the metadata of the run.

    Raises:
        CheckpointUnusable: When the checkpoint is gone or does not load. No run that could be trained was made then.
        CheckpointUnfit: When it is of another model or rank, or does not say its step. No run was made then.
        Superseded: When the operator has started a later attempt than this pod's.
        HandOverLate: When the document of this pod's attempt did not arrive.
        TrainerError: When the hand-over cannot be read.
        tinker.TinkerError: When the service refuses.
    """
    follow = handover or current_hand_over(source or source_from(), attempt=attempt_from())
    attempt, mode, schedule = (follow.attempt, follow.mode, follow.schedule) if follow else (0, Mode.RECREATE, {})
    metadata = _metadata(user_metadata or {}, follow, clock)
    path, with_optimizer = checkpoint, restore_optimizer
    if follow and follow.checkpoint:
        path, with_optimizer = follow.checkpoint, follow.restore_optimizer
    if path is None:
        client = service_client.create_lora_training_client(
            base_model,
            rank=lora_rank,
            seed=seed,
            train_mlp=train_mlp,
            train_attn=train_attn,
            train_unembed=train_unembed,
            user_metadata=metadata,
        ).result()
        return Resumed(client, client.model_id, 0, attempt, None, fresh=True, mode=mode, schedule=schedule)
    rest = rest_client or tinker.RestClient()
    found, listed = _find(path, rest)
    start_step = step_of(found)
    _require_fit(path, rest, base_model=base_model, lora_rank=lora_rank)
    client = _restore(service_client, path, with_optimizer=with_optimizer, metadata=metadata)
    saved = _saved_before(start_step, listed)
    return Resumed(client, client.model_id, start_step, attempt, path, False, mode, schedule, saved)


def _metadata(own: Mapping[str, str], follow: HandOver | None, clock: Callable[[], datetime]) -> dict[str, str]:
    if follow is None:
        return dict(own)
    return {**own, **follow.user_metadata, RESUMED_AT: clock().isoformat(timespec="seconds")}


def _restore(
    service_client: tinker.ServiceClient, path: str, *, with_optimizer: bool, metadata: dict[str, str]
) -> tinker.TrainingClient:
    make = (
        service_client.create_training_client_from_state_with_optimizer
        if with_optimizer
        else service_client.create_training_client_from_state
    )
    try:
        return make(path, user_metadata=metadata).result()
    except (tinker.APIStatusError, tinker.RequestFailedError) as error:
        if not _blames_the_request(error):
            raise
        raise CheckpointUnusable(
            f"The service does not load the checkpoint {path}: {str(error).rstrip('.')}.",
            remedy="Have the TrainingRun recover from another one (checkpointStrategy: Specific).",
        ) from error


def _blames_the_request(error: tinker.APIStatusError | tinker.RequestFailedError) -> bool:
    # Trouble of the service is no verdict on a checkpoint: only what it holds against the request itself is.
    if isinstance(error, tinker.APIStatusError):
        return error.status_code in _REFUSAL
    return error.category is tinker.types.RequestErrorCategory.User


def _find(path: str, rest: tinker.RestClient) -> tuple[tinker.Checkpoint, list[tinker.Checkpoint]]:
    # No call of the service returns a single checkpoint: its run's list is what there is.
    try:
        run = tinker.ParsedCheckpointTinkerPath.from_tinker_path(path).training_run_id
        listed = rest.list_checkpoints(run).result().checkpoints
    except (ValueError, tinker.NotFoundError) as error:
        raise _gone(path) from error
    for checkpoint in listed:
        if checkpoint.tinker_path == path:
            return checkpoint, listed
    raise _gone(path)


def _saved_before(step: int, listed: list[tinker.Checkpoint]) -> tuple[Mapping[str, str], ...]:
    # What the lost run saved later is of a way that the training does not go.
    told = (one.user_metadata or {} for one in listed)
    return tuple(one for one in told if _is_step(text := one.get(STEP, "")) and int(text) <= step)


def _is_step(text: str) -> bool:
    # What is longer is no number of steps, and too long for int() some day.
    return text.isdecimal() and len(text) <= _DIGITS


def _require_fit(path: str, rest: tinker.RestClient, *, base_model: str, lora_rank: int) -> None:
    info = rest.get_weights_info_by_tinker_path(path).result()
    found = (info.base_model, info.lora_rank)
    # A service may leave the rank out; only what it says can contradict.
    if found not in {(base_model, lora_rank), (base_model, None)}:
        raise CheckpointUnfit(
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
