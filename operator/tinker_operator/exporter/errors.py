"""What can go wrong between a downloaded checkpoint and its being whole at a target.

A branch of the tree that `tinker_operator.tinker.errors` draws; what the download meets stays below DownloadError.

    TinkerError
    └── ExportError
        ├── ExtraMissing         a library that the target or the format needs is not installed
        ├── FormatUnsupported    the format cannot hold the adapter
        ├── CheckpointMissing    the service does not list the checkpoint
        ├── CheckpointChanged    it was saved anew while it was downloaded      transient
        ├── CheckpointUnsound    its files are broken; nothing was sent
        ├── TargetUnreachable    the target or the way to it failed             transient
        ├── TargetRefused        the target refuses: credentials, rights, names
        ├── TargetPublic         the repository is open to everybody, and that was not asked for
        └── TargetForeign        the place holds what is no export of ours

No message holds a key, a token or a signed address.
"""

from tinker_operator.tinker.errors import TinkerError


class ExportError(TinkerError, remedy="Export it again; what was sent already is not sent again."):
    """Root of the branch."""


class ExtraMissing(ExportError, remedy="Install it: pip install 'tinker-operator[export]'."):
    """A library that this target, or this format, needs is not installed."""


class FormatUnsupported(ExportError, remedy="Export it as Safetensors."):
    """The format cannot hold the adapter; nothing was sent."""


class CheckpointMissing(ExportError, remedy="Check the path; the checkpoint may have expired or been deleted."):
    """The service does not list the checkpoint."""


class CheckpointChanged(ExportError, transient=True):
    """Another checkpoint was saved under the path meanwhile."""


class CheckpointUnsound(ExportError, remedy="Export another checkpoint; nothing of this one was sent."):
    """The files arrived whole and are broken."""


class TargetUnreachable(ExportError, transient=True):
    """The target gave no answer, or said that it failed itself."""


class TargetRefused(ExportError, remedy="Check the name, and that the credentials may write there."):
    """The target refuses."""


class TargetPublic(
    ExportError, remedy="Make it private, choose another one, or say --public if that is what you want."
):
    """Everybody could read what was sent."""


class TargetForeign(ExportError, remedy="Choose another place, or remove what is there."):
    """The place holds what is no export of ours; it was not touched."""
