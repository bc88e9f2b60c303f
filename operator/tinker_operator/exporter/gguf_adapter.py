"""Writes an adapter as the GGUF file that llama.cpp takes with --lora, as its converter would: all values as F32."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final

import gguf
import numpy as np
from numpy.typing import NDArray

from tinker_operator.exporter.errors import FormatUnsupported
from tinker_operator.exporter.gguf_names import Family, Planned, alpha_of, blocks_in, family_of, planned
from tinker_operator.exporter.weights import CONFIG, WEIGHTS, weights_of
from tinker_operator.tinker.download.tensors import Header, Tensor

_FLOAT: Final = np.dtype("<f4")
_STORED: Final[Mapping[str, "np.dtype[Any]"]] = {"F32": _FLOAT, "F16": np.dtype("<f2"), "BF16": np.dtype("<u2")}


class GgufAdapter:
    """See the module."""

    @property
    def file_name(self) -> str:
        """Of its one file."""
        return "adapter_model.gguf"

    def write(self, folder: Path, target: Path) -> None:
        """Write the file, tensor by tensor.

        Raises:
            FormatUnsupported: GGUF cannot hold this adapter.
            OSError: The file system refuses.
        """
        config, header = json.loads((folder / CONFIG).read_bytes()), weights_of(folder)
        family = family_of(config)
        names = gguf.get_tensor_name_map(_architecture(family), blocks_in(header.tensors))
        tensors = planned(header.tensors, family, names.get_name)
        writer = _described(config, family, alpha_of(config))
        for one in tensors:
            writer.add_tensor_info(one.name, one.shape, _FLOAT, int(np.prod(one.shape)) * _FLOAT.itemsize)
        try:
            writer.write_header_to_file(target)
            writer.write_kv_data_to_file()
            writer.write_ti_data_to_file()
            with (folder / WEIGHTS).open("rb") as file:
                for one in tensors:
                    writer.write_tensor_data(_content(file, header, one))
        finally:
            writer.close()


def _architecture(family: Family) -> "gguf.MODEL_ARCH":
    known = {name: one for one, name in gguf.MODEL_ARCH_NAMES.items()}
    if family.architecture not in known:
        raise FormatUnsupported(f"The installed library gguf does not know the architecture {family.architecture}")
    return known[family.architecture]


def _described(config: Mapping[str, Any], family: Family, alpha: float) -> "gguf.GGUFWriter":
    base_model: str = config["base_model_name_or_path"]
    writer = gguf.GGUFWriter(None, family.architecture)
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, alpha)
    writer.add_base_model_count(1)
    writer.add_base_model_name(0, base_model)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    return writer


def _content(file: BinaryIO, header: Header, one: Planned) -> NDArray[np.float32]:
    """A tensor as it stands in the file. Only what is read of one source is in memory beside it."""
    content = np.empty((len(one.sources), *one.sources[0].shape), _FLOAT)
    for number, source in enumerate(one.sources):
        content[number] = _values(file, header, source)
    return _in_order(content.reshape(one.shape), one.head)


def _values(file: BinaryIO, header: Header, source: Tensor) -> NDArray[Any]:
    file.seek(header.data_offset + source.begin)
    stored = np.frombuffer(file.read(source.end - source.begin), _STORED[source.dtype]).reshape(source.shape)
    # A BF16 is the upper half of an F32.
    return (stored.astype(np.uint32) << 16).view(np.float32) if source.dtype == "BF16" else stored


def _in_order(content: NDArray[np.float32], head: int | None) -> NDArray[np.float32]:
    """Rotary embeddings turn pairs: PEFT has the first of all pairs of a head before the second of all."""
    if head is None:
        return content
    rows, rank = content.shape
    return np.ascontiguousarray(content.reshape(rows // head, 2, head // 2, rank).swapaxes(1, 2).reshape(rows, rank))
