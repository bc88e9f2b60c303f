"""Turns a download into the form that was asked for, where it lies. Called by `exporting`.

The new file is whole before the note of the download names it, and what it stands for goes after that: killed at any
point, the next run converts again, or finds that it is done.
"""

import hashlib
import os
from pathlib import Path

from tinker_operator.api.export_spec import ExportFormat
from tinker_operator.exporter.formats import Conversion
from tinker_operator.exporter.manifest import Manifest, SentFile
from tinker_operator.exporter.weights import WEIGHTS
from tinker_operator.tinker.download.disk import disk_faults, remove


def converted(folder: Path, form: ExportFormat, conversion: Conversion, manifest: Manifest) -> Manifest:
    """Write the weights in another form beside those that were downloaded, and give what the export then is.

    Args:
        folder: Holds the download.
        form: The form.
        conversion: What writes it.
        manifest: Of the download.

    Raises:
        FormatUnsupported: The form cannot hold this adapter.
        DiskFault: The file system refuses.
    """
    path = folder / conversion.file_name
    beside = path.with_name(f".{path.name}.new")
    with disk_faults(path):
        conversion.write(folder, beside)
        with beside.open("rb") as file:
            os.fsync(file.fileno())
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = beside.stat().st_size
        beside.replace(path)
    others = [file for file in manifest.files if file.name not in {WEIGHTS, path.name}]
    files = sorted([*others, SentFile(name=path.name, bytes=size, sha256=digest)], key=lambda file: file.name)
    return manifest.model_copy(update={"format": form, "files": tuple(files)})


def leave_only(folder: Path, manifest: Manifest) -> None:
    """Remove from a folder what its manifest does not name.

    Raises:
        DiskFault: The file system refuses.
    """
    named = {folder / file.name for file in manifest.files}
    with disk_faults(folder):
        for path in list(folder.rglob("*")):
            if path not in named and not path.is_dir():
                remove(path)
