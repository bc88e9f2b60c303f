"""The batch of a `forward_backward` request as the model reads it.

Called twice: when the request is submitted, so that a malformed one is refused, and when it is run.
"""

import numpy as np

from tinker_operator.tinker.proto import tinker_public_pb2 as wire
from tinker_simulator.learning.adapter import Array, seed_from
from tinker_simulator.learning.losses import LossInputError
from tinker_simulator.learning.training import Example

_TYPES: dict[int, str] = {
    wire.DTYPE_FLOAT32: "<f4",
    wire.DTYPE_INT64: "<i8",
    wire.DTYPE_INT32: "<i4",
}


def examples_of(asked: wire.ForwardBackwardRequest) -> tuple[Example, ...]:
    """The data of the request.

    Raises:
        LossInputError: a datum cannot be read, or lacks its targets.
    """
    return tuple(_example(datum) for datum in asked.data)


def loss_config_of(asked: wire.ForwardBackwardRequest) -> dict[str, float]:
    """Numbers that tune the loss; the newer field wins over the older one."""
    newer = {name: value.number for name, value in asked.loss_fn_config_v2.items() if value.WhichOneof("value")}
    return {**asked.loss_fn_config, **newer}


def _example(datum: wire.Datum) -> Example:
    if "target_tokens" not in datum.loss_fn_inputs:
        raise LossInputError("loss_fn_inputs lacks 'target_tokens'. Send one row of them per input token.")
    tokens = tuple(token for chunk in datum.model_input for token in _tokens(chunk))
    if not tokens:
        raise LossInputError("A datum has no input tokens. Send at least one.")
    inputs = {name: _tensor(name, tensor) for name, tensor in datum.loss_fn_inputs.items()}
    targets = inputs.pop("target_tokens").astype(np.int64)
    floats: dict[str, Array] = {name: value.astype(np.float32) for name, value in inputs.items()}
    return Example(tokens, targets, floats)


def _tokens(chunk: wire.Chunk) -> list[int]:
    match chunk.WhichOneof("chunk"):
        case "encoded_text":
            numbers: list[int] = np.frombuffer(chunk.encoded_text.tokens, "<i4").tolist()
            return numbers
        case "image":
            # An image counts as many tokens as it says and means one thing: its bytes.
            meaning = seed_from(chunk.image.data.hex()) >> 1
            return [meaning] * max(1, chunk.image.expected_tokens)
        case other:
            raise LossInputError(f"Chunks of type {other} are not understood. Send text or images.")


def _tensor(name: str, tensor: wire.Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
    if tensor.WhichOneof("encoding") == "sparse_csr" or tensor.dtype not in _TYPES:
        raise LossInputError(f"'{name}' is sparse or of a type that is not understood. Send dense float32 or int64.")
    try:
        values = np.frombuffer(tensor.dense, _TYPES[tensor.dtype])
        return values.reshape(tuple(tensor.shape) or values.shape)
    except ValueError as unfit:
        raise LossInputError(f"'{name}' has {len(tensor.dense)} bytes, which do not fit its shape.") from unfit
