"""The manifest of an export: what was sent, and what it was made from. It is the last thing that is written.

Where a manifest is, the export is whole. Every target reads it before it sends, so nothing is sent twice.
"""

import re
from datetime import datetime
from hashlib import sha256
from typing import Final, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from tinker_operator.api.export_spec import ExportFormat
from tinker_operator.exporter.errors import TargetForeign
from tinker_operator.tinker.paths import TinkerPath

MANIFEST: Final = "tinker-export.json"
"""Name of the manifest, beside the files."""
_UNUSUAL: Final = re.compile(r"[^A-Za-z0-9._:-]")


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)


class Source(_Model):
    """Which checkpoint it is: one that was saved anew under the same path is another.

    Attributes:
        path: At the service.
        time: When it was saved; None when the service does not tell.
        size_bytes: As the service tells it.
    """

    path: str
    time: AwareDatetime | None = None
    size_bytes: int | None = None


class SentFile(_Model):
    """A file of the export.

    Attributes:
        name: Relative to the manifest.
        bytes: Its size.
        sha256: In hexadecimal.
    """

    name: str
    bytes: int
    sha256: str


class Manifest(_Model):
    """What an export is.

    Attributes:
        version: Of this document.
        source: The checkpoint.
        format: Form of the files.
        base_model: What the adapter is for; None when its configuration does not say.
        files: All of them, by name.
        tool: Name and version of what made it.
    """

    version: Literal[1] = 1
    source: Source
    format: ExportFormat = ExportFormat.SAFETENSORS
    base_model: str | None = None
    files: tuple[SentFile, ...]
    tool: str

    def is_of(self, source: Source, form: ExportFormat = ExportFormat.SAFETENSORS) -> bool:
        """Say whether this is the export of a checkpoint in a form."""
        return self.source == source and self.format == form

    def content(self) -> bytes:
        """Give the document; the same export has the same to the byte."""
        return (self.model_dump_json(by_alias=True, indent=1) + "\n").encode()

    @classmethod
    def read(cls, content: bytes, where: str) -> Self:
        """Read a document.

        Args:
            content: As it was found.
            where: For the message.

        Raises:
            TargetForeign: It is no manifest of ours.
        """
        try:
            return cls.model_validate_json(content)
        except ValidationError:
            pass
        raise TargetForeign(f"{where} holds a {MANIFEST} that is no manifest of an export")


def folder_name(path: TinkerPath, form: ExportFormat = ExportFormat.SAFETENSORS) -> str:
    """Give the name under which a checkpoint lies at a target, fit for file systems, keys and addresses.

    A name that had to be changed by more than the colons of run ids ends with a digest, so that no two are equal. Each
    form has a folder of its own: one that replaced another would take away what somebody else exported.
    """
    ending = "" if form is ExportFormat.SAFETENSORS else f"+{form.lower()}"  # a plus sign is in no other name
    name = f"{path.training_run_id}_{path.kind}_{path.name}"
    digest = f"-{sha256(name.encode()).hexdigest()[:8]}" if _UNUSUAL.search(name) else ""
    return _UNUSUAL.sub("-", name).replace(":", "-") + digest + ending


def source_of(path: TinkerPath, time: datetime | None, size_bytes: int | None) -> Source:
    """Give the identity of a checkpoint as the service lists it."""
    return Source(path=str(path), time=time, size_bytes=size_bytes)
