"""A batch is split, and its results are joined, as the official SDK does it."""

from math import inf, isnan, nan
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.tinker.pictures import png
from tests.tinker.sdk import their_datum
from tinker import TrainingClient, types
from tinker.lib.chunked_fwdbwd_helpers import combine_fwd_bwd_output_results

from tinker_operator.tinker import (
    Datum,
    DType,
    ForwardBackwardOutput,
    ImageChunk,
    ImageFormat,
    ModelInput,
    SparseRows,
    Tensor,
)
from tinker_operator.tinker.payload.batching import combined, portions

pytestmark = pytest.mark.pure

SPARSE = Tensor(DType.INT64, (1, 4), bytes(8), SparseRows((0, 1), (2,)))
INPUTS = st.one_of(
    st.integers(0, 20).map(lambda length: ModelInput.from_ints(range(length))),
    st.just(ModelInput([ImageChunk(png(), ImageFormat.PNG, 4)])),
)
DATA = st.builds(
    Datum,
    INPUTS,
    st.fixed_dictionaries(
        {}, optional={"weights": st.lists(st.just(1.0), max_size=9), "target_tokens": st.just(SPARSE)}
    ),
)


@given(st.lists(DATA, max_size=12), st.integers(1, 5), st.integers(1, 300))
def test_a_batch_is_split_where_the_sdk_splits_it(batch: list[Datum], examples: int, size: int) -> None:
    config = SimpleNamespace(fwdbwd_max_chunk_len=examples, fwdbwd_max_chunk_bytes_count=size)
    holder = cast("TrainingClient", SimpleNamespace(holder=SimpleNamespace(_client_config=config)))
    official = TrainingClient._chunked_requests_generator(holder, [their_datum(datum) for datum in batch])
    assert [len(portion) for portion in portions(batch, examples, size)] == [len(chunk.data) for chunk in official]


@given(st.lists(DATA, max_size=12), st.integers(1, 5), st.integers(1, 300))
def test_nothing_of_a_batch_is_lost_and_nothing_changes_its_place(batch: list[Datum], examples: int, size: int) -> None:
    parts = list(portions(batch, examples, size))
    assert [datum for part in parts for datum in part] == batch
    assert all(part for part in parts)


NUMBERS = st.floats(-1e6, 1e6)
NAMES = st.sampled_from(
    ["loss:sum", "loss:mean", "x:min", "x:max", "x:slack", "x:hash2", "x:unique", "x:not_known_to_anybody"]
)
RESULTS = st.builds(
    lambda size, metrics: ForwardBackwardOutput("ArrayRecord", tuple({} for _ in range(size)), metrics),
    st.integers(1, 50),
    st.dictionaries(NAMES, NUMBERS),
)


def official(results: list[ForwardBackwardOutput]) -> types.ForwardBackwardOutput:
    return combine_fwd_bwd_output_results(
        [
            types.ForwardBackwardOutput(one.loss_fn_output_type, [{} for _ in one.loss_fn_outputs], dict(one.metrics))
            for one in results
        ]
    )


@given(st.lists(RESULTS, min_size=2, max_size=5))
def test_results_are_joined_as_the_sdk_joins_them(results: list[ForwardBackwardOutput]) -> None:
    ours, theirs = combined(results), official(results)
    assert ours.metrics == pytest.approx(theirs.metrics, rel=1e-12, abs=1e-9)
    assert list(ours.metrics) == list(theirs.metrics)
    assert len(ours.loss_fn_outputs) == len(theirs.loss_fn_outputs)
    assert ours.loss_fn_output_type == theirs.loss_fn_output_type


@given(RESULTS)
def test_one_result_alone_is_itself(result: ForwardBackwardOutput) -> None:
    assert combined([result]) is result


def result(size: int = 1, **metrics: float) -> ForwardBackwardOutput:
    named = {name.replace("__", ":"): value for name, value in metrics.items()}
    return ForwardBackwardOutput("ArrayRecord", tuple({} for _ in range(size)), named)


@pytest.mark.parametrize(
    ("results", "metrics"),
    [
        pytest.param([], {}, id="of nothing comes nothing"),
        pytest.param([result(loss=1.0), result(loss=2.0)], {}, id="a name without a reduction"),
        pytest.param([result(a__b__sum=1.0), result(a__b__sum=2.0)], {}, id="a name with two"),
        pytest.param([result(a__sum=1.0), result()], {}, id="a metric that one portion has not"),
        pytest.param([result(0, a__mean=1.0), result(0, a__mean=3.0)], {"a:mean": 2.0}, id="a mean over no outputs"),
        pytest.param([result(1, a__mean=1.0), result(3, a__mean=5.0)], {"a:mean": 4.0}, id="a mean by outputs"),
        pytest.param([result(a__sum=inf), result(a__sum=1.0)], {"a:sum": inf}, id="an infinite sum"),
        pytest.param(
            [result(a__unique=1.0), result(a__unique=2.0), result(a__unique=2.0)],
            {"a:unique": 1.0, "a:unique_1": 2.0, "a:unique_2": 2.0},
            id="what is not reduced is numbered",
        ),
    ],
)
def test_metrics_are_joined_by_their_names(results: list[ForwardBackwardOutput], metrics: dict[str, float]) -> None:
    assert combined(results).metrics == metrics


@pytest.mark.parametrize("reduction", ["sum", "mean", "min", "max", "slack", "hash2"])
def test_what_is_not_a_number_in_one_portion_is_none_in_all(reduction: str) -> None:
    name: dict[str, Any] = {f"a__{reduction}": nan}
    joined = combined([result(**(name | {f"a__{reduction}": 1.0})), result(**name)])
    assert isnan(joined.metrics[f"a:{reduction}"])
