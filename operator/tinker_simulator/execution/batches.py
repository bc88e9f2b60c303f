"""The batch of a `forward_backward` request as the model reads it.

Called twice: when the request is submitted, so that one that nobody could run is refused, and when it is run.
"""

import numpy as np

from tinker_operator.tinker.proto import tinker_public_pb2 as wire
from tinker_simulator.execution.pieces import tokens_of_datum
from tinker_simulator.learning.adapter import Array
from tinker_simulator.learning.losses import LOSSES, LossInputError
from tinker_simulator.learning.training import Example

_TYPES: dict[int, str] = {
    wire.DTYPE_FLOAT32: "<f4",
    wire.DTYPE_INT64: "<i8",
    wire.DTYPE_INT32: "<i4",
}

_AnyArray = np.ndarray[tuple[int, ...], np.dtype[np.generic]]


def examples_of(asked: wire.ForwardBackwardRequest) -> tuple[Example, ...]:
    """The data of the request.

    Raises:
        LossInputError: a datum cannot be read, or lacks its targets.
    """
    return tuple(_example(datum) for datum in asked.data)


def loss_config_of(asked: wire.ForwardBackwardRequest) -> dict[str, float]:
    """Numbers that tune the loss; the newer field wins over the older one.

    Raises:
        LossInputError: the loss knows no number of that name, or it is none.
    """
    tuned_by = LOSSES[asked.loss_fn].tuned_by
    config = dict(asked.loss_fn_config)
    for name, value in asked.loss_fn_config_v2.items():
        if value.WhichOneof("value") != "number":
            raise LossInputError(f"loss_fn_config '{name}' is not a number. Give one.")
        config[name] = value.number
    if unknown := sorted(set(config) - tuned_by):
        known = ", ".join(sorted(tuned_by)) or "nothing"
        raise LossInputError(f"Loss {asked.loss_fn!r} is not tuned by '{unknown[0]}'. It is tuned by: {known}.")
    return config


def _example(datum: wire.Datum) -> Example:
    if "target_tokens" not in datum.loss_fn_inputs:
        raise LossInputError("loss_fn_inputs lacks 'target_tokens'. Send one row of them per input token.")
    tokens = tokens_of_datum(datum.model_input)
    inputs = {name: _tensor(name, tensor) for name, tensor in datum.loss_fn_inputs.items()}
    targets = inputs.pop("target_tokens").astype(np.int64)
    floats: dict[str, Array] = {name: value.astype(np.float32) for name, value in inputs.items()}
    return Example(tokens, targets, floats)


def _tensor(name: str, tensor: wire.Tensor) -> _AnyArray:
    if tensor.dtype not in _TYPES:
        raise LossInputError(f"'{name}' is of a type that is not understood. Send float32 or int64.")
    sparse = tensor.WhichOneof("encoding") == "sparse_csr"
    try:
        return _spread(tensor) if sparse else _dense(tensor)
    except (ValueError, IndexError) as unfit:
        size = len(tensor.sparse_csr.values if sparse else tensor.dense)
        raise LossInputError(f"'{name}' has {size} bytes, which do not fit its shape.") from unfit


def _dense(tensor: wire.Tensor) -> _AnyArray:
    values = np.frombuffer(tensor.dense, _TYPES[tensor.dtype])
    return values.reshape(tuple(tensor.shape) or values.shape)


def _spread(tensor: wire.Tensor) -> _AnyArray:
    """A matrix in compressed rows, spread out; what is not listed is 0."""
    rows, columns = tensor.shape
    starts, places = (
        np.frombuffer(part, "<i8") for part in (tensor.sparse_csr.crow_indices, tensor.sparse_csr.col_indices)
    )
    if len(starts) != rows + 1:
        raise ValueError("one start per row, and one end")
    matrix = np.zeros((rows, columns), _TYPES[tensor.dtype])
    matrix[np.repeat(np.arange(rows), np.diff(starts)), places] = np.frombuffer(
        tensor.sparse_csr.values, _TYPES[tensor.dtype]
    )
    return matrix
