"""Where signed addresses come from: exports, exports made for the purpose, and archives."""

import asyncio
import io
import tarfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from tests.tinker.conftest import FakeTime
from tests.tinker.download_store import SIGNATURE, START, Content, FakeStore, given, names_in

from tinker_operator.tinker import NotFound, RouteMissing, TinkerClient, TinkerPath, Unauthorized
from tinker_operator.tinker.download import (
    ArchiveFile,
    ArchiveMissing,
    Downloaded,
    Downloading,
    DownloadInterrupted,
    ExportedFiles,
    ExportNotReady,
    NotDownloadable,
    TemporaryExport,
    Workplace,
    download,
    download_checkpoint,
    way_to,
)
from tinker_operator.tinker.download.sources import EXPORT_SECONDS
from tinker_operator.tinker.retry import RetryPolicy
from tinker_operator.tinker.weights_models import Archive, ArchiveBeingBuilt, ArchiveReady

pytestmark = pytest.mark.http
TRAINED = TinkerPath.parse("tinker://s:train:0/weights/step-3")
EXPORT = TinkerPath.parse("tinker://t:train:0/external_weights/download")


@dataclass
class Signed:
    """Addresses of a store's files."""

    urls: Mapping[str, SecretStr]
    expires: datetime | None = None


@dataclass
class FakeService:
    """A service that exports, and remembers what there is."""

    store: FakeStore
    sessions: dict[str, str] = field(default_factory=dict)
    runs: list[dict[str, Any]] = field(default_factory=list)
    exports: dict[TinkerPath, int | None] = field(default_factory=dict)
    refuse: Exception | None = None
    beats: int = 0

    async def create_session(
        self, *, tags: tuple[str, ...], user_metadata: Mapping[str, str], idempotency_key: str
    ) -> str:
        assert (tags, dict(user_metadata)) == ((), {"created_by": "tinker-operator download"})
        self.sessions[idempotency_key] = "open"
        return idempotency_key

    async def heartbeat(self, session_id: str) -> None:
        assert self.sessions[session_id] == "open"
        self.beats += 1

    async def load_weights(self, **arguments: Any) -> str:
        if self.refuse is not None:
            raise self.refuse
        self.runs.append(arguments)
        return f"{arguments['session_id']}:train:0"

    async def save_weights_external(
        self, *, model_id: str, seq_id: int, name: str, ttl_seconds: int | None, wait_seconds: float
    ) -> TinkerPath:
        assert (seq_id, wait_seconds > 0) == (1, True)
        path = TinkerPath.parse(f"tinker://{model_id}/external_weights/{name}")
        self.exports[path] = ttl_seconds
        return path

    async def external_weights_urls(self, path: TinkerPath) -> Signed:
        if path not in self.exports:
            raise NotFound("No such checkpoint")
        return Signed({name: SecretStr(f"{self.store.url}/files/{name}?sig={SIGNATURE}") for name in self.store.files})

    async def set_checkpoint_ttl(self, path: TinkerPath, ttl_seconds: int | None) -> None:
        self.exports[path] = ttl_seconds

    async def delete_checkpoint(self, path: TinkerPath) -> None:
        del self.exports[path]

    async def finish_session(self, session_id: str, reason: str, detail: str | None = None) -> None:
        assert detail is None
        self.sessions[session_id] = reason


@pytest.fixture
async def service() -> AsyncIterator[FakeService]:
    """A service whose exports have one file."""
    async with FakeStore({"a.bin": Content(3_000_000)}).serving() as store:
        yield FakeService(store)


async def exported(service: FakeService, target: Path, key: str = "one") -> Downloaded:
    """Download a training checkpoint by an export."""
    with Workplace.opened(target) as place:
        keeper = FakeTime().keeper()
        export = TemporaryExport(service, TRAINED, place, lambda: key)
        async with (
            way_to(service.store.url, lambda: START, keeper=keeper, retry=RetryPolicy(max_attempts=3)) as way,
            export.made() as source,
        ):
            return await Downloading(place, way).run(source)


async def test_a_training_checkpoint_is_exported_downloaded_and_nothing_stays(
    service: FakeService, tmp_path: Path
) -> None:
    """But the run, whose metadata say where it came from."""
    done = await exported(service, tmp_path / "out")
    assert [file.name for file in done.files] == ["a.bin"]
    assert (service.sessions, service.exports) == ({"one": "success"}, {})
    assert service.runs[0]["user_metadata"] == {"created_by": "tinker-operator download"}
    assert (service.runs[0]["path"], service.runs[0]["optimizer"]) == (TRAINED, False)
    assert names_in(tmp_path) == ["out"]


async def test_a_checkpoint_that_cannot_be_loaded_closes_its_session(service: FakeService, tmp_path: Path) -> None:
    """As failed."""
    service.refuse = NotFound("It is gone")
    with pytest.raises(NotFound):
        await exported(service, tmp_path / "out")
    assert service.sessions == {"one": "errored"}


async def test_after_an_interruption_the_same_export_is_gone_on_with(service: FakeService, tmp_path: Path) -> None:
    """No second run is made, no byte is fetched twice, and the export is deleted at last."""
    service.store.cuts.extend([2_000_000, 0, 0, 0])
    with pytest.raises(DownloadInterrupted):
        await exported(service, tmp_path / "out")
    assert list(service.exports.values()) == [EXPORT_SECONDS]
    service.store.cuts.clear()
    service.store.sent = 0
    await exported(service, tmp_path / "out", "two")
    assert service.store.sent <= 1_100_000
    assert (service.sessions, service.exports, len(service.runs)) == ({"one": "errored"}, {}, 1)


async def test_an_export_that_is_gone_meanwhile_is_made_anew(service: FakeService, tmp_path: Path) -> None:
    """Its hour was over."""
    service.store.cuts.extend([2_000_000, 0, 0, 0])
    with pytest.raises(DownloadInterrupted):
        await exported(service, tmp_path / "out")
    service.store.cuts.clear()
    service.exports.clear()
    await exported(service, tmp_path / "out", "two")
    assert (len(service.runs), service.exports, service.sessions["two"]) == (2, {}, "success")


async def test_a_download_that_is_cancelled_leaves_no_export_and_no_session(
    service: FakeService, tmp_path: Path
) -> None:
    """As when the command is told to end."""
    service.store.pause = 30.0
    task = asyncio.create_task(exported(service, tmp_path / "out"))
    async with asyncio.timeout(10):
        while not service.store.asked:  # noqa: ASYNC110 - the store counts, it does not announce
            await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (service.exports, service.sessions) == ({}, {"one": "interrupted"})


async def test_a_users_own_export_keeps_its_life(service: FakeService, tmp_path: Path) -> None:
    """Downloading it neither prolongs nor deletes it."""
    service.exports[EXPORT] = None
    async with way_to(service.store.url, lambda: START) as way:
        await download(ExportedFiles(service, EXPORT), tmp_path / "out", way)
    assert service.exports == {EXPORT: None}


@dataclass
class FakeArchives:
    """A service that gives archives, after having built them for a while."""

    answers: list[Any]

    async def archive(self, path: TinkerPath) -> Archive:
        assert path == TRAINED
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        ready: Archive = answer
        return ready


def tar_of(**files: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


async def test_an_archive_is_waited_for_fetched_and_unpacked(tmp_path: Path) -> None:
    """Thirty seconds each time, or as long as the service asks."""
    time = FakeTime()
    async with FakeStore({"archive": given(tar_of(a=b"1", b=b"22"))}).serving() as store:
        ready = ArchiveReady(SecretStr(f"{store.url}/files/archive?sig=x"), None)
        service = FakeArchives([ArchiveBeingBuilt(None), ArchiveBeingBuilt(7.0), ready])
        async with way_to(store.url, lambda: START, keeper=time.keeper()) as way:
            done = await download(ArchiveFile(service, TRAINED, time.keeper()), tmp_path / "out", way)
    assert time.slept == [30.0, 7.0]
    assert {file.name: (tmp_path / "out" / file.name).read_bytes() for file in done.files} == {"a": b"1", "b": b"22"}
    assert names_in(tmp_path) == ["out"]


async def test_an_archive_that_is_never_ready_is_not_waited_for_for_ever() -> None:
    """Six times."""
    time = FakeTime()
    with pytest.raises(ExportNotReady):
        await ArchiveFile(FakeArchives([ArchiveBeingBuilt(None)] * 9), TRAINED, time.keeper()).urls()
    assert time.slept == [30.0] * 5


async def test_a_service_without_archives_is_told_apart_from_a_missing_checkpoint() -> None:
    """And the remedy is to export."""
    with pytest.raises(ArchiveMissing, match="save_weights_external"):
        await ArchiveFile(FakeArchives([RouteMissing("404")]), TRAINED, FakeTime().keeper()).urls()
    with pytest.raises(NotFound):
        await ArchiveFile(FakeArchives([NotFound("no such run")]), TRAINED, FakeTime().keeper()).urls()


async def fetched(client: TinkerClient, path: TinkerPath, target: Path) -> Downloaded:
    async with way_to("https://tinker.test", lambda: START) as way:
        return await download_checkpoint(client, path, target, way, new_key=lambda: "one")


async def test_a_checkpoint_for_sampling_is_refused_before_anything_is_asked(connect: Any, tmp_path: Path) -> None:
    """The service gives out no files of it."""
    client = connect(lambda _: httpx.Response(500))
    with pytest.raises(NotDownloadable, match="sampler_weights"):
        await fetched(client, TinkerPath.parse("tinker://r/sampler_weights/x"), tmp_path / "out")
    assert names_in(tmp_path) == []


async def test_a_service_that_neither_exports_nor_archives_says_both(connect: Any, tmp_path: Path) -> None:
    """With what to do instead."""
    client = connect(lambda _: httpx.Response(404, json={"detail": "Not Found"}))
    with pytest.raises(ArchiveMissing, match="neither exports") as refused:
        await fetched(client, TRAINED, tmp_path / "out")
    assert "save_weights_external" in str(refused.value)


async def test_a_wrong_key_is_said_to_be_one(connect: Any, tmp_path: Path) -> None:
    """It is not taken for a service without exports."""
    client = connect(lambda _: httpx.Response(401, json={"detail": "no"}))
    with pytest.raises(Unauthorized):
        await fetched(client, TRAINED, tmp_path / "out")
