"""Numbers go out and come back as the official SDK writes and reads them."""

from collections.abc import Callable
from itertools import accumulate
from math import isnan
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.tinker.pictures import jpeg, png
from tests.tinker.sdk import their_datum, theirs
from tinker import types
from tinker.proto import request_conv, response_conv
from tinker.proto import tinker_public_pb2 as sdk_wire

from tinker_operator.tinker import (
    CallNotPossible,
    Datum,
    DType,
    EncodedTextChunk,
    ImageChunk,
    ImageFormat,
    ModelInput,
    SparseRows,
    Tensor,
)
from tinker_operator.tinker.payload import wireform
from tinker_operator.tinker.payload.tensors import CODES, packed
from tinker_operator.tinker.proto import tinker_public_pb2 as wire

pytestmark = pytest.mark.pure

FLOATS = st.floats(width=32)
INTS = st.integers(-(2**63), 2**63 - 1)
NUMBERS = {DType.FLOAT32: FLOATS, DType.INT64: INTS}


@st.composite
def nested(draw: st.DrawFn, dtype: DType) -> Any:
    """Lists of up to three dimensions, some of them empty."""
    sizes = draw(st.lists(st.integers(0, 4), min_size=1, max_size=3))
    rows: Any = NUMBERS[dtype]
    for size in reversed(sizes):
        rows = st.lists(rows, min_size=size, max_size=size)
    return draw(rows)


@st.composite
def tensors(draw: st.DrawFn) -> Tensor:
    dtype = draw(st.sampled_from(DType))
    return Tensor.of(draw(nested(dtype)), dtype)


@st.composite
def sparse_tensors(draw: st.DrawFn) -> Tensor:
    rows, columns = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    listed = draw(st.lists(st.sets(st.integers(0, columns - 1)), min_size=rows, max_size=rows))
    places = tuple(column for row in listed for column in sorted(row))
    values = draw(st.lists(INTS, min_size=len(places), max_size=len(places)))
    crow = (0, *accumulate(map(len, listed)))
    return Tensor(DType.INT64, (rows, columns), packed("q", values), SparseRows(crow, places))


def same(left: Any, right: Any) -> bool:
    """Equal, and NaN where the other is NaN."""
    return repr(left) == repr(right)


@given(tensors() | sparse_tensors())
def test_a_tensor_is_written_as_the_sdk_writes_it(tensor: Tensor) -> None:
    ours = wireform.tensor_message(tensor).SerializeToString(deterministic=True)
    assert ours == request_conv._tensor_data_to_proto(theirs(tensor)).SerializeToString(deterministic=True)


@given(tensors() | sparse_tensors())
def test_a_tensor_comes_back_as_it_went_and_the_sdk_reads_the_same(tensor: Tensor) -> None:
    content = wireform.tensor_message(tensor).SerializeToString()
    assert wireform.tensor_of(wire.Tensor.FromString(content)) == tensor
    read = response_conv._tensor_data_from_proto(sdk_wire.Tensor.FromString(content))
    assert (read.dtype, tuple(read.shape or ())) == (tensor.dtype, tensor.shape)
    assert same(read.data, list(tensor.values))


@pytest.mark.parametrize("dtype", DType)
@given(data=st.data())
def test_lists_come_back_as_they_went(dtype: DType, data: st.DataObject) -> None:
    rows = data.draw(nested(dtype))
    tensor = Tensor.of(rows, dtype)
    assert same(tensor.tolist(), np.asarray(rows, dtype.value).reshape(tensor.shape).tolist())


@given(sparse_tensors(), st.integers(-3, 3))
def test_a_sparse_tensor_is_filled_up_between_what_it_lists(tensor: Tensor, filling: int) -> None:
    rows = tensor.tolist(filling)
    sparse = tensor.sparse
    assert sparse is not None
    listed = {
        (row, sparse.col_indices[place]): tensor.values[place]
        for row in range(tensor.shape[0])
        for place in range(sparse.crow_indices[row], sparse.crow_indices[row + 1])
    }
    assert rows == [
        [listed.get((row, column), filling) for column in range(tensor.shape[1])] for row in range(tensor.shape[0])
    ]


def test_an_array_of_any_library_goes_in_where_a_list_does() -> None:
    array = np.arange(6).reshape(2, 3)
    assert Tensor.of(array, DType.INT64) == Tensor.of(array.tolist(), DType.INT64)
    assert ModelInput.from_ints(np.arange(3)) == ModelInput.from_ints([0, 1, 2])
    assert len(Tensor.of(array, DType.INT64)) == 2


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: Tensor.of([[1, 2], [3]], DType.INT64), id="rows of two lengths"),
        pytest.param(lambda: Tensor.of([[1], 2], DType.INT64), id="a row beside a number"),
        pytest.param(lambda: Tensor.of([1.5], DType.INT64), id="a fraction where whole numbers go"),
        pytest.param(lambda: Tensor.of(["1"], DType.FLOAT32), id="a text"),
        pytest.param(lambda: Tensor.of([None], DType.FLOAT32), id="nothing"),
        pytest.param(lambda: Tensor.of([2**63], DType.INT64), id="a number that is too large"),
        pytest.param(lambda: Tensor(DType.INT64, (2,), b"1234"), id="too few bytes"),
        pytest.param(lambda: Tensor(DType.INT64, (-1,), b""), id="a negative size"),
        pytest.param(lambda: EncodedTextChunk([2**31]), id="a token that is too large"),
        pytest.param(lambda: EncodedTextChunk([-1]), id="a negative token"),
        pytest.param(lambda: EncodedTextChunk(["a"]), id="a text for a token"),
        pytest.param(lambda: Datum(ModelInput.empty(), {"mine": [1.0]}), id="a list by a name of unknown kind"),
    ],
)
def test_what_is_no_tensor_is_refused(make: Callable[[], object]) -> None:
    with pytest.raises(CallNotPossible):
        make()


TOKENS = st.lists(st.integers(0, 2**31 - 1), max_size=5)
IMAGES = st.builds(
    ImageChunk,
    st.just(png()),
    st.just(ImageFormat.PNG),
    st.none() | st.integers(1, 2**20),
) | st.just(ImageChunk(jpeg(), ImageFormat.JPEG, tokens_wide=2, tokens_high=3))
INPUTS = st.lists(st.builds(EncodedTextChunk, TOKENS) | IMAGES, max_size=3).map(ModelInput)
DATA = st.builds(Datum, INPUTS, st.dictionaries(st.text(max_size=5), tensors() | sparse_tensors(), max_size=3))
CONFIGS = st.none() | st.dictionaries(st.text(max_size=5), FLOATS | st.text(max_size=5), max_size=3)


@given(st.text(max_size=5), st.integers(1, 2**31 - 1), st.lists(DATA, max_size=3), CONFIGS, st.booleans())
def test_a_batch_is_written_as_the_sdk_writes_it(
    model_id: str, seq_id: int, data: list[Datum], config: dict[str, float | str] | None, forward_only: bool
) -> None:
    ours = wireform.forward_backward_request(model_id, seq_id, data, "ppo", config, forward_only=forward_only)
    request = types.ForwardBackwardRequest(
        model_id=model_id,
        seq_id=seq_id,
        forward_backward_input=types.ForwardBackwardInput(
            data=[their_datum(datum) for datum in data], loss_fn="ppo", loss_fn_config=config
        ),
    )
    message = request_conv.forward_backward_request_to_proto(request)
    message.forward_only = forward_only
    assert ours == message.SerializeToString(deterministic=True)


WIRE_NUMBERS = {
    wire.DTYPE_FLOAT32: ("f", FLOATS),
    wire.DTYPE_INT64: ("q", INTS),
    wire.DTYPE_INT32: ("i", st.integers(-(2**31), 2**31 - 1)),
    wire.DTYPE_BFLOAT16: ("H", st.integers(0, 2**16 - 1)),
}


@st.composite
def batched(draw: st.DrawFn, count: int) -> wire.BatchedTensor:
    dtype = draw(st.sampled_from(list(WIRE_NUMBERS)))
    code, numbers = WIRE_NUMBERS[dtype]
    trailing = draw(st.lists(st.integers(1, 3), max_size=2))
    row = int(np.prod(trailing, dtype=int))
    contents = [
        packed(code, draw(st.lists(numbers, min_size=rows * row, max_size=rows * row)))
        for rows in draw(st.lists(st.integers(0, 3), min_size=count, max_size=count))
    ]
    offsets = packed("q", [0, *accumulate(map(len, contents))])
    return wire.BatchedTensor(data=b"".join(contents), offsets=offsets, dtype=dtype, trailing_shape=trailing)


@st.composite
def outputs(draw: st.DrawFn) -> wire.ForwardBackwardOutput:
    names = draw(st.sets(st.sampled_from(["logprobs", "entropy", "ids"])))
    records: list[wire.ArrayRecord] = []
    for count in draw(st.lists(st.integers(1, 3), max_size=3)):
        told = count if not names or draw(st.booleans()) else 0
        fields = {name: draw(batched(count)) for name in names}
        records.append(wire.ArrayRecord(num_datums=told if len(records) < 1 else count, fields=fields))
    if any(record.num_datums for record in records):
        for record in records:
            record.num_datums = max((len(f.offsets) // 8 - 1 for f in record.fields.values()), default=1)
    metrics = draw(st.dictionaries(st.text(max_size=5), FLOATS, max_size=3))
    kind = draw(st.sampled_from(["ArrayRecord", "module:Loss", ""]))
    return wire.ForwardBackwardOutput(loss_fn_output_type=kind, loss_fn_outputs=records, metrics=metrics)


@given(outputs())
def test_a_result_is_read_as_the_sdk_reads_it(message: wire.ForwardBackwardOutput) -> None:
    content = message.SerializeToString()
    ours = wireform.forward_backward_output(content)
    official = response_conv.deserialize_forward_backward_output(content)
    assert same(dict(ours.metrics), official.metrics) or ours.metrics == official.metrics
    assert [
        {name: (tensor.dtype, tensor.shape, repr(list(tensor.values))) for name, tensor in output.items()}
        for output in ours.loss_fn_outputs
    ] == [
        {name: (data.dtype, tuple(data.shape or ()), repr(data.data)) for name, data in output.items()}
        for output in official.loss_fn_outputs
    ]


@st.composite
def top_logprobs(draw: st.DrawFn) -> wire.TopkLogprobs:
    k, length = draw(st.integers(0, 3)), draw(st.integers(0, 3))
    pair = st.just((0, -99999.0)) | st.tuples(st.integers(0, 9), st.floats(-9, 0, width=32))
    pairs = draw(st.lists(pair, min_size=k * length, max_size=k * length))
    ids, logprobs = packed("i", [token for token, _ in pairs]), packed("f", [value for _, value in pairs])
    return wire.TopkLogprobs(token_ids=ids, logprobs=logprobs, k=k, length=length)


@st.composite
def sequences(draw: st.DrawFn) -> wire.SampledSequence:
    tokens = draw(TOKENS)
    logprobs = draw(st.none() | st.lists(FLOATS, min_size=len(tokens), max_size=len(tokens)))
    return wire.SampledSequence(
        stop_reason=draw(st.sampled_from([wire.STOP_REASON_STOP, wire.STOP_REASON_LENGTH])),
        tokens=packed("i", tokens),
        logprobs=None if logprobs is None else packed("f", logprobs),
        topk_sampled_logprobs=draw(st.none() | top_logprobs()),
    )


@given(
    st.builds(
        wire.SampleResponse,
        sequences=st.lists(sequences(), max_size=3),
        prompt_logprobs=st.none() | st.lists(FLOATS, max_size=4).map(lambda row: packed("f", row)),
        topk_prompt_logprobs=st.none() | top_logprobs(),
        prompt_cache_hit_tokens=st.integers(0, 9),
    )
)
def test_samples_are_read_as_the_sdk_reads_them(message: wire.SampleResponse) -> None:
    content = message.SerializeToString()
    names = [f"name-{place}" for place in range(len(message.sequences))]
    ours, official = wireform.sample_response(content, names), response_conv.deserialize_sample_response(content)
    assert [(one.stop_reason, one.tokens, one.sequence_id) for one in ours.sequences] == [
        (one.stop_reason, tuple(one.tokens), name) for one, name in zip(official.sequences, names, strict=True)
    ]
    for left, right in zip(ours.sequences, official.sequences, strict=True):
        assert same(_listed(left.logprobs), right.logprobs)
        assert same(_rows(left.topk_logprobs), right.topk_logprobs)
    assert same(_listed(ours.prompt_logprobs), official.prompt_logprobs)
    assert same(_rows(ours.topk_prompt_logprobs), official.topk_prompt_logprobs)
    assert ours.prompt_cache_hit_tokens == official.prompt_cache_hit_tokens
    assert not any(isnan(value) for value in ours.prompt_logprobs or () if value is not None)


def _listed(row: Any) -> Any:
    return None if row is None else list(row)


def _rows(rows: Any) -> Any:
    return None if rows is None else [_listed(row) for row in rows]


def record(**fields: Any) -> bytes:
    usual: dict[str, Any] = {"data": bytes(8), "offsets": packed("q", [0, 8]), "dtype": wire.DTYPE_INT64}
    column = wire.BatchedTensor(**(usual | fields))
    return wire.ForwardBackwardOutput(loss_fn_outputs=[wire.ArrayRecord(fields={"x": column})]).SerializeToString()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"\xff\xff\xff", id="no message"),
        pytest.param(record(offsets=packed("q", [0, 16])), id="offsets beyond the end"),
        pytest.param(record(offsets=packed("q", [8, 0])), id="offsets that go back"),
        pytest.param(record(offsets=packed("q", [-8, 8])), id="offsets before the beginning"),
        pytest.param(record(offsets=b"123"), id="half an offset"),
        pytest.param(record(offsets=packed("q", [0, 5])), id="half a number"),
        pytest.param(record(dtype=99), id="numbers of an unknown kind"),
        pytest.param(record(trailing_shape=[3]), id="a row that is not full"),
        pytest.param(record(trailing_shape=[-1]), id="a negative size"),
    ],
)
def test_a_result_that_contradicts_itself_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (any of them; the client makes one error of all)
        wireform.forward_backward_output(content)


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(wire.SampleResponse(), id="fewer samples than were named"),
        pytest.param(wire.SampleResponse(sequences=[wire.SampledSequence(tokens=b"123")]), id="half a token"),
        pytest.param(
            wire.SampleResponse(
                sequences=[wire.SampledSequence()],
                topk_prompt_logprobs=wire.TopkLogprobs(k=2, length=3, token_ids=b"1234", logprobs=b"1234"),
            ),
            id="a matrix that is not full",
        ),
    ],
)
def test_samples_that_contradict_themselves_are_refused(message: wire.SampleResponse) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (any of them; the client makes one error of all)
        wireform.sample_response(message.SerializeToString(), ["name"])


def test_every_kind_of_number_has_the_width_that_travels() -> None:
    assert {dtype: len(packed(code, [0])) for dtype, code in CODES.items()} == {DType.FLOAT32: 4, DType.INT64: 8}
