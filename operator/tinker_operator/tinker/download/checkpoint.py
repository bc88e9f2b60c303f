"""Downloads any checkpoint of a service, each kind in the way in which services give it out.

Exports are fetched as they are. A training checkpoint is exported for the purpose; where the service cannot export, its
archive is asked for. Checkpoints for sampling are never given out.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from tinker_operator.tinker.calls import FinishReason
from tinker_operator.tinker.client import TinkerClient
from tinker_operator.tinker.download.downloading import Downloaded, Downloading
from tinker_operator.tinker.download.errors import ArchiveMissing, NotDownloadable
from tinker_operator.tinker.download.export import TemporaryExport
from tinker_operator.tinker.download.fetching import Way
from tinker_operator.tinker.download.sources import ArchiveFile, ExportedFiles
from tinker_operator.tinker.download.unpacking import Limits
from tinker_operator.tinker.download.workplace import Workplace
from tinker_operator.tinker.errors import RouteMissing
from tinker_operator.tinker.operations import save_weights_external
from tinker_operator.tinker.paths import CheckpointKind, TinkerPath
from tinker_operator.tinker.weights_models import ExternalWeightsUrls


class ServiceExports:
    """The calls of a client in the form that a temporary export is made with.

    Args:
        client: The service.
    """

    def __init__(self, client: TinkerClient) -> None:
        self._client: Final = client

    async def create_session(
        self, *, tags: tuple[str, ...], user_metadata: Mapping[str, str], idempotency_key: str
    ) -> str:
        """Open a session; see the client."""
        return await self._client.create_session(
            tags=tags, user_metadata=user_metadata, idempotency_key=idempotency_key
        )

    async def heartbeat(self, session_id: str) -> None:
        """Say that a session is alive; see the client."""
        await self._client.heartbeat(session_id)

    async def finish_session(self, session_id: str, reason: FinishReason, detail: str | None = None) -> None:
        """Close a session; see the client."""
        await self._client.finish_session(session_id, reason, detail)

    async def load_weights(
        self,
        *,
        session_id: str,
        model_seq_id: int,
        path: TinkerPath,
        optimizer: bool,
        user_metadata: Mapping[str, str],
        wait_seconds: float,
    ) -> str:
        """Make a run from a checkpoint; see the client."""
        return await self._client.load_weights(
            session_id=session_id,
            model_seq_id=model_seq_id,
            path=path,
            optimizer=optimizer,
            user_metadata=user_metadata,
            wait_seconds=wait_seconds,
        )

    async def save_weights_external(
        self, *, model_id: str, seq_id: int, name: str, ttl_seconds: int | None, wait_seconds: float
    ) -> TinkerPath:
        """Export a run's weights; see the client's operations."""
        operation = save_weights_external(model_id, seq_id, name, ttl_seconds=ttl_seconds)
        return (await (await self._client.submit(operation)).result(wait_seconds)).tinker_path

    async def external_weights_urls(self, path: TinkerPath) -> ExternalWeightsUrls:
        """Sign the files of an export; see the client."""
        return await self._client.external_weights_urls(path)

    async def set_checkpoint_ttl(self, path: TinkerPath, ttl_seconds: int | None) -> None:
        """Say how long a checkpoint lives; see the client."""
        await self._client.set_checkpoint_ttl(path, ttl_seconds)

    async def delete_checkpoint(self, path: TinkerPath) -> None:
        """Delete a checkpoint; see the client."""
        await self._client.delete_checkpoint(path)


async def download_checkpoint(
    client: TinkerClient,
    path: TinkerPath,
    target: Path,
    way: Way,
    *,
    new_key: Callable[[], str],
    force: bool = False,
    limits: Limits | None = None,
) -> Downloaded:
    """Download a checkpoint of any kind that is given out into a folder that is whole or not there.

    Args:
        client: The service.
        path: The checkpoint.
        target: The folder that is to be made.
        way: How files are fetched.
        new_key: Makes a UUID for the session that an export needs.
        force: Whether to replace what is there, once the new content is whole.
        limits: What an archive may come to.

    Raises:
        NotDownloadable: The checkpoint is for sampling only.
        TargetExists: There is something at `target`, and `force` is false.
        TinkerError: Any other below DownloadError, or what the service refuses.
    """
    if path.kind not in {CheckpointKind.WEIGHTS, CheckpointKind.EXTERNAL_WEIGHTS}:
        raise NotDownloadable(f"The service gives out no files of {path}, a checkpoint of kind {path.kind}")
    opened: AbstractContextManager[Workplace] = Workplace.opened(target, force=force)
    with opened as place:
        downloading = Downloading(place, way, limits or Limits())
        exports = ServiceExports(client)
        if path.kind is CheckpointKind.EXTERNAL_WEIGHTS:
            return await downloading.run(ExportedFiles(exports, path))
        try:
            async with TemporaryExport(exports, path, place, new_key).made() as source:
                return await downloading.run(source)
        except RouteMissing as missing:
            cannot_export = missing
        return await _archived(downloading, client, path, way, cannot_export)


async def _archived(
    downloading: Downloading, client: TinkerClient, path: TinkerPath, way: Way, cannot_export: RouteMissing
) -> Downloaded:
    """Fetch the archive instead; when there is none either, what is missing is the export."""
    try:
        return await downloading.run(ArchiveFile(client, path, way.keeper))
    except ArchiveMissing:
        neither = ArchiveMissing(
            f"The service neither exports checkpoints ({cannot_export.message}) nor gives archives of them",
            "Export it from the program that trains (save_weights_external) and download the export.",
        )
    raise neither
