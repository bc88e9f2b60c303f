"""Brings one checkpoint to one target: looked up, downloaded, judged, converted, sent. Called by the command `export`.

Killed at any point, the next run goes on: the download is kept until all is sent, and each target knows what it has.
"""

import asyncio
import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

from tinker_operator.api.export_spec import ExportFormat
from tinker_operator.exporter.converting import converted, leave_only
from tinker_operator.exporter.errors import CheckpointChanged, CheckpointMissing, CheckpointUnsound
from tinker_operator.exporter.formats import opened
from tinker_operator.exporter.manifest import MANIFEST, Manifest, SentFile, Source, folder_name, source_of
from tinker_operator.exporter.target import Target
from tinker_operator.exporter.threads import in_thread
from tinker_operator.exporter.weights import CONFIG
from tinker_operator.tinker.client import TinkerClient
from tinker_operator.tinker.download import TargetBusy, Way, download_checkpoint, inspect_export
from tinker_operator.tinker.download.disk import disk_faults, remove, write_whole
from tinker_operator.tinker.paths import TinkerPath

TOOL: Final = f"tinker-operator {version('tinker-operator')}"


@dataclass(frozen=True, slots=True)
class Exported:
    """A checkpoint that is whole at its target.

    Args:
        where: The target.
        manifest: What is there.
        sent_bytes: How much of it this run sent; 0 when all was there.
    """

    where: str
    manifest: Manifest
    sent_bytes: int


@dataclass(frozen=True, slots=True)
class Exporting:
    """An export.

    Args:
        client: The service.
        way: How files are fetched; its progress is told of what is sent, too.
        new_key: Makes a UUID for the session that a download needs.
        work: Folder for the download; it needs room for the checkpoint, twice if that is an archive or converted.
        form: Form of the files.
    """

    client: TinkerClient
    way: Way
    new_key: Callable[[], str]
    work: Path
    form: ExportFormat = ExportFormat.SAFETENSORS

    async def run(self, path: TinkerPath, target: Target) -> Exported:
        """Bring a checkpoint to a target, unless it is there.

        Raises:
            NotDownloadable: It is for sampling only.
            ExportError: What the checkpoint or the target refuses.
            TinkerError: What the service or the download refuses.
        """
        source = await self._listed(path)
        place = _Work(target.own_work or self.work, folder_name(path, self.form))
        with place.taken():
            there = await target.manifest()
            if there is not None and there.is_of(source, self.form):
                done = Exported(target.where, there, 0)
            else:
                manifest = await self._content(path, source, place)
                sent = await target.publish(place.content, manifest, there, self.way.progress)
                done = Exported(target.where, manifest, sent)
            await asyncio.to_thread(place.leave)
        return done

    async def _listed(self, path: TinkerPath) -> Source:
        listed = await self.client.checkpoints(path.training_run_id)
        found = next((one for one in listed if one.tinker_path == str(path)), None)
        if found is None:
            raise CheckpointMissing(f"The service does not list {path}")
        return source_of(path, found.time, found.size_bytes)

    async def _content(self, path: TinkerPath, source: Source, place: "_Work") -> Manifest:
        """Download and convert it, as far as no earlier run did."""
        conversion = await asyncio.to_thread(opened, self.form)
        known = await asyncio.to_thread(place.known)
        if known is None or not known.is_of(source, self.form):
            if known is None or not known.is_of(source):
                known = await self._downloaded(path, source, place)
            if conversion is not None:
                whole, into = known, conversion
                # Minutes, for a large one; the process may end meanwhile.
                known = await in_thread(lambda: converted(place.content, self.form, into, whole))
                await asyncio.to_thread(place.note, known)
        if conversion is not None:
            await asyncio.to_thread(leave_only, place.content, known)
        return known

    async def _downloaded(self, path: TinkerPath, source: Source, place: "_Work") -> Manifest:
        """Download it; then it is judged and looked up again."""
        done = await download_checkpoint(self.client, path, place.content, self.way, new_key=self.new_key, force=True)
        judged = await asyncio.to_thread(inspect_export, place.content)
        if judged.findings:
            raise CheckpointUnsound(f"The files of {path} are broken: {judged.findings[0]}")
        if any(file.name == MANIFEST for file in done.files):
            raise CheckpointUnsound(f"A file of {path} has the name {MANIFEST}, which the export needs")
        if await self._listed(path) != source:
            raise CheckpointChanged(f"Another checkpoint was saved as {path} while it was downloaded")
        files = tuple(SentFile(name=file.name, bytes=file.size, sha256=file.sha256) for file in done.files)
        config = json.loads((place.content / CONFIG).read_bytes())
        base_model = config.get("base_model_name_or_path")
        manifest = Manifest(
            source=source, base_model=base_model if isinstance(base_model, str) else None, files=files, tool=TOOL
        )
        await asyncio.to_thread(place.note, manifest)
        return manifest


class _Work:
    """The folder of one export between its download and its end.

    Args:
        parent: Holds those of all exports.
        name: Of the export.
    """

    def __init__(self, parent: Path, name: str) -> None:
        self._parent: Final = parent.absolute()
        self.content: Final = self._parent / name
        self._note: Final = self._parent / f"{name}.json"
        self._lock: Final = self._parent / f"{name}.lock"

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Take it for this process alone.

        Raises:
            TargetBusy: Another process exports the same checkpoint from here.
            DiskFault: The file system refuses.
        """
        with disk_faults(self._parent):
            self._parent.mkdir(0o700, parents=True, exist_ok=True)
            descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise TargetBusy(f"Another export works in {self.content}") from None
            yield
        finally:
            os.close(descriptor)

    def known(self) -> Manifest | None:
        """Read what an earlier run downloaded whole; None when there is nothing of it, or not all of it."""
        with disk_faults(self._note):
            try:
                found = Manifest.model_validate_json(self._note.read_bytes())
            except (FileNotFoundError, ValueError):
                return None
            sizes = [(self.content / file.name) for file in found.files]
            there = all(path.is_file() for path in sizes)
            whole = there and [path.stat().st_size for path in sizes] == [file.bytes for file in found.files]
            return found if whole else None

    def note(self, manifest: Manifest) -> None:
        """Write down what was downloaded."""
        with disk_faults(self._note):
            write_whole(self._note, manifest.content())

    def leave(self) -> None:
        """Remove everything but the lock, whose removal would let two in."""
        with disk_faults(self.content):
            self._note.unlink(missing_ok=True)
            remove(self.content)
