"""Signatures that end, stores that refuse, go silent or lie: a download ends proven, or as one error."""

from collections import deque
from datetime import timedelta

import pytest
from tests.tinker.download.world import MIB, World
from tests.tinker.download_store import (
    START,
    Content,
    StoreSource,
    promised,
)

from tinker_operator.tinker.download import (
    DownloadInterrupted,
    DownloadMismatch,
    DownloadRefused,
)
from tinker_operator.tinker.retry import RetryPolicy

pytestmark = pytest.mark.http


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
