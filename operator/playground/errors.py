"""What can go wrong in the playground, as one tree; every leaf says what happened and what to do.

PlaygroundError
├── BadSetting            the command line or the environment asks for the impossible: exit 2
├── SourceUnavailable     one source of binaries has none: the next source is asked
│   ├── ChecksumMismatch  what was downloaded is not what was published
│   └── DownloadCut       the connection broke before the end, again and again
├── NoBinaries            every source was asked and none had them
├── ComponentFailed       a process of the control plane or of a node did not start, or died
└── KubectlFailed         kubectl ended with an error
"""

from __future__ import annotations


class PlaygroundError(Exception):
    """Something the person at the keyboard should read: one sentence of what, one of what to do.

    Args:
        message: What happened.
        remedy: What to do about it.
    """

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()


class BadSetting(PlaygroundError):
    """A setting that cannot be honoured; commands answer it with one line and exit 2."""


class SourceUnavailable(PlaygroundError):
    """A source of binaries that has none for us, with its reason."""


class ChecksumMismatch(SourceUnavailable):
    """A download whose SHA-512 is not the published one; the file is gone."""


class DownloadCut(SourceUnavailable):
    """A download whose connection broke more often than we resume; the file is gone."""


class NoBinaries(PlaygroundError):
    """No source had the binaries of the control plane; the message lists every reason."""


class ComponentFailed(PlaygroundError):
    """A process of the control plane or of a node did not come up or died; the message tells its log."""


class KubectlFailed(PlaygroundError):
    """A kubectl that exited non-zero; the message is what it wrote to stderr."""
