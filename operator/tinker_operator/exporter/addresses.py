"""Where an export goes, as a person writes it: `--to DIR`, `s3://bucket/prefix` or `hub://owner/name`."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tinker_operator.api.export_spec import ExportFormat
from tinker_operator.exporter.directory import Directory
from tinker_operator.exporter.hub import MAIN, Repository, opened_hub
from tinker_operator.exporter.manifest import folder_name
from tinker_operator.exporter.objects import Objects, opened_store
from tinker_operator.exporter.target import Target
from tinker_operator.tinker.errors import CallNotPossible
from tinker_operator.tinker.paths import TinkerPath

S3: Final = "s3://"
HUB: Final = "hub://"
_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PART: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
_REVISION: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,199}")


@dataclass(frozen=True, slots=True)
class Address:
    """A place for exports that can be written down.

    Args:
        text: As a person wrote it.
        endpoint_url: Address of the store or the Hub; None for the usual one.
        revision: Branch of the repository.
        public: Whether a repository may be open to everybody.
        apart: Whether each checkpoint has a folder of its own in a repository.
        form: Form of the files; each form of a checkpoint has a folder of its own.

    Raises:
        CallNotPossible: It is no place; says what is wrong.
    """

    text: str
    endpoint_url: str | None = None
    revision: str = MAIN
    public: bool = False
    apart: bool = False
    form: ExportFormat = ExportFormat.SAFETENSORS

    def __post_init__(self) -> None:
        if self.text.startswith(S3):
            bucket, *parts = self._parts(S3)
            if not _BUCKET.fullmatch(bucket) or not all(map(_PART.fullmatch, parts)):
                raise CallNotPossible("--to has no name of a bucket, or an odd prefix", "Write s3://<bucket>/<prefix>.")
        elif self.text.startswith(HUB):
            owner, *parts = self._parts(HUB)
            if not parts or not _PART.fullmatch(owner) or not all(map(_PART.fullmatch, parts)):
                raise CallNotPossible("--to has no repository with an owner", "Write hub://<owner>/<name>[/<folder>].")
            if not _REVISION.fullmatch(self.revision):
                raise CallNotPossible("--revision is no name of a branch", "Write letters, digits, '-', '_' and '.'.")
        elif "://" in self.text or not self.text:
            raise CallNotPossible("--to is of another kind", "Write a folder, s3://<bucket> or hub://<owner>/<name>.")

    def target(self, path: TinkerPath) -> Target:
        """Open the place for a checkpoint: in a folder of its own, but for the Hub, where the user names the folder.

        Raises:
            ExtraMissing: A library is not installed.
            TargetRefused: A setting cannot be used.
        """
        if self.text.startswith(S3):
            bucket, *parts = self._parts(S3)
            prefix = "/".join([*parts, folder_name(path, self.form)])
            return Objects(opened_store(bucket, self.endpoint_url), bucket, prefix)
        if self.text.startswith(HUB):
            owner, name, *parts = self._parts(HUB)
            own = [folder_name(path, self.form)] if self.apart else []
            hub = opened_hub(self.endpoint_url)
            return Repository(
                hub, f"{owner}/{name}", "/".join([*parts, *own]), revision=self.revision, public=self.public
            )
        return Directory(Path(self.text), folder_name(path, self.form))

    def _parts(self, scheme: str) -> list[str]:
        return self.text.removeprefix(scheme).rstrip("/").split("/")
