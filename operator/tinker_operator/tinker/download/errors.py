"""Everything that can go wrong between the wish for a checkpoint's files and their being whole on disk.

A branch of the tree that `tinker_operator.tinker.errors` draws; what the service itself refuses stays with that tree.

    TinkerError
    └── DownloadError
        ├── DownloadInterrupted    the store or the way to it failed; what arrived is kept    transient
        ├── DownloadRefused        the store refuses the file, also under a renewed address
        ├── DownloadMismatch       what arrived has not the promised size or digest
        ├── UnsafeAddress          an address that must not be asked
        ├── UnsafeFileName         an export names a file outside of its folder
        ├── NotDownloadable        the service never gives out this kind of checkpoint
        ├── ExportEmpty            the service names no file
        ├── ExportNotReady         the service still builds it                                transient
        ├── ArchiveMissing         the service gives no archives
        ├── ArchiveUnreadable      the archive is broken or of an unknown format
        ├── UnsafeArchive          a member that must not be unpacked
        ├── ArchiveTooLarge        unpacked it would pass a limit
        ├── TargetExists           something is there already
        ├── TargetBusy             another download writes to the same place                  transient
        ├── DiskFull               no space left
        └── DiskFault              the file system refuses

No message holds a signed address: only its host and the file's name are told.
"""

from tinker_operator.tinker.errors import TinkerError


class DownloadError(TinkerError, remedy="Download it again."):
    """Root of the branch."""


class DownloadInterrupted(DownloadError, transient=True, remedy="Download it again; it goes on where it stopped."):
    """The store or the way to it failed for too long; what arrived is kept for the next attempt.

    Args:
        message: See TinkerError.
        remedy: See TinkerError.
        retry_after: Seconds the store asks us to wait; None when it did not say.
    """

    def __init__(self, message: str, remedy: str | None = None, *, retry_after: float | None = None) -> None:
        super().__init__(message, remedy)
        self.retry_after = retry_after


class DownloadRefused(DownloadError, remedy="Check that the checkpoint still exists, and see the log of the store."):
    """The store refuses the file, also under a renewed address."""


class DownloadMismatch(DownloadError, remedy="Download it again; if it stays, export the checkpoint anew."):
    """What arrived has not the size or the digest that was promised, twice in a row."""


class UnsafeAddress(DownloadError, remedy="Check the base URL; its service sends downloads to where none may go."):
    """An address that is no http(s), or that leads into a private network that is not the service's own."""


class UnsafeFileName(
    DownloadError, remedy="Do not use this checkpoint; its service or its maker is not to be trusted."
):
    """An export names a file that would lie outside of its folder, or that no file system takes."""


class NotDownloadable(DownloadError, remedy="Give a path of kind weights or external_weights."):
    """The service never gives out this kind of checkpoint."""


class ExportEmpty(DownloadError, remedy="Export the checkpoint anew."):
    """The service names no file."""


class ExportNotReady(DownloadError, transient=True, remedy="Download it again in a few minutes."):
    """The service still builds what is to be downloaded."""


class ArchiveMissing(DownloadError, remedy="Export the checkpoint (save_weights_external) and download the export."):
    """The service gives no archives of checkpoints."""


class ArchiveUnreadable(DownloadError, remedy="Download it again with --force; if it stays, the archive is broken."):
    """The archive is cut short, broken, or of an unknown format."""


class UnsafeArchive(DownloadError, remedy="Do not use this archive; its service or its maker is not to be trusted."):
    """The archive holds a member that must not be unpacked: a link, a device, or a name outside of the folder."""


class ArchiveTooLarge(DownloadError, remedy="Raise the limit if the archive is to be trusted."):
    """Unpacked, the archive would pass a limit."""


class TargetExists(DownloadError, remedy="Choose another place, or replace it with --force."):
    """Something is there already; it was not touched."""


class TargetBusy(DownloadError, transient=True, remedy="Wait for the other download to end."):
    """Another download writes to the same place."""


class DiskFull(DownloadError, remedy="Make room and download it again; it goes on where it stopped."):
    """No space is left where the files go."""


class DiskFault(DownloadError, remedy="Check the folder and its permissions."):
    """The file system refuses to do what is needed."""
