"""The forms that an export can have beside the one that the service gives, and what writes each.

Their libraries are extras of the project, and large: each is imported when its form is asked for, and no sooner.
"""

from importlib import import_module
from pathlib import Path
from typing import Protocol

from tinker_operator.api.export_spec import ExportFormat
from tinker_operator.exporter.errors import ExtraMissing


class Conversion(Protocol):
    """Writes an adapter in another form."""

    @property
    def file_name(self) -> str:
        """The file that takes the place of the weights."""

    def write(self, folder: Path, target: Path) -> None:
        """Read the adapter in a folder and write its weights; never more than a tensor of them is in memory.

        Args:
            folder: Holds the adapter as the service gives it, found sound.
            target: The file to write.

        Raises:
            FormatUnsupported: The form cannot hold this adapter.
            OSError: The file system refuses.
        """


def opened(form: ExportFormat) -> Conversion | None:
    """Give what writes a form; None for the form that the service gives.

    Raises:
        ExtraMissing: Its library is not installed.
    """
    if form is ExportFormat.PYTORCH:
        from tinker_operator.exporter.torch_adapter import TorchAdapter  # noqa: PLC0415 - with its library

        return TorchAdapter(_library("torch", form, "pytorch"))
    if form is ExportFormat.GGUF:
        _library("gguf", form, "gguf")
        from tinker_operator.exporter.gguf_adapter import GgufAdapter  # noqa: PLC0415 - with its library

        return GgufAdapter()
    return None


def _library(name: str, form: ExportFormat, extra: str) -> object:
    try:
        return import_module(name)
    except ImportError:
        remedy = f"Install it: pip install 'tinker-operator[{extra}]'."
        raise ExtraMissing(f"The format {form} needs the library {name}, which is not installed", remedy) from None
