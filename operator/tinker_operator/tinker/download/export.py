"""Makes the files of a training checkpoint available for as long as a download takes.

Services export from a live run only. So, as the official command does, the checkpoint is loaded into a new run of a
session of its own, exported from there, downloaded, and the export deleted. The run stays listed; its metadata say
where it came from.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Final, Literal, Protocol

from tinker_operator.tinker.download.errors import DownloadInterrupted
from tinker_operator.tinker.download.sources import EXPORT_SECONDS, ExportedFiles, ExportSigning
from tinker_operator.tinker.download.workplace import Workplace
from tinker_operator.tinker.errors import TinkerError
from tinker_operator.tinker.paths import TinkerPath

CREATED_BY: Final = {"created_by": "tinker-operator download"}
EXPORT_NAME: Final = "download"
_BEAT_SECONDS: Final = 10.0
_TIDY_SECONDS: Final = 3.0
"""For each act of tidying up: a command has to end within ten seconds of being told to."""


class ExportingClient(ExportSigning, Protocol):
    """The calls that an export is made with."""

    async def create_session(
        self, *, tags: tuple[str, ...], user_metadata: Mapping[str, str], idempotency_key: str
    ) -> str:
        """Open a session."""

    async def heartbeat(self, session_id: str) -> None:
        """Say that a session is alive."""

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
        """Make a run from a checkpoint."""

    async def save_weights_external(
        self, *, model_id: str, seq_id: int, name: str, ttl_seconds: int | None, wait_seconds: float
    ) -> TinkerPath:
        """Export a run's weights and give the export."""

    async def delete_checkpoint(self, path: TinkerPath) -> None:
        """Delete a checkpoint."""

    async def finish_session(
        self, session_id: str, reason: Literal["success", "errored", "interrupted"], detail: str | None = None
    ) -> None:
        """Close a session."""


class TemporaryExport:
    """The export of a training checkpoint, which lives as long as its download.

    Args:
        client: The service.
        path: A training checkpoint.
        place: Remembers the export, so that a later attempt goes on from it instead of making another.
        new_key: Makes a UUID, by which the service knows a repeated opening of the session.
        wait_seconds: How long to wait for the load, and for the export.
    """

    def __init__(
        self,
        client: ExportingClient,
        path: TinkerPath,
        place: Workplace,
        new_key: Callable[[], str],
        *,
        wait_seconds: float = 1800.0,
    ) -> None:
        self._client = client
        self._path = path
        self._place = place
        self._new_key = new_key
        self._wait_seconds = wait_seconds

    @asynccontextmanager
    async def made(self) -> AsyncIterator[ExportedFiles]:
        """Make the export, or find the one that an earlier attempt left, and delete it at the end.

        After an interruption it stays, for at most an hour: it is what the next attempt goes on from.

        Raises:
            TinkerError: The service cannot load or export the checkpoint.
        """
        if (export := await self._left_behind()) is not None:
            async with self._until_downloaded(export) as files:
                yield files
            return
        async with self._session() as session:
            export = await self._export_in(session)
            self._place.write_note(f"{self._path}\n{export}")
            async with self._until_downloaded(export) as files:
                yield files

    async def _left_behind(self) -> TinkerPath | None:
        """Give the export that an earlier attempt noted, when the service still has it."""
        source, _, noted = (self._place.note() or "").partition("\n")
        if source != str(self._path):
            return None
        with suppress(TinkerError):
            export = TinkerPath.parse(noted)
            await self._client.external_weights_urls(export)
            return export
        return None

    @asynccontextmanager
    async def _until_downloaded(self, export: TinkerPath) -> AsyncIterator[ExportedFiles]:
        keep = False
        try:
            yield ExportedFiles(self._client, export, temporary=True)
        except DownloadInterrupted:
            keep = True
            raise
        finally:
            if not keep:
                await self._deleted(export)

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[str]:
        """Open a session, keep it alive, and close it with what became of it."""
        session = await self._client.create_session(tags=(), user_metadata=CREATED_BY, idempotency_key=self._new_key())
        reason: Literal["success", "errored", "interrupted"] = "interrupted"
        beats = asyncio.create_task(self._beat(session))
        try:
            yield session
            reason = "success"
        except Exception:
            reason = "errored"
            raise
        finally:
            beats.cancel()
            await asyncio.gather(beats, return_exceptions=True)
            with suppress(TinkerError, TimeoutError):
                async with asyncio.timeout(_TIDY_SECONDS):
                    await self._client.finish_session(session, reason)

    async def _export_in(self, session: str) -> TinkerPath:
        run = await self._client.load_weights(
            session_id=session,
            model_seq_id=0,
            path=self._path,
            optimizer=False,
            user_metadata=CREATED_BY,
            wait_seconds=self._wait_seconds,
        )
        return await self._client.save_weights_external(
            model_id=run, seq_id=1, name=EXPORT_NAME, ttl_seconds=EXPORT_SECONDS, wait_seconds=self._wait_seconds
        )

    async def _beat(self, session: str) -> None:
        """Keep the session alive until cancelled; a beat that fails is followed by another."""
        while True:
            await asyncio.sleep(_BEAT_SECONDS)
            with suppress(TinkerError):
                await self._client.heartbeat(session)

    async def _deleted(self, export: TinkerPath) -> None:
        """Delete the export; one that cannot be deleted ends within the hour by itself."""
        with suppress(TinkerError, TimeoutError):
            async with asyncio.timeout(_TIDY_SECONDS):
                await self._client.delete_checkpoint(export)
        if self._place.root.exists():
            self._place.write_note(None)
