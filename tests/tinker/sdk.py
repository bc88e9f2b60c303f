"""The official SDK as the other side: our values as its values."""

from tinker import types

from tinker_operator.tinker import Datum, ImageChunk, ModelInput, Tensor


def theirs(tensor: Tensor) -> types.TensorData:
    sparse = tensor.sparse
    return types.TensorData(
        data=list(tensor.values),
        dtype=tensor.dtype.value,
        shape=list(tensor.shape),
        sparse_crow_indices=None if sparse is None else list(sparse.crow_indices),
        sparse_col_indices=None if sparse is None else list(sparse.col_indices),
    )


def their_input(given: ModelInput) -> types.ModelInput:
    chunks: list[types.ModelInputChunk] = []
    for chunk in given.chunks:
        if isinstance(chunk, ImageChunk):
            image = types.ImageChunk(data=chunk.data, format=chunk.format.value, expected_tokens=chunk.expected_tokens)
            chunks.append(image)
        else:
            chunks.append(types.EncodedTextChunk(tokens=list(chunk.tokens)))
    return types.ModelInput(chunks=chunks)


def their_datum(datum: Datum) -> types.Datum:
    inputs = {name: theirs(tensor) for name, tensor in datum.loss_fn_inputs.items()}
    return types.Datum(model_input=their_input(datum.model_input), loss_fn_inputs=inputs)
