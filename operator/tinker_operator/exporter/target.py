"""What a place must be able to do for exports to go there; `directory`, `objects` and `hub` are the three."""

from pathlib import Path
from typing import Protocol

from tinker_operator.exporter.manifest import Manifest
from tinker_operator.tinker.download import Progress


class Target(Protocol):
    """A place for one export."""

    @property
    def where(self) -> str:
        """The place, as a person would name it; it holds no secret."""

    @property
    def own_work(self) -> Path | None:
        """Where a download for it has to be made; None when anywhere will do."""

    async def manifest(self) -> Manifest | None:
        """Read the manifest that is there; None when no whole export is there.

        Raises:
            ExportError: The place cannot be read, or holds something else.
        """

    async def publish(self, folder: Path, manifest: Manifest, former: Manifest | None, progress: Progress) -> int:
        """Send the files of a folder, and the manifest last; give how many bytes were sent.

        Called again after it was interrupted, it sends what is not there yet.

        Args:
            folder: Holds the files that the manifest names.
            manifest: What is to be there.
            former: What was there, and is replaced.
            progress: Told of what is sent.

        Raises:
            ExportError: It could not be done.
        """
