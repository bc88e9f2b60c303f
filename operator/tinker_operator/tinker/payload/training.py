"""What goes into a training step and what comes out of it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

from tinker_operator.tinker.errors import CallNotPossible
from tinker_operator.tinker.payload.inputs import ModelInput
from tinker_operator.tinker.payload.tensors import DType, Nested, Tensor

LossName: TypeAlias = Literal[
    "cross_entropy", "importance_sampling", "ppo", "cispo", "dro", "gspo", "stable_reinforce", "custom"
]
LossConfig: TypeAlias = Mapping[str, float | str]
_INDEX_BYTES: Final = 8
_KNOWN_INPUTS: Final = MappingProxyType(
    {
        "target_tokens": DType.INT64,
        "weights": DType.FLOAT32,
        "advantages": DType.FLOAT32,
        "logprobs": DType.FLOAT32,
        "clip_low_threshold": DType.FLOAT32,
        "clip_high_threshold": DType.FLOAT32,
        "sequence_ratio_mask": DType.FLOAT32,
    }
)


@dataclass(frozen=True, slots=True)
class Datum:
    """One example.

    Args:
        model_input: What the model reads.
        loss_fn_inputs: What the loss needs beside it, by name. Plain lists become tensors of the kind that the name
            has (`target_tokens` whole numbers; `weights`, `advantages`, `logprobs` and the like fractions).

    Raises:
        CallNotPossible: A list is ragged, holds no numbers, or goes by a name whose kind is not known.
    """

    model_input: ModelInput
    loss_fn_inputs: Mapping[str, Tensor]

    def __init__(self, model_input: ModelInput, loss_fn_inputs: Mapping[str, Tensor | Nested]) -> None:
        tensors = {name: _tensor(name, value) for name, value in loss_fn_inputs.items()}
        object.__setattr__(self, "model_input", model_input)
        object.__setattr__(self, "loss_fn_inputs", MappingProxyType(tensors))

    @property
    def bytes_count(self) -> int:
        """How many bytes travel, but for a few."""
        return self.model_input.bytes_count + sum(map(_tensor_bytes, self.loss_fn_inputs.values()))


def _tensor(name: str, value: Tensor | Nested) -> Tensor:
    if isinstance(value, Tensor):
        return value
    if name not in _KNOWN_INPUTS:
        raise CallNotPossible(f"The kind of {name!a} is not known", "Give it as a Tensor.")
    return Tensor.of(value, _KNOWN_INPUTS[name])


def _tensor_bytes(tensor: Tensor) -> int:
    indices = (*tensor.sparse.crow_indices, *tensor.sparse.col_indices) if tensor.sparse else ()
    return len(tensor.content) + _INDEX_BYTES * len(indices)


@dataclass(frozen=True, slots=True)
class AdamParams:
    """How one optimizer step is made; the defaults are those of the official client.

    Args:
        learning_rate: The size of the step.
        beta1: Decay of the mean of gradients.
        beta2: Decay of the mean of their squares.
        eps: Added to the denominator.
        weight_decay: Decoupled, as in AdamW.
        grad_clip_norm: The longest gradient; 0 does not clip.
    """

    learning_rate: float = 1e-4
    beta1: float = 0.9
    beta2: float = 0.95
    eps: float = 1e-12
    weight_decay: float = 0.0
    grad_clip_norm: float = 0.0

    def to_json(self) -> dict[str, float]:
        """Give the form that the wire has."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class ForwardBackwardOutput:
    """What a pass over a batch came to.

    Args:
        loss_fn_output_type: The service's name for the kind of outputs.
        loss_fn_outputs: One mapping per example, in the batch's order: `logprobs`, and what else the loss gives.
        metrics: By `name:reduction`; `loss:sum` is the loss of the whole batch.
    """

    loss_fn_output_type: str
    loss_fn_outputs: Sequence[Mapping[str, Tensor]] = field(repr=False)
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class OptimStepOutput:
    """What an optimizer step came to.

    Args:
        metrics: What the service tells of it; often nothing.
    """

    metrics: Mapping[str, float]
