"""Exports to a directory, a mounted volume among them: each in a folder of its own that is whole or not there."""

import asyncio
from pathlib import Path
from typing import Final

from tinker_operator.exporter.errors import TargetForeign
from tinker_operator.exporter.manifest import MANIFEST, Manifest
from tinker_operator.tinker.download import Progress
from tinker_operator.tinker.download.disk import disk_faults, put_back, put_in_place, remove, sync_tree, write_whole


class Directory:
    """A folder below a directory.

    Args:
        parent: The directory; made when it is missing.
        name: Of the export's own folder.
    """

    def __init__(self, parent: Path, name: str) -> None:
        self._folder: Final = parent.absolute() / name
        self._replaced: Final = self.own_work / f"{name}.replaced"

    @property
    def where(self) -> str:
        """The folder."""
        return str(self._folder)

    @property
    def own_work(self) -> Path:
        """On the same file system, so that the last act is a rename."""
        return self._folder.parent / ".tinker-export"

    async def manifest(self) -> Manifest | None:
        """Read the manifest in the folder.

        Raises:
            TargetForeign: There is a folder of this name that is no export.
            DiskFault: It cannot be read.
        """
        return await asyncio.to_thread(self._manifest)

    async def publish(self, folder: Path, manifest: Manifest, former: Manifest | None, progress: Progress) -> int:
        """Give the folder its final name; it was downloaded to this file system, so nothing is copied.

        Raises:
            DiskFault: The file system refuses.
        """
        del former  # it is exchanged as a whole
        total = sum(file.bytes for file in manifest.files)
        await asyncio.to_thread(self._publish, folder, manifest)
        progress(total, total, self._folder.name)
        return total

    def _manifest(self) -> Manifest | None:
        with disk_faults(self._folder):
            put_back(self._replaced, self._folder)
            if not self._folder.exists():
                return None
            try:
                content = (self._folder / MANIFEST).read_bytes()
            except FileNotFoundError:
                raise TargetForeign(f"{self._folder} exists and is no export: it has no {MANIFEST}") from None
            return Manifest.read(content, str(self._folder))

    def _publish(self, folder: Path, manifest: Manifest) -> None:
        with disk_faults(self._folder):
            write_whole(folder / MANIFEST, manifest.content())
            sync_tree(folder)
            put_in_place(folder, self._folder, self._replaced)
            remove(self._replaced)
            remove(folder)  # what had the name before, where the two were exchanged
