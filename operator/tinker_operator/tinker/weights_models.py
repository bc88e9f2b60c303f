"""What the service says of stored weights beyond their listing, and what is concluded from it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, TypeAlias

from pydantic import Field, SecretStr

from tinker_operator.tinker.models import Count, Text, UtcTime, WireModel
from tinker_operator.tinker.paths import TinkerPath


class Saved(WireModel):
    """Result of a save."""

    path: Text
    size_bytes: Count | None = None

    @property
    def tinker_path(self) -> TinkerPath:
        """The path, in its parts.

        Raises:
            InvalidTinkerPath: The service has a form of its own for paths.
        """
        return TinkerPath.listed(self.path)


class WeightsCopied(WireModel):
    """Answer to `copy_weights`."""

    tinker_path: Text


class ExternalWeightsUrls(WireModel):
    """Where the files of an external checkpoint are: name → address that opens it to whoever knows it."""

    urls: dict[str, SecretStr]
    expires: UtcTime | None = None


class ArchiveSaid(WireModel):
    """Answer to `archive` that is no redirect."""

    url: Annotated[SecretStr, Field(min_length=1)]
    expires: UtcTime | None = None


@dataclass(frozen=True, slots=True)
class ArchiveReady:
    """Where the archive of a checkpoint is.

    Args:
        url: Opens it to whoever knows it.
        expires: When it stops doing so; None when the service did not say.
    """

    url: SecretStr
    expires: datetime | None


@dataclass(frozen=True, slots=True)
class ArchiveBeingBuilt:
    """The service makes the archive.

    Args:
        retry_after: Seconds after which to ask again; None when the service did not say.
    """

    retry_after: float | None


Archive: TypeAlias = ArchiveReady | ArchiveBeingBuilt


@dataclass(frozen=True, slots=True)
class Compatible:
    """A checkpoint fits.

    Args:
        base_model: What it was trained on.
        rank: Its LoRA rank; None when the service does not say, and then it was not compared.
    """

    base_model: str
    rank: int | None


@dataclass(frozen=True, slots=True)
class NotLora:
    """A checkpoint is no LoRA adapter."""

    base_model: str


@dataclass(frozen=True, slots=True)
class BaseModelMismatch:
    """A checkpoint was trained on another model."""

    wanted: str
    found: str


@dataclass(frozen=True, slots=True)
class RankMismatch:
    """A checkpoint has another LoRA rank."""

    wanted: int
    found: int


Compatibility: TypeAlias = Compatible | RankMismatch | BaseModelMismatch | NotLora
