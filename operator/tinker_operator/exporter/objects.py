"""Exports to S3 and to what speaks its protocol.

The library streams a file in parts, a few at a time, so memory does not grow with the file. Each object carries the
SHA-256 of its file as metadata, and the store checks the same of each request: what is there already is known by it.

Its calls that block are used, in a thread: those that do not can abort the process when it ends.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from tinker_operator.exporter.errors import ExportError, ExtraMissing, TargetRefused, TargetUnreachable
from tinker_operator.exporter.manifest import MANIFEST, Manifest, SentFile
from tinker_operator.exporter.threads import in_thread
from tinker_operator.tinker.download import Progress

if TYPE_CHECKING:
    from obstore.store import S3Store

T = TypeVar("T")
DIGEST: Final = "sha256"
"""Name of the metadata that holds a file's digest."""
_PART: Final = 8 * 1024**2
_MOST_PARTS: Final = 10_000
_AT_ONCE: Final = 4


def opened_store(bucket: str, endpoint_url: str | None) -> "S3Store":
    """Open a bucket, with the credentials that the environment names (AWS_ACCESS_KEY_ID and so on).

    Args:
        bucket: Its name.
        endpoint_url: Address of a store that is not Amazon's; None for Amazon's, or what the environment says.

    Raises:
        ExtraMissing: The library is not installed.
        TargetRefused: The name or a setting cannot be used.
    """
    try:
        from obstore.exceptions import BaseError  # noqa: PLC0415 - an extra
        from obstore.store import S3Store  # noqa: PLC0415
    except ImportError:
        raise ExtraMissing("Exports to S3 need the library obstore, which is not installed") from None
    try:
        return S3Store(
            bucket,
            config={"checksum_algorithm": "SHA256", **({"endpoint": endpoint_url} if endpoint_url else {})},
            client_options={"allow_http": True, "connect_timeout": "10s", "timeout": "300s"},
            retry_config={"max_retries": 4},
        )
    except (BaseError, ValueError, TypeError) as error:
        raise TargetRefused(f"The bucket {bucket} cannot be opened ({type(error).__name__})") from None


class Objects:
    """The objects below one prefix of a bucket.

    Args:
        store: The bucket.
        bucket: Its name, for messages.
        prefix: Of the export; without a slash at its ends.
    """

    def __init__(self, store: "S3Store", bucket: str, prefix: str) -> None:
        self._store: Final = store
        self._prefix: Final = prefix
        self.where: Final = f"s3://{bucket}/{prefix}"

    @property
    def own_work(self) -> None:
        """Anywhere."""

    async def manifest(self) -> Manifest | None:
        """Read the manifest.

        Raises:
            TargetForeign: What has its name is none.
            TargetRefused: It may not be read.
            TargetUnreachable: The store does not answer.
        """
        found = await self._asked(lambda: bytes(self._store.get(self._key(MANIFEST)).bytes()), missing_ok=True)
        return None if found is None else Manifest.read(found, self.where)

    async def publish(self, folder: Path, manifest: Manifest, former: Manifest | None, progress: Progress) -> int:
        """Send each file that is not there with the same digest, then the manifest.

        The manifest of what was there before goes first: it must not vouch for files that are being replaced.

        Raises:
            TargetRefused: The store may not be written.
            TargetUnreachable: It does not answer.
        """
        if former is not None:
            await self._remove(MANIFEST)
        sent = 0
        for file in manifest.files:
            if not await self._has(file):
                await self._send(folder / file.name, file)
                sent += file.bytes
            progress(file.bytes, file.bytes, file.name)
        names = {file.name for file in manifest.files}
        for stale in (file.name for file in (former.files if former else ()) if file.name not in names):
            await self._remove(stale)
        await self._asked(lambda: self._store.put(self._key(MANIFEST), manifest.content()))
        return sent

    async def _has(self, file: SentFile) -> bool:
        if not file.bytes:
            return False
        key = self._key(file.name)
        found = await self._asked(lambda: self._store.get(key, options={"range": (0, 1)}), missing_ok=True)
        return found is not None and found.meta["size"] == file.bytes and found.attributes.get(DIGEST) == file.sha256

    async def _send(self, path: Path, file: SentFile) -> None:
        part = max(_PART, -(-file.bytes // _MOST_PARTS))
        key, marks = self._key(file.name), {DIGEST: file.sha256}
        await self._asked(
            lambda: self._store.put(key, path, attributes=marks, chunk_size=part, max_concurrency=_AT_ONCE)
        )

    async def _remove(self, name: str) -> None:
        await self._asked(lambda: self._store.delete(self._key(name)), missing_ok=True)

    def _key(self, name: str) -> str:
        return f"{self._prefix}/{name}"

    async def _asked(self, ask: Callable[[], T], *, missing_ok: bool = False) -> T | None:
        """Give the answer; None when there is no such object and that is allowed.

        Only the kind of a failure is told: the library's own text quotes what it sent.
        """
        from obstore import exceptions  # noqa: PLC0415 - an extra

        fault: ExportError
        try:
            return await in_thread(ask)
        except FileNotFoundError:
            if missing_ok:
                return None
            fault = TargetRefused(f"{self.where}: the store has no such bucket")
        except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError):
            fault = TargetRefused(f"{self.where}: the store refuses the credentials, or what they may do")
        except (exceptions.BaseError, OSError) as error:
            fault = TargetUnreachable(f"{self.where}: the store fails or cannot be reached ({type(error).__name__})")
        raise fault
