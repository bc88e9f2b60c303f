"""Whatever an archive holds, nothing is written outside of the folder or beyond the limits, and half is not whole."""

import gzip
import io
import tarfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinker_operator.tinker.download import ArchiveTooLarge, ArchiveUnreadable, DownloadError, Limits, UnsafeArchive
from tinker_operator.tinker.download.unpacking import unpack

pytestmark = pytest.mark.pure
SMALL = Limits(total_bytes=100_000, members=8, ratio=100, always=50_000)
SECRET = "outside"


def packed(*members: tuple[tarfile.TarInfo, bytes], compressed: bool = False, form: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    return gzip.compress(out.getvalue()) if compressed else out.getvalue()


def member(
    name: str, content: bytes = b"x", kind: bytes = tarfile.REGTYPE, link: str = ""
) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    info.size = len(content) if kind == tarfile.REGTYPE else 0
    return info, content if kind == tarfile.REGTYPE else b""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder beside something that must stay as it is."""
    (tmp_path / SECRET).write_text("untouched")
    return tmp_path


def unpacked(place: Path, archive: bytes, limits: Limits = SMALL) -> dict[str, bytes]:
    (place / "a.tar").write_bytes(archive)
    files = unpack(place / "a.tar", place / "out", limits)
    found = {
        path.relative_to(place / "out").as_posix(): path.read_bytes()
        for path in (place / "out").rglob("*")
        if path.is_file()
    }
    assert {file.name for file in files} == set(found)
    return found


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_an_honest_archive_is_unpacked_as_it_is(place: Path, compressed: bool, form: int) -> None:
    """With folders, with the usual ./ in front, and with an empty file."""
    archive = packed(
        member("./", kind=tarfile.DIRTYPE),
        member("./a.bin", b"a" * 3000),
        member("deep/er/b.bin", b"b"),
        member("deep/empty", b""),
        compressed=compressed,
        form=form,
    )
    assert unpacked(place, archive) == {"a.bin": b"a" * 3000, "deep/er/b.bin": b"b", "deep/empty": b""}


@pytest.mark.parametrize(
    "hostile",
    [
        pytest.param([member("../outside")], id="a name that climbs"),
        pytest.param([member("/outside")], id="an absolute name"),
        pytest.param([member("a/../../outside")], id="a name that climbs later"),
        pytest.param([member("out", kind=tarfile.SYMTYPE, link="..")], id="a symbolic link"),
        pytest.param([member("in", b"x"), member("l", kind=tarfile.LNKTYPE, link="in")], id="a hard link, even inside"),
        pytest.param([member("l", kind=tarfile.LNKTYPE, link="../outside")], id="a hard link to the outside"),
        pytest.param([member("l", kind=tarfile.SYMTYPE, link="/"), member("l/outside")], id="a name through a link"),
        pytest.param([member("dev", kind=tarfile.CHRTYPE)], id="a device"),
        pytest.param([member("disk", kind=tarfile.BLKTYPE)], id="a block device"),
        pytest.param([member("pipe", kind=tarfile.FIFOTYPE)], id="a pipe"),
        pytest.param([member("a"), member("a")], id="a name twice"),
        pytest.param([member("a"), member("a/b")], id="a file as a folder"),
        pytest.param([member("a\n")], id="a line break in a name"),
    ],
)
def test_a_member_that_must_not_be_unpacked_ends_it(place: Path, hostile: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    """What is outside stays as it is, and nothing comes to be there."""
    with pytest.raises(UnsafeArchive):
        unpacked(place, packed(*hostile))
    assert (place / SECRET).read_text() == "untouched"
    assert {path.name for path in place.iterdir()} <= {SECRET, "a.tar", "out"}
    assert not any(path.is_symlink() for path in place.rglob("*"))


@pytest.mark.parametrize(
    ("archive", "limits"),
    [
        pytest.param(packed(member("a", b"x" * 60_000), member("b", b"x" * 60_000)), SMALL, id="too many bytes"),
        pytest.param(packed(*(member(str(number)) for number in range(9))), SMALL, id="too many files"),
        pytest.param(packed(member("a", bytes(90_000)), compressed=True), SMALL, id="a hundred times its size"),
    ],
)
def test_a_limit_is_never_passed(place: Path, archive: bytes, limits: Limits) -> None:
    """Not even on the way to noticing it."""
    with pytest.raises(ArchiveTooLarge):
        unpacked(place, archive, limits)
    assert sum(path.stat().st_size for path in (place / "out").rglob("*") if path.is_file()) <= limits.total_bytes


def test_a_head_that_never_ends_is_not_read_into_memory(place: Path) -> None:
    """Attributes are read whole by every reader of archives; here they have an end."""
    info, content = member("a")
    info.pax_headers = {"comment": "x" * 3_000_000}
    with pytest.raises(ArchiveTooLarge):
        unpacked(place, packed((info, content), compressed=True), Limits())


@given(end=st.integers(1, 10_239), compressed=st.booleans())
@settings(max_examples=60)
def test_an_archive_that_was_cut_anywhere_is_not_whole(
    end: int, compressed: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Also when the cut lies between two files, where other readers see nothing."""
    archive = packed(member("a", b"a" * 700), member("b", bytes(range(256)) * 4), compressed=compressed)
    whole = len(archive) if compressed else 4 * 512 + 512 * 2
    cut = end % whole
    with pytest.raises(ArchiveUnreadable):
        unpacked(tmp_path_factory.mktemp("cut"), archive[:cut])


@given(place_at=st.integers(0, 6 * 512), value=st.integers(0, 255))
@settings(max_examples=100)
def test_an_archive_with_a_wrong_byte_is_refused_or_unpacked_inside(
    place_at: int, value: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Nothing but an error of ours, and never a file that was not announced."""
    archive = bytearray(packed(member("a", b"a" * 700), member("b", b"b" * 700)))
    archive[place_at] = value
    with suppress(DownloadError):
        unpacked(tmp_path_factory.mktemp("wrong"), bytes(archive))


NAMES = st.text(st.sampled_from(["a", "b", "/", ".", "\\", "\u00e9", " ", "~", "\x01"]), min_size=1, max_size=12)
KINDS = st.sampled_from([tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, b"S"])


@given(members=st.lists(st.tuples(NAMES, KINDS, NAMES, st.integers(0, 40_000)), max_size=6))
@settings(max_examples=150)
def test_whatever_the_members_all_stays_inside_and_below_the_limits(
    members: list[tuple[str, bytes, str, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Hostile names, links and sizes in any order."""
    place = tmp_path_factory.mktemp("any")
    archive = packed(*(member(name, b"x" * size, kind, link) for name, kind, link, size in members))
    with suppress(DownloadError):
        unpacked(place, archive)
    assert {path.name for path in place.iterdir()} <= {"a.tar", "out"}
    found = list((place / "out").rglob("*"))
    assert all(path.is_file() != path.is_dir() and not path.is_symlink() for path in found)
    assert sum(path.stat().st_size for path in found if path.is_file()) <= SMALL.total_bytes
    assert len([path for path in found if path.is_file()]) <= SMALL.members


@pytest.mark.parametrize("rubbish", [b"", b"<html>", b"\x1f\x8b rubbish", b"PK\x03\x04" * 300, bytes(100)])
def test_what_is_no_archive_is_said_to_be_none(place: Path, rubbish: bytes) -> None:
    """A page of a portal, another format, nothing."""
    with pytest.raises(ArchiveUnreadable):
        unpacked(place, rubbish)
