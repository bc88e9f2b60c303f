"""What conversions read: an adapter as the service gives it, in two files."""

from pathlib import Path
from typing import Final

from tinker_operator.exporter.errors import CheckpointUnsound
from tinker_operator.tinker.download.findings import Finding
from tinker_operator.tinker.download.tensors import Header, read_header

CONFIG: Final = "adapter_config.json"
WEIGHTS: Final = "adapter_model.safetensors"


def weights_of(folder: Path) -> Header:
    """Give what the file of an adapter's weights says of itself.

    Raises:
        CheckpointUnsound: It says nothing that can be read.
        OSError: It cannot be read.
    """
    header = read_header(folder / WEIGHTS)
    if isinstance(header, Finding):
        raise CheckpointUnsound(f"The weights cannot be converted: {header}")
    return header
