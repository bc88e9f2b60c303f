"""Exports to a repository of the Hugging Face Hub: one commit holds the files and the manifest, so both or neither.

Large files go first, and the Hub knows them by their digest: a run that was interrupted does not send them again.
A repository is made private, and one that everybody can read is written only when that was asked for.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final, TypeVar

from tinker_operator.exporter.card import CARD, card
from tinker_operator.exporter.errors import (
    ExportError,
    ExtraMissing,
    TargetForeign,
    TargetPublic,
    TargetRefused,
    TargetUnreachable,
)
from tinker_operator.exporter.manifest import MANIFEST, Manifest
from tinker_operator.exporter.threads import in_thread
from tinker_operator.tinker.download import Progress

if TYPE_CHECKING:
    from huggingface_hub import HfApi

T = TypeVar("T")
MAIN: Final = "main"
_SERVER_FAULT: Final = 500
_TOO_MANY: Final = 429
_OVERTAKEN: Final = (409, 412)
_WAITS: Final = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Seconds before a commit is tried again that another one overtook."""


class _Overtaken(TargetUnreachable, transient=True):
    """Somebody else committed to the branch meanwhile."""


def opened_hub(endpoint_url: str | None) -> "HfApi":
    """Open the Hub, with the token that the environment names (HF_TOKEN, HF_TOKEN_PATH) or `hf auth login` left.

    Args:
        endpoint_url: Address of a Hub of one's own; None for the public one, or what HF_ENDPOINT says.

    Raises:
        ExtraMissing: The library is not installed.
    """
    try:
        from huggingface_hub import HfApi  # noqa: PLC0415 - an extra
        from huggingface_hub.utils.logging import set_verbosity_error  # noqa: PLC0415
        from huggingface_hub.utils.tqdm import disable_progress_bars  # noqa: PLC0415
    except ImportError:
        raise ExtraMissing("Exports to the Hub need the library huggingface_hub, which is not installed") from None
    disable_progress_bars()
    # It tells of each upload that it tries again with its address, which is signed.
    set_verbosity_error()  # type: ignore[no-untyped-call]  # half of the library has no types
    return HfApi(endpoint=endpoint_url, library_name="tinker-operator")


class Repository:
    """A folder in a repository for models, or all of it.

    Args:
        hub: The Hub.
        repo: `<owner>/<name>`.
        folder: Path in it; empty for its root, from where PEFT loads by the repository's name alone.
        revision: The branch; made when it is missing.
        public: Whether everybody may read what is sent.
    """

    def __init__(self, hub: "HfApi", repo: str, folder: str, *, revision: str = MAIN, public: bool = False) -> None:
        self._hub: Final = hub
        self._repo: Final = repo
        self._folder: Final = folder
        self._revision: Final = revision
        self._public: Final = public
        self.where: Final = "/".join(part for part in (f"hub://{repo}", folder) if part) + (
            "" if revision == MAIN else f"@{revision}"
        )

    @property
    def own_work(self) -> None:
        """Anywhere."""

    async def manifest(self) -> Manifest | None:
        """Read the manifest of the branch.

        Raises:
            TargetForeign: What has its name is none.
            TargetRefused: The repository may not be read.
            TargetUnreachable: The Hub does not answer.
        """
        return await self._asked(self._manifest)

    async def publish(self, folder: Path, manifest: Manifest, former: Manifest | None, progress: Progress) -> int:
        """Make the repository where it is missing, and commit.

        Raises:
            TargetPublic: Everybody can read it, and that was not asked for.
            TargetRefused: It may not be written.
            TargetUnreachable: The Hub does not answer.
        """
        await self._asked(self._prepared)
        for wait in _WAITS:
            with suppress(_Overtaken):
                sent = await self._asked(lambda: self._committed(folder, manifest, former))
                break
            await asyncio.sleep(wait)
        else:
            sent = await self._asked(lambda: self._committed(folder, manifest, former))
        for file in manifest.files:
            progress(file.bytes, file.bytes, file.name)
        return sent

    def _manifest(self) -> Manifest | None:
        from huggingface_hub.errors import (  # noqa: PLC0415
            RemoteEntryNotFoundError,
            RepositoryNotFoundError,
            RevisionNotFoundError,
        )

        with TemporaryDirectory() as place:
            try:
                found = self._hub.hf_hub_download(
                    self._repo, self._path(MANIFEST), revision=self._revision, local_dir=place
                )
            except (RemoteEntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError):
                return None
            return Manifest.read(Path(found).read_bytes(), self.where)

    def _prepared(self) -> None:
        self._hub.create_repo(self._repo, private=not self._public, exist_ok=True)
        if not self._public and not self._hub.repo_info(self._repo).private:
            raise TargetPublic(f"The repository {self._repo} is open to everybody; nothing was sent")
        if self._revision != MAIN:
            self._hub.create_branch(self._repo, branch=self._revision, exist_ok=True)

    def _committed(self, folder: Path, manifest: Manifest, former: Manifest | None) -> int:
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete  # noqa: PLC0415

        for name in (file.name for file in manifest.files) if former is None else ():
            if self._hub.file_exists(self._repo, self._path(name), revision=self._revision):
                raise TargetForeign(f"{self.where} holds a {name} and no {MANIFEST}; nothing was sent")
        files = [CommitOperationAdd(self._path(file.name), folder / file.name) for file in manifest.files]
        names = {file.name for file in manifest.files}
        stale = [file.name for file in (former.files if former else ()) if file.name not in names]
        changes: list[CommitOperationAdd | CommitOperationDelete] = [
            *files,
            CommitOperationAdd(self._path(MANIFEST), manifest.content()),
            *(CommitOperationDelete(self._path(name)) for name in stale),
        ]
        if not self._hub.file_exists(self._repo, self._path(CARD), revision=self._revision):
            changes.append(CommitOperationAdd(self._path(CARD), card(manifest, self._repo).encode()))
        self._hub.create_commit(
            self._repo, changes, commit_message=f"Export {manifest.source.path}", revision=self._revision
        )
        return sum(file.bytes for file in manifest.files)

    def _path(self, name: str) -> str:
        return f"{self._folder}/{name}" if self._folder else name

    async def _asked(self, ask: Callable[[], T]) -> T:
        """Ask in a thread that does not keep the process from ending; each failure becomes one of ours.

        Only the kind of a failure is told: the library's own text may quote signed addresses.
        """
        import httpx2  # noqa: PLC0415 - what the library speaks HTTP with
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalTokenNotFoundError  # noqa: PLC0415

        fault: ExportError
        try:
            return await in_thread(ask)
        except HfHubHTTPError as error:
            fault = self._refused(error.response.status_code)
        except (HFValidationError, LocalTokenNotFoundError) as error:
            fault = TargetRefused(f"{self.where}: {type(error).__name__}", "Check the repository's name and HF_TOKEN.")
        except (httpx2.HTTPError, OSError, RuntimeError, ValueError) as error:
            fault = TargetUnreachable(f"{self.where}: the Hub fails or cannot be reached ({type(error).__name__})")
        raise fault

    def _refused(self, status: int) -> ExportError:
        if status >= _SERVER_FAULT or status == _TOO_MANY:
            return TargetUnreachable(f"{self.where}: the Hub answers with status {status}")
        if status in _OVERTAKEN:
            return _Overtaken(f"{self.where}: others commit to the branch at the same time (status {status})")
        return TargetRefused(f"{self.where}: the Hub refuses with status {status}")
