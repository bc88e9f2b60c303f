"""Downloads of checkpoints: whole or not at all, resumed, verified, and with nothing trusted that comes from outside.

    async with TinkerClient(base_url, key) as client, way_to(base_url, now) as way:
        await download_checkpoint(client, path, Path("adapter"), way, new_key=new_key)

Used by the command `tinker-operator download`, and by whoever wants a checkpoint's files in Python.
"""

from tinker_operator.tinker.download.checkpoint import download_checkpoint
from tinker_operator.tinker.download.downloading import Downloaded, DownloadedFile, Downloading, download, way_to
from tinker_operator.tinker.download.errors import (
    ArchiveMissing,
    ArchiveTooLarge,
    ArchiveUnreadable,
    DiskFault,
    DiskFull,
    DownloadError,
    DownloadInterrupted,
    DownloadMismatch,
    DownloadRefused,
    ExportEmpty,
    ExportNotReady,
    NotDownloadable,
    TargetBusy,
    TargetExists,
    UnsafeAddress,
    UnsafeArchive,
    UnsafeFileName,
)
from tinker_operator.tinker.download.export import ExportingClient, TemporaryExport
from tinker_operator.tinker.download.fetching import Progress, Way
from tinker_operator.tinker.download.findings import Finding
from tinker_operator.tinker.download.inspection import Inspection, inspect_export
from tinker_operator.tinker.download.signed import FileSource, SignedFiles
from tinker_operator.tinker.download.sources import ArchiveFile, ArchiveSigning, ExportedFiles, ExportSigning
from tinker_operator.tinker.download.store import Store
from tinker_operator.tinker.download.unpacking import Limits
from tinker_operator.tinker.download.workplace import Workplace

__all__ = [
    "ArchiveFile",
    "ArchiveMissing",
    "ArchiveSigning",
    "ArchiveTooLarge",
    "ArchiveUnreadable",
    "DiskFault",
    "DiskFull",
    "DownloadError",
    "DownloadInterrupted",
    "DownloadMismatch",
    "DownloadRefused",
    "Downloaded",
    "DownloadedFile",
    "Downloading",
    "ExportEmpty",
    "ExportNotReady",
    "ExportSigning",
    "ExportedFiles",
    "ExportingClient",
    "FileSource",
    "Finding",
    "Inspection",
    "Limits",
    "NotDownloadable",
    "Progress",
    "SignedFiles",
    "Store",
    "TargetBusy",
    "TargetExists",
    "TemporaryExport",
    "UnsafeAddress",
    "UnsafeArchive",
    "UnsafeFileName",
    "Way",
    "Workplace",
    "download",
    "download_checkpoint",
    "inspect_export",
    "way_to",
]
