"""The operations on one model: what to send, and how to read what comes of it.

Every one has a number, counted per model from 1, in which order the service does them and by which it knows a
repetition. `TinkerClient.submit` sends one; the training client also counts.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import BaseModel, SecretStr

from tinker_operator.tinker import calls
from tinker_operator.tinker.calls import Call
from tinker_operator.tinker.faults import Answer
from tinker_operator.tinker.models import WeightsLoaded, WireModel
from tinker_operator.tinker.paths import TinkerPath
from tinker_operator.tinker.payload import wireform
from tinker_operator.tinker.payload.training import (
    AdamParams,
    Datum,
    ForwardBackwardOutput,
    LossConfig,
    OptimStepOutput,
)
from tinker_operator.tinker.service_models import SamplingSessionMade
from tinker_operator.tinker.transport import Transport
from tinker_operator.tinker.weights_models import Saved

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Operation(Generic[T_co]):
    """Work to submit.

    Args:
        call: What begins it.
        read: Reads its result.
        protobuf: Whether that is a protobuf message.
    """

    call: Call
    read: Callable[[Transport, Answer], T_co]
    protobuf: bool = False


class _Stepped(WireModel):
    metrics: dict[str, float] | None = None


def forward_backward(
    model_id: str,
    seq_id: int,
    data: Iterable[Datum],
    loss_fn: str,
    loss_fn_config: LossConfig | None = None,
    *,
    forward_only: bool = False,
) -> Operation[ForwardBackwardOutput]:
    """Sum the gradient of a loss; `forward_only` computes the loss and leaves the gradient alone.

    Raises:
        CallNotPossible: A number or a text cannot be written.
    """
    content = wireform.forward_backward_request(
        model_id, seq_id, data, loss_fn, loss_fn_config, forward_only=forward_only
    )
    read = _message(wireform.forward_backward_output)
    return Operation(calls.forward_backward(content), read, protobuf=True)


def optim_step(model_id: str, seq_id: int, params: AdamParams) -> Operation[OptimStepOutput]:
    """Spend the summed gradient.

    Raises:
        CallNotPossible: A parameter is not finite.
    """
    return Operation(calls.optim_step(model_id, seq_id, params.to_json()), _model(_Stepped, _step_output))


def save_weights(
    model_id: str,
    seq_id: int,
    name: str,
    *,
    ttl_seconds: int | None = None,
    overwrite: bool = False,
    user_metadata: Mapping[str, str] | None = None,
) -> Operation[Saved]:
    """Store a checkpoint that training can go on from."""
    call = calls.save_weights(
        model_id, seq_id, name, ttl_seconds=ttl_seconds, overwrite=overwrite, user_metadata=user_metadata
    )
    return Operation(call, _model(Saved, _itself))


def save_weights_for_sampler(
    model_id: str,
    seq_id: int,
    name: str,
    *,
    ttl_seconds: int | None = None,
    user_metadata: Mapping[str, str] | None = None,
) -> Operation[Saved]:
    """Store a named checkpoint for sampling."""
    call = calls.save_weights_for_sampler(model_id, seq_id, name, ttl_seconds, user_metadata)
    return Operation(call, _model(Saved, _itself))


def snapshot_for_sampler(model_id: str, seq_id: int, sampling_session_seq_id: int) -> Operation[str]:
    """Open a sampling session on the weights of this moment; gives its id, and no checkpoint is listed."""
    call = calls.snapshot_for_sampler(model_id, seq_id, sampling_session_seq_id)
    return Operation(call, _model(SamplingSessionMade, _sampling_session))


def save_weights_external(
    model_id: str,
    seq_id: int,
    name: str,
    *,
    ttl_seconds: int | None = None,
    age_recipients: Sequence[str] = (),
) -> Operation[Saved]:
    """Store the weights as files for use outside the service, encrypted to the recipients where there are any."""
    call = calls.save_weights_external(model_id, seq_id, name, ttl_seconds, age_recipients)
    return Operation(call, _model(Saved, _itself))


def load_weights_into(
    model_id: str, seq_id: int, path: TinkerPath, *, optimizer: bool, weights_access_token: SecretStr | None = None
) -> Operation[WeightsLoaded]:
    """Load a checkpoint into a run that exists: the older form of loading."""
    call = calls.load_weights_into(model_id, seq_id, path, optimizer, weights_access_token)
    return Operation(call, _model(WeightsLoaded, _itself))


def _model(model: type[M], value: Callable[[M], T]) -> Callable[[Transport, Answer], T]:
    return lambda transport, answer: value(transport.read(answer, model))


def _message(decode: Callable[[bytes], T]) -> Callable[[Transport, Answer], T]:
    return lambda transport, answer: transport.decode(answer, decode)


def _itself(value: T) -> T:
    return value


def _step_output(said: _Stepped) -> OptimStepOutput:
    return OptimStepOutput(said.metrics or {})


def _sampling_session(made: SamplingSessionMade) -> str:
    return made.sampling_session_id
