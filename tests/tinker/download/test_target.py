"""The target is whole or not there, and what a download left is ready for the next attempt."""

import asyncio
import os
import signal
import stat
from collections import deque
from pathlib import Path

import pytest
from tests.tinker.download.world import MIB, World
from tests.tinker.download_store import (
    Content,
    memory_growth,
    outcome_of,
    start_child,
)

from tinker_operator.tinker.download import (
    DownloadInterrupted,
    TargetBusy,
    TargetExists,
    Workplace,
    disk,
    workplace,
)

pytestmark = pytest.mark.http


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
