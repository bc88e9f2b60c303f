"""Answers and arguments that contradict themselves are refused as such, whatever they claim."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from tinker_operator.tinker import CallNotPossible, DType, SparseRows, Tensor, TinkerClient
from tinker_operator.tinker.payload import wireform
from tinker_operator.tinker.payload.tensors import packed
from tinker_operator.tinker.proto import tinker_public_pb2 as wire
from tinker_operator.tinker.redaction import Redaction

pytestmark = pytest.mark.pure
WORD = "rosebud"


@pytest.mark.parametrize(
    ("shape", "rows", "columns"),
    [
        pytest.param((2, 2), (0, 1, 2), (0, 2), id="a column beyond the last"),
        pytest.param((2, 2), (0, 1, 2), (0, -1), id="a column before the first"),
        pytest.param((2, 2), (0, 2), (0, 1), id="a row too few"),
        pytest.param((2, 2), (0, 1, 1, 2), (0, 1), id="a row too many"),
        pytest.param((2, 2), (0, 3, 2), (0, 1), id="a row that ends before it begins"),
        pytest.param((2, 2), (1, 1, 2), (0, 1), id="a value before the first row"),
        pytest.param((2, 2), (0, 1, 1), (0, 1), id="a value behind the last row"),
        pytest.param((4,), (0, 1, 2), (0, 1), id="no matrix"),
        pytest.param((2, 2), (), (0, 1), id="no rows"),
    ],
)
def test_a_sparse_tensor_that_does_not_fit_is_refused(
    shape: tuple[int, ...], rows: tuple[int, ...], columns: tuple[int, ...]
) -> None:
    values = packed("q", [5] * len(columns))
    with pytest.raises(CallNotPossible, match="do not fit"):
        Tensor(DType.INT64, shape, values, SparseRows(rows, columns))
    message = wire.Tensor(dtype=wire.DTYPE_INT64, shape=shape)
    message.sparse_csr.values = values
    message.sparse_csr.crow_indices, message.sparse_csr.col_indices = packed("q", rows), packed("q", columns)
    with pytest.raises(ValueError, match="do not fit"):
        wireform.tensor_of(message)


def test_examples_that_are_only_claimed_take_no_memory() -> None:
    """Ten bytes could ask for a hundred gigabytes."""
    message = wire.ForwardBackwardOutput(loss_fn_outputs=[wire.ArrayRecord(num_datums=2**31 - 1)])
    with pytest.raises(ValueError, match="claims 2147483647 examples"):
        wireform.forward_backward_output(message.SerializeToString())


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"cannot read /bucket/a.bin?X-Amz-Signature={WORD}&t=1", id="an address without a host"),
        pytest.param(f"cannot read a.bin?sig={WORD}", id="a name with a signature"),
        pytest.param(f"GET /a/?token={WORD} failed", id="a folder"),
        pytest.param(f"s3://b/a?sig={WORD}", id="an address"),
    ],
)
def test_no_query_of_an_address_is_shown_with_a_host_or_without(text: str) -> None:
    shown = Redaction(SecretStr("tml-k")).clean(text)
    assert WORD not in shown
    assert shown


def test_a_question_stays_a_question() -> None:
    assert Redaction(SecretStr("tml-k")).clean("Is it there? x=1, or what?") == "Is it there? x=1, or what?"


@pytest.mark.parametrize("rows", [16, 25, 32, 50, 64, 75, 128, 256])
async def test_checkpoints_that_a_silent_limit_cuts_off_are_asked_for(
    connect: Callable[..., TinkerClient], rows: int
) -> None:
    """Whatever round number the limit is."""
    kept: list[Any] = [{"checkpoint_id": f"weights/{n}", "tinker_path": f"tinker://r/weights/{n}"} for n in range(300)]

    def answer(request: httpx.Request) -> httpx.Response:
        begin = int(request.url.params.get("offset", 0))
        return httpx.Response(200, json={"checkpoints": kept[begin : begin + rows]})

    assert len(await connect(answer).checkpoints("r")) == 300
