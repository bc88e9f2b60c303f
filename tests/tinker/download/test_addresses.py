"""Names and addresses from outside lead nowhere that they should not, and are shown nowhere."""

import logging
from collections import deque

import httpx
import pytest
from tests.tinker.download.world import MIB, World
from tests.tinker.download_store import (
    SIGNATURE,
    Content,
    FakeStore,
    StoreSource,
)

from tinker_operator.tinker.download import (
    DownloadRefused,
    ExportEmpty,
    SignedFiles,
    Store,
    UnsafeAddress,
    UnsafeFileName,
)
from tinker_operator.tinker.errors import TinkerError

pytestmark = pytest.mark.http


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
