"""What a hostile service, store, neighbour on the disk or name server could try, and what comes of it."""

import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr
from tests.tinker.conftest import FakeTime
from tests.tinker.download.world import MIB, World
from tests.tinker.download_store import SIGNATURE, Content, StoreSource

from tinker_operator.tinker.download import (
    ArchiveFile,
    DiskFault,
    DownloadInterrupted,
    ExportNotReady,
    SignedFiles,
    Store,
    TargetBusy,
    UnsafeAddress,
    UnsafeFileName,
    Workplace,
)
from tinker_operator.tinker.download.addresses import Reach, literal_address, reach_of
from tinker_operator.tinker.download.answers import Meaning, understood
from tinker_operator.tinker.download.part import Version
from tinker_operator.tinker.download.renewal import Addresses
from tinker_operator.tinker.paths import TinkerPath
from tinker_operator.tinker.weights_models import Archive, ArchiveBeingBuilt

pytestmark = pytest.mark.http
SECRET = SecretStr(SIGNATURE)


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(("a", "a/b"), id="a file that is also a folder"),
        pytest.param(("x/a/b/c", "x/a"), id="the same further down"),
        pytest.param(("Config.json", "config.json"), id="names that differ by case alone"),
        pytest.param(("A/x", "a/y"), id="folders that differ by case alone"),
        pytest.param(("\u00e9.bin", "e\u0301.bin"), id="names that differ by how an accent is written"),
        pytest.param(("stra\u00dfe", "STRASSE"), id="names that are one in capitals"),
    ],
)
def test_names_that_are_one_somewhere_are_refused(names: tuple[str, ...]) -> None:
    """Before anything is fetched: on some file systems the one would overwrite the other."""
    with pytest.raises(UnsafeFileName):
        SignedFiles(dict.fromkeys(names, SECRET))


@pytest.mark.parametrize("name", ["C:/x", "c:x", "C:", "a/D:x"])
def test_a_name_with_a_drive_is_refused(name: str) -> None:
    """Where there are drives it would lie outside of its folder."""
    with pytest.raises(UnsafeFileName):
        SignedFiles({name: SECRET})


def test_names_below_one_folder_are_no_collision() -> None:
    """Nor are names of which one begins like the other."""
    assert len(SignedFiles(dict.fromkeys(("a/x", "a/y", "a.bin", "ab"), SECRET)).urls) == 4


@pytest.mark.parametrize("name", ["content", "records", "unpacked"])
async def test_a_link_in_the_hidden_folder_leads_nowhere(world: World, name: str) -> None:
    """Nothing is written, and above all nothing removed, where it leads."""
    elsewhere = world.folder.parent / f"elsewhere-{world.folder.name}"
    elsewhere.mkdir()
    (elsewhere / "precious").write_text("mine")
    (world.folder / ".adapter.partial").mkdir()
    (world.folder / ".adapter.partial" / name).symlink_to(elsewhere)
    await world.fetch()
    assert world.has(world.store.files["a.bin"])
    assert [path.name for path in elsewhere.iterdir()] == ["precious"]


async def test_a_hidden_folder_of_somebody_else_is_not_used(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder that many may write to, it could be exchanged under the download."""
    (world.folder / ".adapter.partial").mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(DiskFault, match="somebody else"):
        await world.fetch()
    assert world.store.asked == []


def test_a_place_that_another_download_has_just_removed_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the opening of the hidden folder and its lock, the other one may finish and remove it."""
    real = os.open

    def overtaken(path: Path, flags: int, mode: int = 0o777) -> int:
        descriptor = real(path, flags, mode)
        if Path(path).name == ".adapter.partial":
            Path(path).rename(tmp_path / "gone")
        return descriptor

    monkeypatch.setattr(os, "open", overtaken)
    with pytest.raises(TargetBusy), Workplace.opened(tmp_path / "adapter"):
        pass


DATE = "Thu, 01 Jan 2026 00:00:00 GMT"
LATER = "Thu, 01 Jan 2026 00:00:07 GMT"


@pytest.mark.parametrize(
    ("have", "said", "meaning"),
    [
        pytest.param(Version(None, DATE, 10), {"Last-Modified": LATER}, Meaning.CHANGED, id="another date"),
        pytest.param(Version(None, DATE, 10), {"Last-Modified": DATE}, Meaning.REST, id="the same date"),
        pytest.param(Version('"a"', DATE, 10), {"Last-Modified": LATER}, Meaning.CHANGED, id="no tag and another date"),
        pytest.param(
            Version('"a"', DATE, 10), {"ETag": '"a"', "Last-Modified": LATER}, Meaning.REST, id="the same strong tag"
        ),
        pytest.param(Version('"a"', None, 10), {"ETag": 'W/"b"'}, Meaning.CHANGED, id="another tag, and weak"),
        pytest.param(Version(None, DATE, 10), {}, Meaning.REST, id="nothing"),
    ],
)
def test_a_rest_of_other_content_is_told_by_all_that_the_store_says(
    have: Version, said: dict[str, str], meaning: Meaning
) -> None:
    """Stores that do not know If-Range send the rest of whatever they have."""
    response = httpx.Response(206, headers={"Content-Range": "bytes 5-9/10", **said})
    assert understood(response, 5, have).meaning is meaning


async def test_content_that_changes_at_a_store_without_conditions_is_not_mixed(world: World) -> None:
    """Of one size, and known by its date alone."""
    world.store.etags, world.store.dated, world.store.heeds_conditions = "none", True, False
    world.store.cuts = deque([2 * MIB, *[0] * 50])
    with pytest.raises(DownloadInterrupted):
        await world.fetch()
    world.store.files, world.store.cuts = {"a.bin": Content(3 * MIB, 7)}, deque()
    await world.fetch()
    assert world.has(world.store.files["a.bin"])


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(datetime(2026, 1, 1), id="a time without a zone"),  # noqa: DTZ001 - as some services say it
        pytest.param(datetime.min.replace(tzinfo=UTC), id="the first of all times"),
        pytest.param(datetime.max.replace(tzinfo=UTC), id="the last of all times"),
    ],
)
async def test_no_end_of_an_address_breaks_the_download(world: World, end: datetime) -> None:
    """Whatever a service calls a time."""

    class Odd(StoreSource):
        async def urls(self) -> SignedFiles:
            return SignedFiles((await super().urls()).urls, end)

    source = Odd(world.store)
    addresses = Addresses(source, lambda: datetime(2026, 1, 1, tzinfo=UTC))
    await addresses.address("a.bin")
    await addresses.address("a.bin")
    await world.fetch(source)


@dataclass
class Building:
    """A service that never ends building an archive."""

    asks_to_wait: float | None

    async def archive(self, path: TinkerPath) -> Archive:  # noqa: ARG002 - as of the protocol
        return ArchiveBeingBuilt(self.asks_to_wait)


@pytest.mark.parametrize(
    ("asks_to_wait", "waited"),
    [
        pytest.param(3600.0, 0, id="an hour"),
        pytest.param(1e300, 0, id="for ever"),
        pytest.param(200.0, 400, id="minutes"),
        pytest.param(None, 150, id="nothing"),
        pytest.param(0.0, 5, id="no time at all"),
    ],
)
async def test_an_archive_that_is_being_built_is_waited_for_within_reason(
    time: FakeTime, asks_to_wait: float | None, waited: float
) -> None:
    """Ten minutes in all, and never without a pause."""
    source = ArchiveFile(Building(asks_to_wait), TinkerPath.parse("tinker://r/weights/n"), time.keeper())
    with pytest.raises(ExportNotReady):
        await source.urls()
    assert sum(time.slept) == waited


@pytest.mark.parametrize(
    ("text", "reach"),
    [
        ("::7f00:1", Reach.LOOPBACK),
        ("::169.254.169.254", Reach.SPECIAL),
        ("64:ff9b::a00:1", Reach.PRIVATE),
        ("fd00:ec2::254", Reach.SPECIAL),
        ("100.100.100.200", Reach.SPECIAL),
        ("168.63.129.16", Reach.SPECIAL),
        ("8.8.8.8", Reach.GLOBAL),
        ("fd00:ec2::255", Reach.PRIVATE),
    ],
)
def test_how_far_an_address_reaches(text: str, reach: Reach) -> None:
    """Those under which clouds serve credentials are nobody's download, wherever the service lives."""
    assert reach_of(ip_address(text)) is reach


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f.1", "0177.0.0.1", "0x7f000001"])
def test_an_address_in_an_old_spelling_is_an_address(host: str) -> None:
    """A proxy, or the system, would read it as one."""
    assert str(literal_address(host)) == "127.0.0.1"


@pytest.mark.parametrize("host", ["store.test", "1.2.3.4.test", "dead.beef.cafe", "x"])
def test_a_name_is_no_address(host: str) -> None:
    """Though it be of letters that numbers may have."""
    assert literal_address(host) is None


@pytest.mark.parametrize("host", ["127.1", "localhost.", "a.localhost", "2130706433", "[fd00:ec2::254]"])
async def test_no_proxy_is_asked_for_this_machine(world: World, host: str) -> None:
    """However it is spelled."""
    proxied: Callable[[httpx.URL], str | None] = lambda _: world.store.url  # noqa: E731 - a proxy is one expression
    async with Store("https://8.8.8.8", proxy_for=proxied) as store:
        with pytest.raises(UnsafeAddress):
            async with store.opened(httpx.URL(f"http://{host}/a"), {}):
                pass
    assert world.store.asked == []


def test_the_margin_is_kept_before_the_end(world: World) -> None:
    """An address that ends within half a minute is not used."""
    addresses = Addresses(StoreSource(world.store), lambda: datetime(2026, 1, 1, tzinfo=UTC))
    ends = [timedelta(seconds=29), timedelta(seconds=31)]
    found = [addresses._end(SignedFiles({"a": SECRET}, datetime(2026, 1, 1, tzinfo=UTC) + end)) for end in ends]
    assert found == [True, False]
