"""Whatever breaks, the whole arrives, and never two contents mixed."""

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from tests.tinker.download.world import MIB, World
from tests.tinker.download_store import (
    SIGNATURE,
    Content,
    FakeStore,
    StoreSource,
)

from tinker_operator.tinker.download import (
    DownloadInterrupted,
    SignedFiles,
)

pytestmark = pytest.mark.http


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
