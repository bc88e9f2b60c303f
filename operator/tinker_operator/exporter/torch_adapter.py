"""Writes an adapter's weights as PEFT did before safetensors: a dictionary of tensors, by torch.save."""

import mmap
from math import prod
from pathlib import Path
from typing import Any, Final

from tinker_operator.exporter.errors import FormatUnsupported
from tinker_operator.exporter.weights import WEIGHTS, weights_of
from tinker_operator.tinker.download.tensors import Header, Tensor

DTYPES: Final = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U8": "uint8",
    "BOOL": "bool",
}
"""Type in the file → torch's name of it."""


class TorchAdapter:
    """See the module.

    Args:
        torch: The library.
    """

    def __init__(self, torch: Any) -> None:
        self._torch: Final = torch

    @property
    def file_name(self) -> str:
        """As PEFT looks for it."""
        return "adapter_model.bin"

    def write(self, folder: Path, target: Path) -> None:
        """Write the file. The tensors are views of the mapped file: the system fetches what is written just now.

        Raises:
            FormatUnsupported: A tensor is of a type that torch lacks.
            OSError: The file system refuses.
        """
        header = weights_of(folder)
        for one in header.tensors:
            if one.dtype not in DTYPES:
                raise FormatUnsupported(f"{one.name!a:.120} is of a type that torch lacks, {one.dtype!a:.20}")
        # A copy on write, which is never written: torch takes no memory that it may not write.
        with (
            (folder / WEIGHTS).open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) as content,
            target.open("wb") as out,
        ):
            tensors = {one.name: self._tensor(content, header, one) for one in header.tensors}
            try:
                self._torch.save(tensors, out)
            finally:
                tensors.clear()  # a mapping that is still looked at cannot be closed

    def _tensor(self, content: mmap.mmap, header: Header, one: Tensor) -> Any:
        dtype, count = getattr(self._torch, DTYPES[one.dtype]), prod(one.shape)
        if not count:
            return self._torch.empty(one.shape, dtype=dtype)
        offset = header.data_offset + one.begin
        return self._torch.frombuffer(content, dtype=dtype, count=count, offset=offset).reshape(one.shape)
