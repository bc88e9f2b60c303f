"""Arrays of numbers as the wire has them, from plain lists and back."""

import sys
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import chain, pairwise
from math import prod
from typing import Any, Final, Protocol, TypeAlias, runtime_checkable

from tinker_operator.tinker.errors import CallNotPossible

_RECTANGULAR: Final = "Give numbers, or lists of equally many numbers."


class DType(StrEnum):
    """What numbers a tensor holds; other widths on the wire are read as one of these."""

    FLOAT32 = "float32"
    INT64 = "int64"


@runtime_checkable
class Listable(Protocol):
    """An array of any library."""

    def tolist(self) -> Any:
        """Give the numbers as nested lists."""


Nested: TypeAlias = Sequence[Any] | Listable
"""Numbers, or lists of them to any depth."""
CODES: Final = {DType.FLOAT32: "f", DType.INT64: "q"}


@dataclass(frozen=True, slots=True)
class SparseRows:
    """Where the listed values of a two-dimensional tensor are: compressed sparse rows.

    Args:
        crow_indices: Where each row begins among the values, and where the last one ends.
        col_indices: The column of each value.
    """

    crow_indices: tuple[int, ...]
    col_indices: tuple[int, ...]

    def fits(self, shape: Sequence[int]) -> bool:
        """Say whether every value lies in a matrix of this shape, and every row begins where the one before it ends."""
        if len(shape) != 2 or len(self.crow_indices) != shape[0] + 1:  # noqa: PLR2004 - a matrix
            return False
        ends = (self.crow_indices[0], self.crow_indices[-1])
        rising = all(begin <= end for begin, end in pairwise(self.crow_indices))
        return ends == (0, len(self.col_indices)) and rising and all(0 <= col < shape[1] for col in self.col_indices)


@dataclass(frozen=True, slots=True)
class Tensor:
    """Numbers of one kind in one shape.

    Args:
        dtype: What numbers.
        shape: How many in each direction.
        content: The numbers row by row, little-endian; of a sparse tensor only the listed ones.
        sparse: Where the listed ones are; None says that all are listed.

    Raises:
        CallNotPossible: The content does not fill the shape, or a listed number lies outside of it.
    """

    dtype: DType
    shape: tuple[int, ...]
    content: bytes = field(repr=False)
    sparse: SparseRows | None = None

    def __post_init__(self) -> None:
        listed = prod(self.shape) if self.sparse is None else len(self.sparse.col_indices)
        if min(self.shape, default=0) < 0 or listed * width(self.dtype) != len(self.content):
            raise CallNotPossible(f"{len(self.content)} bytes do not fill a {self.dtype} tensor of shape {self.shape}")
        if self.sparse is not None and not self.sparse.fits(self.shape):
            raise CallNotPossible(f"The rows of a sparse tensor do not fit its shape {self.shape}")

    @classmethod
    def of(cls, numbers: Nested, dtype: DType) -> "Tensor":
        """Make a tensor from nested lists, or from an array that has a `tolist`.

        Raises:
            CallNotPossible: The lists are ragged, or hold what is no such number.
        """
        nested = numbers.tolist() if isinstance(numbers, Listable) else numbers
        shape = _shape(nested)
        return cls(dtype, shape, packed(CODES[dtype], _flat(nested, len(shape))))

    @property
    def values(self) -> tuple[float, ...]:
        """The numbers row by row, without the shape; of a sparse tensor the listed ones."""
        return unpacked(CODES[self.dtype], self.content)

    def tolist(self, pad_value: float = 0) -> list[Any]:
        """Give the numbers as lists nested by the shape; where a sparse tensor lists none, `pad_value` stands."""
        numbers = list(self.values) if self.sparse is None else self._dense(self.sparse, pad_value)
        for size in reversed(self.shape[1:]):
            rows = len(numbers) // size if size else prod(self.shape[:-1])
            numbers = [numbers[row * size : (row + 1) * size] for row in range(rows)]
        return numbers

    def _dense(self, sparse: SparseRows, pad_value: float) -> list[Any]:
        rows, columns = self.shape
        numbers: list[Any] = [pad_value] * (rows * columns)
        for row in range(rows):
            for place in range(sparse.crow_indices[row], sparse.crow_indices[row + 1]):
                numbers[row * columns + sparse.col_indices[place]] = self.values[place]
        return numbers

    def __len__(self) -> int:
        """Give the size in the first direction."""
        return self.shape[0] if self.shape else 1


def width(dtype: DType) -> int:
    """Give how many bytes one number takes."""
    return array(CODES[dtype]).itemsize


def packed(code: str, numbers: Iterable[float]) -> bytes:
    """Write numbers one after the other, little-endian.

    Args:
        code: The kind of number, in the letters of the standard library's `array`.
        numbers: They.

    Raises:
        CallNotPossible: One of them is no such number.
    """
    try:
        row = array(code, numbers)
    except (TypeError, ValueError, OverflowError) as fault:
        cause = str(fault)
    else:
        return _little_endian(row).tobytes()
    raise CallNotPossible(f"A value cannot be written as a number of the kind {code!r}: {cause}", _RECTANGULAR)


def unpacked(code: str, content: bytes) -> tuple[Any, ...]:
    """Read numbers that stand one after the other, little-endian.

    Raises:
        ValueError: The bytes end within a number.
    """
    row = array(code)
    row.frombytes(content)
    return tuple(_little_endian(row))


def _little_endian(row: "array[Any]") -> "array[Any]":
    """Turn the bytes around on a machine that has them the other way."""
    if sys.byteorder == "big":
        row.byteswap()
    return row


def _shape(nested: Any) -> tuple[int, ...]:
    """Measure, and refuse what is ragged."""
    if not _is_list(nested):
        return ()
    shapes = {_shape(item) for item in nested} or {()}
    if len(shapes) > 1:
        raise CallNotPossible("The lists of a tensor are not of one length", _RECTANGULAR)
    return (len(nested), *shapes.pop())


def _flat(nested: Any, depth: int) -> Iterable[Any]:
    if depth == 0:
        return (nested,)
    for _ in range(depth - 1):
        nested = chain.from_iterable(nested)
    return nested  # type: ignore[no-any-return]  # nested lists of any depth have no type


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)
