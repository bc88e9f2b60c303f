"""Reads what a safetensors file says of itself, and judges it, without loading a tensor.

A reader of our own: the library stops at the first fault and has no name for it, and it needs an array library to show
a tensor. The tests hold this reader against the library: what the one accepts, the other accepts.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, Final

from tinker_operator.tinker.download.findings import (
    BadHeader,
    BadOffsets,
    Finding,
    NotFinite,
    ShapeMismatch,
    Surplus,
    Truncated,
    UnknownDtype,
)

LONGEST_HEADER: Final = 100_000_000
"""What the format allows, in bytes."""
BITS: Final[Mapping[str, int]] = {
    **dict.fromkeys(("F4",), 4),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("I16", "U16", "F16", "BF16"), 16),
    **dict.fromkeys(("I32", "U32", "F32"), 32),
    **dict.fromkeys(("I64", "U64", "F64", "C64"), 64),
}
"""Dtype → bits of one element."""
_BLOCK: Final = 1024 * 1024
_LENGTH: Final = 8


def _table(mask: int) -> bytes:
    """Map a byte to 1 when all bits of the mask are set in it."""
    return bytes((byte & mask) == mask for byte in range(256))


_NOT_FINITE: Final[Mapping[str, tuple[int, tuple[tuple[int, bytes], ...]]]] = {
    "F16": (2, ((1, _table(0x7C)),)),
    "BF16": (2, ((1, _table(0x7F)), (0, _table(0x80)))),
    "F32": (4, ((3, _table(0x7F)), (2, _table(0x80)))),
    "F64": (8, ((7, _table(0x7F)), (6, _table(0xF0)))),
    "C64": (4, ((3, _table(0x7F)), (2, _table(0x80)))),
    "F8_E5M2": (1, ((0, _table(0x7C)),)),
    "F8_E4M3": (1, ((0, _table(0x7F)),)),
}
"""Dtype → bytes of a number, and which of its bytes must have which bits for it to be NaN or infinite: an exponent of
ones alone. Little-endian, as the format is. Kept as tables, so that a block is judged by three calls into C."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """What a header says of one tensor.

    Args:
        name: Its name.
        dtype: As written.
        shape: As written.
        begin: Its first byte, after the header.
        end: The byte after its last one.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says of itself.

    Args:
        tensors: In the order of their bytes.
        data_offset: Where the bytes of the tensors begin in the file.
    """

    tensors: tuple[Tensor, ...]
    data_offset: int


class _BadHeaderError(ValueError):
    """The text says in what way."""


def read_header(path: Path) -> Header | Finding:
    """Read a header; a finding when there is none that could be judged further.

    Raises:
        OSError: The file cannot be read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(_LENGTH), "little")
        if size < _LENGTH:
            return Truncated(path.name, _LENGTH, size)
        if length > LONGEST_HEADER:
            return BadHeader(path.name, f"it claims to have {length} bytes")
        if size < _LENGTH + length:
            return Truncated(path.name, _LENGTH + length, size)
        text = file.read(length)
    try:
        tensors = tuple(_tensors(text))
    except _BadHeaderError as fault:
        return BadHeader(path.name, str(fault))
    return Header(tuple(sorted(tensors, key=lambda tensor: (tensor.begin, tensor.end))), _LENGTH + length)


def layout_findings(file: str, header: Header, size: int) -> Iterator[Finding]:
    """Say what is wrong with where tensors lie, what they are made of, and how long the file is."""
    end = 0
    for tensor in header.tensors:
        if tensor.begin != end or tensor.end < tensor.begin:
            yield BadOffsets(file, tensor.name, end, tensor.begin, tensor.end)
        end = max(end, tensor.end)
        if tensor.dtype not in BITS:
            yield UnknownDtype(file, tensor.name, tensor.dtype)
        elif prod(tensor.shape) * BITS[tensor.dtype] != 8 * (tensor.end - tensor.begin):
            yield ShapeMismatch(file, tensor.name, tensor.dtype, tensor.shape, tensor.end - tensor.begin)
    if size < header.data_offset + end:
        yield Truncated(file, header.data_offset + end, size)
    if size > header.data_offset + end:
        yield Surplus(file, header.data_offset + end, size)


def value_findings(path: Path, header: Header) -> Iterator[Finding]:
    """Count what is not finite, tensor by tensor, in blocks; the layout must be sound.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        for tensor in header.tensors:
            if tensor.dtype in _NOT_FINITE:
                file.seek(header.data_offset + tensor.begin)
                count = _not_finite(file, tensor.end - tensor.begin, tensor.dtype)
                if count:
                    yield NotFinite(path.name, tensor.name, count)


def _not_finite(file: BinaryIO, left: int, dtype: str) -> int:
    width, tests = _NOT_FINITE[dtype]
    count = 0
    while left:
        block = file.read(min(_BLOCK, left))
        if not block:
            raise OSError("the file was cut short while it was read")
        left -= len(block)
        count += _not_finite_in(block, width, tests)
    return count


def _not_finite_in(block: bytes, width: int, tests: tuple[tuple[int, bytes], ...]) -> int:
    """Count by the rarest byte first: a sound tensor has none of it, and nothing more is looked at."""
    (first, table), *others = tests
    marked = block[first::width].translate(table)
    if not others or 1 not in marked:
        return marked.count(1)
    common = int.from_bytes(marked, "little")
    for place, further in others:
        common &= int.from_bytes(block[place::width].translate(further), "little")
    return common.bit_count()


def _tensors(text: bytes) -> Iterator[Tensor]:
    if not text.startswith(b"{"):
        raise _BadHeaderError("it is no JSON object")
    try:
        entries = json.loads(text.decode("utf-8"), object_pairs_hook=_without_repetition, parse_constant=_refused)
    except _BadHeaderError:
        raise
    except (ValueError, RecursionError):
        raise _BadHeaderError("it is no JSON") from None
    for name, entry in entries.items():
        if name == "__metadata__":
            _check_metadata(entry)
        else:
            yield _tensor(name, entry)


def _tensor(name: str, entry: Any) -> Tensor:
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise _BadHeaderError(f"the entry {name[:80]!a} is no description of a tensor")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or not _are_sizes(shape) or not _are_sizes(offsets) or len(offsets) != 2:  # noqa: PLR2004
        raise _BadHeaderError(f"the entry {name[:80]!a} has a field of the wrong type")
    return Tensor(name, dtype, tuple(shape), *offsets)


def _are_sizes(values: object) -> bool:
    return isinstance(values, list) and all(type(value) is int and 0 <= value < 1 << 64 for value in values)


def _check_metadata(entry: object) -> None:
    if entry is not None and not (isinstance(entry, dict) and all(isinstance(text, str) for text in entry.values())):
        raise _BadHeaderError("its metadata are no texts")


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _BadHeaderError("it names something twice")
    return found


def _refused(constant: str) -> Any:
    raise _BadHeaderError(f"it holds {constant}, which is no JSON")
