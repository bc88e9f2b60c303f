"""The values of this package as protobuf messages, and back.

What is read comes from outside: a message that contradicts itself raises ValueError, which the client turns into an
answer that must not be trusted.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from math import isnan, prod
from types import MappingProxyType
from typing import Final, TypeVar

from google.protobuf.message import DecodeError

from tinker_operator.tinker.errors import CallNotPossible
from tinker_operator.tinker.payload.inputs import Chunk, ImageChunk
from tinker_operator.tinker.payload.sampling import SampledSequence, SampleResponse, StopReason, TopTokens
from tinker_operator.tinker.payload.tensors import DType, SparseRows, Tensor, packed, unpacked, width
from tinker_operator.tinker.payload.training import Datum, ForwardBackwardOutput, LossConfig
from tinker_operator.tinker.proto import tinker_public_pb2 as wire

M = TypeVar("M", wire.ForwardBackwardOutput, wire.SampleResponse)
_TO_WIRE: Final = {DType.FLOAT32: wire.DTYPE_FLOAT32, DType.INT64: wire.DTYPE_INT64}
_STOPS: Final = {wire.STOP_REASON_STOP: StopReason.STOP, wire.STOP_REASON_LENGTH: StopReason.LENGTH}
_INT32_WIDTH: Final = 4
_BFLOAT16_WIDTH: Final = 2
_MOST_EXAMPLES: Final = 1_000_000
"""Of a record: it can claim any number without a byte to show for it."""
_NO_TOKEN: Final = (0, -99999.0)
"""Stands in a row of likeliest tokens behind the last one."""


def forward_backward_request(
    model_id: str,
    seq_id: int,
    data: Iterable[Datum],
    loss_fn: str,
    loss_fn_config: LossConfig | None,
    *,
    forward_only: bool,
) -> bytes:
    """Write a request; the same arguments give the same bytes.

    Raises:
        CallNotPossible: A number or a text cannot be written.
    """
    try:
        message = wire.ForwardBackwardRequest(
            model_id=model_id, seq_id=seq_id, loss_fn=loss_fn, forward_only=forward_only
        )
        _write_config(message, loss_fn_config or {})
        message.data.extend(_datum_message(datum) for datum in data)
        return message.SerializeToString(deterministic=True)
    except (TypeError, ValueError) as fault:
        cause = str(fault)
    raise CallNotPossible(f"The batch cannot be written: {cause}")


def _write_config(message: wire.ForwardBackwardRequest, config: LossConfig) -> None:
    """Write numbers twice, as the official client does: older services read only the first form."""
    for name, value in config.items():
        if isinstance(value, str):
            message.loss_fn_config_v2[name].text = value
        else:
            message.loss_fn_config[name] = value
            message.loss_fn_config_v2[name].number = value


def _datum_message(datum: Datum) -> wire.Datum:
    inputs = {name: tensor_message(tensor) for name, tensor in datum.loss_fn_inputs.items()}
    return wire.Datum(model_input=map(_chunk_message, datum.model_input.chunks), loss_fn_inputs=inputs)


def _chunk_message(chunk: Chunk) -> wire.Chunk:
    if isinstance(chunk, ImageChunk):
        image = wire.ImageChunk(data=chunk.data, format=chunk.format.value, expected_tokens=chunk.expected_tokens)
        return wire.Chunk(image=image)
    return wire.Chunk(encoded_text=wire.EncodedTextChunk(tokens=packed("i", chunk.tokens)))


def tensor_message(tensor: Tensor) -> wire.Tensor:
    """Write a tensor."""
    message = wire.Tensor(dtype=_TO_WIRE[tensor.dtype], shape=tensor.shape)
    if tensor.sparse is None:
        message.dense = tensor.content
    else:
        message.sparse_csr.values = tensor.content
        message.sparse_csr.crow_indices = packed("q", tensor.sparse.crow_indices)
        message.sparse_csr.col_indices = packed("q", tensor.sparse.col_indices)
    return message


def tensor_of(message: wire.Tensor) -> Tensor:
    """Read a tensor; narrower numbers are widened.

    Raises:
        ValueError: It contradicts itself.
    """
    sparse = message.sparse_csr if message.HasField("sparse_csr") else None
    dtype, content = _widened(message.dtype, message.dense if sparse is None else sparse.values)
    if sparse is None:
        return Tensor(dtype, tuple(message.shape), content)
    rows = SparseRows(unpacked("q", sparse.crow_indices), unpacked("q", sparse.col_indices))
    return Tensor(dtype, tuple(message.shape), content, rows)


def forward_backward_output(content: bytes) -> ForwardBackwardOutput:
    """Read the result of a pass.

    Raises:
        ValueError: It is no such message, or contradicts itself.
    """
    message = _parsed(wire.ForwardBackwardOutput(), content)
    outputs = tuple(output for record in message.loss_fn_outputs for output in _outputs(record))
    kind = message.loss_fn_output_type.rsplit(":", 1)[-1] or "ArrayRecord"
    return ForwardBackwardOutput(kind, outputs, MappingProxyType(dict(message.metrics)))


def _outputs(record: wire.ArrayRecord) -> Iterator[Mapping[str, Tensor]]:
    """Give one mapping per example. Records written before they counted their examples are as long as their fields."""
    fields = {name: tuple(_rows(batched)) for name, batched in record.fields.items()}
    count = record.num_datums or max(map(len, fields.values()), default=0)
    if count > _MOST_EXAMPLES:
        raise ValueError(f"a record claims {count} examples")
    if any(len(rows) != count for rows in fields.values()):
        raise ValueError(f"a record of {count} examples has a field of another length")
    for place in range(count):
        yield MappingProxyType({name: rows[place] for name, rows in fields.items()})


def _rows(batched: wire.BatchedTensor) -> Iterator[Tensor]:
    """Cut what all examples have in one run of bytes."""
    offsets: Sequence[int] = unpacked("q", batched.offsets)
    if any(not 0 <= start <= end <= len(batched.data) for start, end in pairwise(offsets)):
        raise ValueError("the offsets of a field do not lie within it")
    trailing = tuple(batched.trailing_shape)
    for start, end in pairwise(offsets):
        dtype, content = _widened(batched.dtype, batched.data[start:end])
        row = prod(trailing) * width(dtype)
        yield Tensor(dtype, (len(content) // row if row else 0, *trailing), content)


def _widened(dtype: int, content: bytes) -> tuple[DType, bytes]:
    """Read the two narrow kinds as the wide ones: a bfloat16 is the upper half of a float32."""
    if dtype == wire.DTYPE_INT32:
        return DType.INT64, packed("q", unpacked("i", content))
    if dtype == wire.DTYPE_BFLOAT16:
        halves = range(0, len(content), _BFLOAT16_WIDTH)
        return DType.FLOAT32, b"".join(b"\0\0" + content[at : at + _BFLOAT16_WIDTH] for at in halves)
    for ours, theirs in _TO_WIRE.items():
        if theirs == dtype:
            return ours, content
    raise ValueError(f"numbers of the kind {dtype} are not known")


def sample_response(content: bytes, sequence_ids: Sequence[str]) -> SampleResponse:
    """Read samples.

    Args:
        content: The message.
        sequence_ids: What the service called them when it took the request.

    Raises:
        ValueError: It is no such message, or contradicts itself or the request.
    """
    message = _parsed(wire.SampleResponse(), content)
    if len(message.sequences) != len(sequence_ids):
        raise ValueError(f"{len(message.sequences)} samples came for {len(sequence_ids)}")
    sequences = tuple(map(_sequence, message.sequences, sequence_ids))
    prompt = unpacked("f", message.prompt_logprobs) if message.prompt_logprobs else None
    return SampleResponse(
        sequences,
        None if prompt is None else tuple(None if isnan(logprob) else logprob for logprob in prompt),
        _top_tokens(message.topk_prompt_logprobs) if message.HasField("topk_prompt_logprobs") else None,
        message.prompt_cache_hit_tokens,
    )


def _sequence(message: wire.SampledSequence, sequence_id: str) -> SampledSequence:
    if message.stop_reason not in _STOPS:
        raise ValueError(f"the stop reason {message.stop_reason} is not known")
    topk = message.topk_sampled_logprobs if message.HasField("topk_sampled_logprobs") else None
    return SampledSequence(
        sequence_id,
        _STOPS[message.stop_reason],
        unpacked("i", message.tokens),
        unpacked("f", message.logprobs) if message.logprobs else None,
        None if topk is None else _top_tokens(topk),
    )


def _top_tokens(message: wire.TopkLogprobs) -> TopTokens | None:
    """Read the matrix row by row, without what only fills a row up."""
    if not message.length or not message.k:
        return None
    cells = message.length * message.k * _INT32_WIDTH
    if (len(message.token_ids), len(message.logprobs)) != (cells, cells):
        raise ValueError("the likeliest tokens do not fill their matrix")
    pairs = tuple(zip(unpacked("i", message.token_ids), unpacked("f", message.logprobs), strict=True))
    rows = (pairs[start : start + message.k] for start in range(0, len(pairs), message.k))
    return tuple(_without_filling(row) or None for row in rows)


def _without_filling(row: tuple[tuple[int, float], ...]) -> tuple[tuple[int, float], ...]:
    if row[0] == _NO_TOKEN:
        return ()
    while row and row[-1] == _NO_TOKEN:
        row = row[:-1]
    return row


def _parsed(message: M, content: bytes) -> M:
    try:
        message.ParseFromString(content)
    except DecodeError:
        raise ValueError("it is no message of the kind") from None
    return message
