"""A download ends whole and proven, or as one error that leaves everything ready for the next attempt."""

import asyncio
import hashlib
import logging
import os
import signal
import stat
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from tests.tinker.conftest import FakeTime
from tests.tinker.download_store import (
    SIGNATURE,
    START,
    Content,
    FakeStore,
    StoreSource,
    memory_growth,
    outcome_of,
    promised,
    start_child,
)

from tinker_operator.tinker.download import (
    Downloaded,
    DownloadInterrupted,
    DownloadMismatch,
    DownloadRefused,
    ExportEmpty,
    SignedFiles,
    Store,
    TargetBusy,
    TargetExists,
    UnsafeAddress,
    UnsafeFileName,
    Workplace,
    disk,
    download,
    way_to,
    workplace,
)
from tinker_operator.tinker.errors import TinkerError
from tinker_operator.tinker.retry import RetryPolicy

pytestmark = pytest.mark.http
MIB = 1 << 20


@dataclass
class World:
    """A store, what downloads from it, and where to."""

    store: FakeStore
    folder: Path
    time: FakeTime = field(default_factory=FakeTime)
    seen: list[tuple[int, int | None, str]] = field(default_factory=list)
    service_url: str = ""

    @property
    def age(self) -> float:
        """Seconds since the download began."""
        return self.time.now - 1000.0

    @property
    def target(self) -> Path:
        return self.folder / "adapter"

    async def fetch(self, source: Any = None, **settings: Any) -> Downloaded:
        retry = settings.pop("retry", RetryPolicy())
        async with way_to(
            self.service_url or self.store.url,
            lambda: START + timedelta(seconds=self.age),
            retry=retry,
            keeper=self.time.keeper(),
            progress=lambda *step: self.seen.append(step),
            silence_seconds=settings.pop("silence_seconds", 30.0),
        ) as way:
            return await download(source or StoreSource(self.store), self.target, way, **settings)

    def has(self, content: Content, name: str = "a.bin") -> bool:
        return hashlib.sha256((self.target / name).read_bytes()).hexdigest() == content.sha256()

    def left(self) -> list[str]:
        """What is in the folder."""
        return sorted(path.name for path in self.folder.iterdir())


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A store with one file of three mebibytes."""
    async with FakeStore({"a.bin": Content(3 * MIB)}).serving() as store:
        yield World(store, tmp_path)


async def test_all_files_arrive_under_their_names_with_their_digests(world: World) -> None:
    """Folders in names too, an empty file too; and nothing else is left."""
    world.store.files |= {"deep/er/b.bin": Content(10, 1), "empty": Content(0, 2)}
    done = await world.fetch()

    assert {file.name: (file.size, file.sha256) for file in done.files} == {
        name: (content.size, content.sha256()) for name, content in world.store.files.items()
    }
    assert all(world.has(content, name) for name, content in world.store.files.items())
    assert (done.folder, world.left()) == (world.target, ["adapter"])


async def test_the_store_never_sees_the_key(world: World) -> None:
    """Nor anything else than what a stranger would send."""
    await world.fetch()
    allowed = {"host", "user-agent", "accept", "accept-encoding", "connection"}
    assert {name.lower() for headers in world.store.asked for name in headers} <= allowed


async def test_progress_tells_every_block_and_ends_at_the_whole(world: World) -> None:
    """Bytes never go back while the connection holds."""
    await world.fetch()
    assert [step[0] for step in world.seen] == sorted(step[0] for step in world.seen)
    assert world.seen[-1] == (3 * MIB, 3 * MIB, "a.bin")
    assert len(world.seen) > 2


@given(cuts=st.lists(st.integers(0, 3 * MIB), max_size=6))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_wherever_connections_break_the_whole_arrives_and_almost_nothing_twice(
    cuts: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A break costs at most the one byte that proves that the content is the same."""

    async def story() -> None:
        async with FakeStore({"a.bin": Content(3 * MIB)}).serving() as store:
            store.cuts = deque(cuts)
            world = World(store, tmp_path_factory.mktemp("cuts"))
            await world.fetch()
            assert world.has(store.files["a.bin"])
            # What the socket swallowed after the break is sent, never received.
            assert store.sent <= 3 * MIB + len(cuts) * (MIB + 1)

    asyncio.run(story())


@pytest.mark.parametrize(
    ("changes", "resumes"),
    [
        pytest.param({}, True, id="a strong tag lets it go on"),
        pytest.param({"etags": "none", "dated": True}, True, id="a date lets it go on"),
        pytest.param({"etags": "weak", "dated": True}, True, id="beside a weak tag a date lets it go on"),
        pytest.param({"etags": "weak"}, False, id="a weak tag does not"),
        pytest.param({"etags": "none"}, False, id="without a tag and a date it begins anew"),
        pytest.param({"ranges": False}, False, id="a store without ranges makes it begin anew"),
    ],
)
async def test_what_proves_that_content_is_the_same(world: World, changes: dict[str, Any], resumes: bool) -> None:
    """Only then is it gone on with."""
    for name, value in changes.items():
        setattr(world.store, name, value)
    world.store.cuts = deque([2 * MIB])
    await world.fetch()
    assert world.has(world.store.files["a.bin"])
    assert ("Range" in world.store.asked[1]) == (resumes or not world.store.ranges)
    assert (world.store.sent < 4 * MIB) == resumes


async def test_content_that_changes_midway_is_never_mixed(world: World) -> None:
    """The new content arrives whole."""
    world.store.cuts = deque([2 * MIB])
    source = ChangingSource(world.store)
    world.time.sleep = source.changing(world.time.sleep)  # type: ignore[method-assign]  # the store changes meanwhile
    await world.fetch(source)
    assert world.store.files["a.bin"].seed == 7
    assert world.has(world.store.files["a.bin"])


class ChangingSource(StoreSource):
    """A store whose content changes while a download waits."""

    def changing(self, sleep: Any) -> Any:
        async def slept(seconds: float) -> None:
            self.store.files["a.bin"] = Content(3 * MIB, 7)
            await sleep(seconds)

        return slept


async def test_a_rest_that_ends_early_without_a_word_is_not_the_end(world: World) -> None:
    """The size is known from before, whatever the answer leaves out."""
    world.store.cuts, world.store.chunked_rest = deque([2 * MIB, 100_000, 1]), True
    await world.fetch()
    assert world.has(world.store.files["a.bin"])


async def test_a_file_of_unknown_size_is_taken_to_its_end(world: World) -> None:
    """Progress then knows no total."""
    world.store.chunked = True
    await world.fetch()
    assert world.has(world.store.files["a.bin"])
    assert {total for _, total, _ in world.seen} == {None}


@dataclass
class Twin(Content):
    """Another file under the same tag and of the same size."""

    def read(self, begin: int, end: int) -> bytes:
        return b"t" * (end - begin)


async def test_what_came_from_another_address_is_not_gone_on_with(world: World) -> None:
    """Though size and tag be the same: tags are unique to an address only."""
    world.store.cuts = deque([2 * MIB, *[0] * 50])
    with pytest.raises(DownloadInterrupted):
        await world.fetch()
    world.store.cuts, world.store.files = deque(), {"elsewhere/a.bin": Twin(3 * MIB)}
    await world.fetch(MovedSource(world.store))
    assert (world.target / "a.bin").read_bytes() == b"t" * 3 * MIB


class MovedSource(StoreSource):
    """Names the same file under another address."""

    async def urls(self) -> SignedFiles:
        return SignedFiles({"a.bin": SecretStr(f"{self.store.url}/files/elsewhere/a.bin?sig={SIGNATURE}")})


async def test_a_signature_that_ends_midway_is_renewed_and_the_rest_fetched(world: World) -> None:
    """Without beginning anew."""
    world.store.valid, world.store.cuts = {1}, deque([MIB])
    source = StoreSource(world.store)

    async def slept(seconds: float) -> None:
        world.store.valid = {2}
        world.time.now += seconds

    world.time.sleep = slept  # type: ignore[method-assign]  # the signature ends meanwhile
    await world.fetch(source)
    assert (source.signed, world.has(world.store.files["a.bin"])) == (2, True)
    assert world.store.sent < 4 * MIB


async def test_an_address_past_its_end_is_renewed_before_it_is_used(world: World) -> None:
    """No request is made with it."""
    source = StoreSource(world.store, lasts=timedelta(seconds=60), now=lambda: START + timedelta(seconds=world.age))
    world.store.statuses = deque([(503, {"Retry-After": "55"})])
    await world.fetch(source)
    assert (source.signed, world.store.numbers) == (2, ["1", "2"])


async def test_a_store_that_refuses_fresh_addresses_is_believed(world: World) -> None:
    """After two of them; the download ends."""
    world.store.valid = set()
    source = StoreSource(world.store)
    with pytest.raises(DownloadRefused, match="answered 403"):
        await world.fetch(source)
    assert source.signed == 3
    assert world.time.slept == []


async def test_the_store_is_waited_for_as_long_as_it_asks(world: World) -> None:
    """Even when the law would come back sooner."""
    world.store.statuses = deque([(503, {"Retry-After": "17"}), (429, {})])
    await world.fetch()
    assert world.time.slept[0] == 17
    assert world.has(world.store.files["a.bin"])


async def test_patience_ends_when_nothing_arrives_and_what_is_there_is_kept(world: World) -> None:
    """The next attempt goes on from it."""
    world.store.cuts = deque([2 * MIB, *[0] * 50])
    with pytest.raises(DownloadInterrupted):
        await world.fetch()
    assert (world.target.exists(), world.left()) == (False, [".adapter.partial"])
    world.store.cuts, world.store.sent = deque(), 0
    await world.fetch()
    assert world.has(world.store.files["a.bin"])
    assert world.store.sent <= 2 * MIB
    assert world.left() == ["adapter"]


async def test_patience_begins_anew_with_every_byte(world: World) -> None:
    """More breaks than the law has attempts, each after some bytes."""
    world.store.cuts = deque([200_000] * 12)
    await world.fetch(retry=RetryPolicy(max_attempts=2))
    assert world.has(world.store.files["a.bin"])


async def test_a_file_shorter_than_it_claims_is_never_taken_for_whole(world: World) -> None:
    """However often it is asked for."""
    world.store.excess = 10
    with pytest.raises((DownloadInterrupted, DownloadMismatch)):
        await world.fetch(retry=RetryPolicy(max_attempts=3), silence_seconds=0.2)
    assert not world.target.exists()


async def test_a_store_that_goes_silent_is_left(world: World) -> None:
    """A connection that stays open and sends nothing counts as lost."""
    world.store.pause = 30.0
    with pytest.raises(DownloadInterrupted, match="went silent"):
        await world.fetch(retry=RetryPolicy(max_attempts=1), silence_seconds=0.3)


@pytest.mark.parametrize("header", ["x-amz-checksum-sha256", "Repr-Digest", "Digest", "Content-Digest"])
async def test_a_promised_digest_is_held_against_what_is_on_disk(world: World, header: str) -> None:
    """The right one passes, the wrong one is fetched twice and then refused."""
    form = {"x-amz-checksum-sha256": "{}", "Digest": "SHA-256={}"}.get(header, "sha-256=:{}:")
    world.store.headers = {header: form.format(promised(world.store.files["a.bin"]))}
    await world.fetch()
    world.store.headers = {header: form.format(promised(Content(1)))}
    with pytest.raises(DownloadMismatch, match="another digest"):
        await world.fetch(force=True)
    assert world.has(world.store.files["a.bin"])
    assert len(world.store.asked) == 3


async def test_sizes_that_do_not_add_up_to_the_checkpoint_are_refused(world: World) -> None:
    """The service's word about the whole counts too."""
    with pytest.raises(DownloadMismatch, match="3145728 bytes"):
        await world.fetch(StoreSource(world.store, total_bytes=5))
    await world.fetch(StoreSource(world.store, total_bytes=3 * MIB))


async def test_what_is_there_is_refused_before_anything_is_asked(world: World) -> None:
    """And not touched."""
    world.target.mkdir()
    with pytest.raises(TargetExists):
        await world.fetch()
    assert (world.store.asked, world.left()) == ([], ["adapter"])


@pytest.mark.parametrize("kind", ["folder", "file", "link"])
async def test_force_replaces_only_when_the_new_content_is_whole(world: World, kind: str) -> None:
    """Until then the old one stays, also when the download fails."""
    if kind == "file":
        world.target.write_text("old")
    elif kind == "link":
        (world.folder / "elsewhere").mkdir()
        world.target.symlink_to(world.folder / "elsewhere")
    else:
        world.target.mkdir()
        (world.target / "old.txt").write_text("old")
    before = os.lstat(world.target)
    world.store.cuts = deque([MIB, *[0] * 50])
    with pytest.raises(DownloadInterrupted):
        await world.fetch(force=True)
    assert os.lstat(world.target).st_ino == before.st_ino
    world.store.cuts = deque()
    await world.fetch(force=True)
    assert [path.name for path in world.target.iterdir()] == ["a.bin"]
    assert stat.S_ISDIR(os.lstat(world.target).st_mode)
    assert ".adapter.partial" not in world.left()


async def test_what_was_replaced_is_never_taken_for_what_arrived(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed right after the exchange of names, the old content lies where the new one was made."""
    world.target.mkdir()
    (world.target / "a.bin").write_bytes(b"o" * 3 * MIB)

    def killed(path: Path) -> None:
        if path.name == ".adapter.partial":
            raise KeyboardInterrupt
        disk.remove(path)

    with monkeypatch.context() as patch:
        patch.setattr(workplace, "remove", killed)
        with pytest.raises(KeyboardInterrupt):
            await world.fetch(force=True)
    assert world.has(world.store.files["a.bin"])
    await world.fetch(force=True)
    assert world.has(world.store.files["a.bin"])


async def test_two_downloads_to_one_place_do_not_meet(world: World) -> None:
    """The second is told."""
    with Workplace.opened(world.target), pytest.raises(TargetBusy):
        await world.fetch()
    await world.fetch()


async def test_what_another_version_left_is_not_published(world: World) -> None:
    """Files that the service does not name any more, and links that somebody put there."""
    world.store.files["b.bin"] = Content(5)
    world.store.cuts = deque([3 * MIB, *[0] * 50])
    with pytest.raises(DownloadInterrupted):
        await world.fetch()
    (world.folder / ".adapter.partial/content/away").symlink_to(world.folder)
    del world.store.files["b.bin"]
    world.store.cuts = deque()
    await world.fetch()
    assert [path.name for path in world.target.iterdir()] == ["a.bin"]


@pytest.mark.parametrize(
    "name",
    ["../up", "/etc/passwd", "a/../../b", "", "a//b", "./a", "a\nb", "a\\b", "a/", "x" * 300, "\x00", "a\u202eb"],
)
def test_a_name_that_leads_elsewhere_is_refused(name: str) -> None:
    """Before anything is fetched."""
    with pytest.raises(UnsafeFileName):
        SignedFiles({name: SIGNATURE})  # type: ignore[dict-item]  # refused for its name


def test_an_export_without_files_is_no_download() -> None:
    """An empty folder would look like a success."""
    with pytest.raises(ExportEmpty):
        SignedFiles({})


@pytest.mark.parametrize(
    ("service", "redirect"),
    [
        pytest.param("https://8.8.8.8", None, id="a public service may not send to this machine"),
        pytest.param("https://10.0.0.1", None, id="nor may one in a private network"),
        pytest.param("", "http://169.254.169.254/latest/meta-data", id="nobody may send to the cloud's credentials"),
        pytest.param("", "http://[::ffff:169.254.169.254]/", id="nor in the clothes of IPv6"),
        pytest.param("", "http://0.0.0.0:1/", id="nor to no address at all"),
        pytest.param("", "file:///etc/passwd", id="nor to a file"),
        pytest.param("", "gopher://127.0.0.1/", id="nor by another protocol"),
        pytest.param("", "", id="nor nowhere"),
    ],
)
async def test_where_no_download_may_go(world: World, service: str, redirect: str | None) -> None:
    """It is refused without a request."""
    world.service_url, world.store.redirect = service, redirect
    with pytest.raises((UnsafeAddress, DownloadRefused)) as refused:
        await world.fetch()
    assert len(world.store.asked) <= (6 if redirect == "" else 1)
    assert SIGNATURE not in str(refused.value)


async def test_a_name_is_judged_by_what_it_resolves_to(world: World) -> None:
    """On this machine's own name for itself, from a public service."""
    world.service_url, world.store.url = "https://8.8.8.8", world.store.url.replace("127.0.0.1", "localhost")
    with pytest.raises(UnsafeAddress):
        await world.fetch()
    assert world.store.asked == []
    world.service_url = world.store.url
    await world.fetch()


async def test_a_proxy_is_asked_for_names_but_not_for_addresses_inside(world: World) -> None:
    """Names are the proxy's to resolve."""
    async with Store("https://8.8.8.8", proxy_for=lambda _: world.store.url) as store:
        async with store.opened(httpx.URL("http://store.test/files/a.bin?sig=x"), {}) as response:
            assert len(await response.aread()) == 3 * MIB
        assert world.store.asked[0]["Host"] == "store.test"
        for inside in ("http://10.0.0.1/", "http://localhost/", "http://[::1]/", "http://169.254.169.254/"):
            with pytest.raises(UnsafeAddress):
                async with store.opened(httpx.URL(inside), {}):
                    pass
    assert len(world.store.asked) == 1


async def test_redirects_are_followed_but_not_for_ever(world: World) -> None:
    """A store that sends on to another is usual; a circle is not."""
    async with FakeStore({"a.bin": Content(9)}).serving() as other:
        world.store.redirect = f"{other.url}/files/a.bin"
        await world.fetch()
        assert world.has(other.files["a.bin"])
    world.store.redirect = f"{world.store.url}/files/a.bin?again"
    with pytest.raises(DownloadRefused, match="redirects"):
        await world.fetch(force=True)


@pytest.mark.parametrize("trouble", ["refused", "broken", "redirected", "unreachable"])
async def test_no_word_anywhere_shows_a_signature(world: World, trouble: str, caplog: pytest.LogCaptureFixture) -> None:
    """Not an error with all that it refers to, not a log at its most talkative, not a file that stays."""
    caplog.set_level(logging.DEBUG)
    source = StoreSource(world.store)
    if trouble == "refused":
        world.store.valid = set()
    elif trouble == "broken":
        world.store.cuts = deque([MIB, *[0] * 50])
    elif trouble == "redirected":
        world.store.redirect = f"{world.store.url}/files/a.bin?sig={SIGNATURE}"
    else:
        source.store = FakeStore({"a.bin": Content(1)}, url="http://127.0.0.1:9")
    with pytest.raises(TinkerError) as failed:
        await world.fetch(source)
    told = [str(failed.value), repr(failed.value), caplog.text, repr(await source.urls())]
    fault: BaseException | None = failed.value
    while fault is not None:
        told += [repr(fault), repr(getattr(fault, "request", ""))]
        fault = fault.__cause__ or fault.__context__
    told += [path.read_text() for path in world.folder.rglob("records/*")]
    assert SIGNATURE not in "\n".join(told)


async def test_a_killed_download_goes_on_where_it_was(world: World) -> None:
    """What was on the disk is not fetched again; the target is not there before it is whole."""
    content = Content(96 * MIB)
    world.store.files, world.store.pause = {"a.bin": content}, 0.001
    child = await start_child(world.store, world.target)
    async with asyncio.timeout(60):
        while world.store.sent < 60 * MIB:  # noqa: ASYNC110 - the store counts, it does not announce
            await asyncio.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    await child.communicate()
    assert not world.target.exists()
    world.store.pause, world.store.sent = 0.0, 0

    await world.fetch()
    assert world.has(content)
    # Of 60 at most 16 are not yet safe, and what is under way in sockets and blocks.
    assert world.store.sent <= (96 - 60 + 16 + 12) * MIB
    assert world.left() == ["adapter"]


async def test_a_full_disk_is_told_and_the_rest_is_fetched_when_there_is_room(world: World) -> None:
    """One sentence with the cause; nothing that looks whole."""
    outcome = await outcome_of(await start_child(world.store, world.target, file_limit=2 * MIB))
    assert (outcome["error"], "disk is full" in outcome["said"]) == ("DiskFull", True)
    assert not world.target.exists()
    world.store.sent = 0
    await world.fetch()
    assert world.has(world.store.files["a.bin"])
    assert world.store.sent <= MIB + 1


async def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """A quarter of a gibibyte within a quarter of that."""
    assert await memory_growth(256 * MIB, tmp_path) < 64 * MIB


async def test_many_files_reuse_what_is_whole_after_an_interruption(world: World) -> None:
    """Of a whole file one byte is asked for, to see that it is still the same."""
    world.store.files = {f"{number}.bin": Content(MIB, number) for number in range(4)}
    world.store.cuts = deque([MIB, MIB, MIB, *[0] * 50])
    with pytest.raises(DownloadInterrupted):
        await world.fetch()
    world.store.cuts, world.store.sent = deque(), 0
    await world.fetch()
    assert world.store.sent == MIB + 3
    assert all(world.has(content, name) for name, content in world.store.files.items())
