"""The one place that reads and writes `tinker://` paths.

Everything that names a checkpoint goes through here before it reaches a URL: the client, the controllers when they
read a spec, the commands when they read an argument.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self

from tinker_operator.tinker.errors import CallNotPossible, InvalidTinkerPath

SCHEME: Final = "tinker://"
RIGHT_FORM: Final = "Write tinker://<training run>/weights/<name>, as the service lists it."
_MIDDLE_AND_ENDS: Final = 3
_URL_SYNTAX: Final = frozenset("/?#%\\")


class CheckpointKind(StrEnum):
    """The middle part of a path: what the checkpoint can be used for."""

    WEIGHTS = "weights"
    """Weights and optimizer state; training can go on from it."""
    SAMPLER_WEIGHTS = "sampler_weights"
    """Weights for sampling only."""
    EXTERNAL_WEIGHTS = "external_weights"
    """Files for use outside the service."""


class ForeignKind(str):
    """A middle part that this version does not know, from a service that files its checkpoints otherwise."""

    __slots__ = ()

    @property
    def value(self) -> str:
        """The part itself, as that of a `CheckpointKind`."""
        return str(self)


def segment_fault(text: str) -> str | None:
    """Say why `text` cannot be one segment of a URL path, or None when it can.

    The official client does not escape segments, and servers and proxies decode and collapse them differently; a
    segment that has a meaning in a URL could therefore reach another resource than the one meant.
    """
    if not text:
        return "is empty"
    if text in {".", ".."}:
        return f"is {text!r}, which a URL collapses"
    if syntax := sorted(_URL_SYNTAX.intersection(text)):
        return f"contains {syntax[0]!r}, which has a meaning in a URL"
    if not text.isprintable() or text != text.strip():
        return "contains a control character, a line break or surrounding space"
    return None


def checked_segment(text: str, what: str) -> str:
    """Give `text` back when it can be one segment of a URL path.

    Args:
        text: An id, opaque to us.
        what: What the id is, for the message ("the training run id").

    Raises:
        CallNotPossible: It cannot; nothing was sent.
    """
    if fault := segment_fault(text):
        raise CallNotPossible(f"{what} {_shown(text)} {fault}", "Give the id exactly as the service lists it.")
    return text


@dataclass(frozen=True, slots=True)
class TinkerPath:
    """A checkpoint's address, `tinker://<training_run_id>/<kind>/<name>`; an instance is always well formed.

    Raises:
        InvalidTinkerPath: A part is empty or could not travel in a URL.
    """

    training_run_id: str
    kind: CheckpointKind | ForeignKind
    name: str

    def __post_init__(self) -> None:
        parts = (("training run", self.training_run_id), ("middle part", self.kind), ("checkpoint name", self.name))
        for what, text in parts:
            if fault := segment_fault(text):
                raise InvalidTinkerPath(f"In the path {_shown(str(self))} the {what} {fault}", RIGHT_FORM)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a path that a person wrote; `str()` of the result is `text` again.

        Raises:
            InvalidTinkerPath: Says what is wrong and the right form.
        """
        run, kind, name = _parts(text)
        if kind not in set(CheckpointKind):
            kinds = ", ".join(CheckpointKind)
            raise InvalidTinkerPath(
                f"The path {_shown(text)} has {_shown(kind)} in the middle instead of one of {kinds}", RIGHT_FORM
            )
        return cls(run, CheckpointKind(kind), name)

    @classmethod
    def listed(cls, text: str) -> Self:
        """Read a path that a service listed: it may file checkpoints under middle parts of its own.

        Raises:
            InvalidTinkerPath: It has not three parts, or one of them could not travel in a URL.
        """
        run, kind, name = _parts(text)
        return cls(run, CheckpointKind(kind) if kind in set(CheckpointKind) else ForeignKind(kind), name)

    @property
    def checkpoint_id(self) -> str:
        """The id within its run, which includes the kind: `weights/step-3`."""
        return f"{self.kind}/{self.name}"

    def __str__(self) -> str:
        return f"{SCHEME}{self.training_run_id}/{self.kind}/{self.name}"


def _parts(text: str) -> tuple[str, str, str]:
    if not text.startswith(SCHEME):
        raise InvalidTinkerPath(f"The path {_shown(text)} does not begin with {SCHEME}", RIGHT_FORM)
    parts = text.removeprefix(SCHEME).split("/")
    if len(parts) != _MIDDLE_AND_ENDS:
        raise InvalidTinkerPath(f"The path {_shown(text)} has {len(parts)} parts instead of three", RIGHT_FORM)
    run, kind, name = parts
    return run, kind, name


def _shown(text: str, limit: int = 120) -> str:
    """Quote for a message: escaped, so that no control character reaches a terminal, and bounded."""
    return ascii(text if len(text) <= limit else text[:limit] + "…")
