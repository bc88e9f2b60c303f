"""Programs out of Debian's packages: with the lists that are there or with lists of our own, or a reason why not."""

import stat
from pathlib import Path

import pytest

from playground.debian import programs_of
from playground.errors import SourceUnavailable
from playground.progress import Silence
from playground.prometheus import find_prometheus
from playground.settings import Settings

pytestmark = pytest.mark.http

APT = """#!/bin/sh
echo "$@" >> "$0.log"
case "$*" in
  *Lists=*download*) /usr/bin/touch p.deb ;;
  *update*) exit {update} ;;
  *download*) {download} || {{ echo "E: Unable to locate package p" >&2; exit 100; }} ; /usr/bin/touch p.deb ;;
esac
"""
DPKG = '#!/bin/sh\n/bin/mkdir -p "$3/usr/bin" && echo program > "$3/usr/bin/known"\n'


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with nothing but what the test puts there."""
    folder = tmp_path / "tools"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def place(tools: Path, *, download: str = "true", update: int = 0) -> Path:
    """Puts an apt-get and a dpkg-deb there; returns the file that has apt-get's arguments, a call a line."""
    for name, text in (("apt-get", APT.format(download=download, update=update)), ("dpkg-deb", DPKG)):
        (tools / name).write_text(text)
        (tools / name).chmod(stat.S_IRWXU)
    return tools / "apt-get.log"


def test_a_program_is_copied_out_of_the_package(tools: Path, tmp_path: Path) -> None:
    log = place(tools)
    programs_of("p", ["known"], tmp_path, Silence())
    assert (tmp_path / "known").read_text() == "program\n"
    assert len(log.read_text().splitlines()) == 1


def test_a_machine_without_lists_gets_lists_that_are_not_the_systems(tools: Path, tmp_path: Path) -> None:
    """A fresh container has none, and who is not root could not write them."""
    log = place(tools, download="false")
    programs_of("p", ["known"], tmp_path, Silence())
    _, update, download = log.read_text().splitlines()
    assert "Dir::State::Lists=/" in update
    assert "Dir::State::Lists=/" in download
    assert (tmp_path / "known").exists()


@pytest.mark.parametrize(
    ("update", "name", "told"),
    [
        pytest.param(1, "known", "p cannot be had: ", id="the lists cannot be had"),
        pytest.param(0, "other", "Package p has no other. Install p", id="the package has no such program"),
    ],
)
def test_what_cannot_be_had_is_told_with_the_remedy(
    update: int, name: str, told: str, tools: Path, tmp_path: Path
) -> None:
    place(tools, download="false", update=update)
    with pytest.raises(SourceUnavailable, match=told):
        programs_of("p", [name], tmp_path, Silence())


def test_a_machine_without_apt_is_told_what_to_install(tools: Path, tmp_path: Path) -> None:
    assert tools.exists()
    with pytest.raises(SourceUnavailable, match=r"no apt-get and no dpkg-deb to get p with\. Install p"):
        programs_of("p", ["known"], tmp_path, Silence())


def test_programs_of_the_machine_come_first(tools: Path, tmp_path: Path) -> None:
    """And nothing is fetched."""
    for name in ("prometheus", "promtool"):
        (tools / name).touch(stat.S_IRWXU)
    found = find_prometheus(Settings(tmp_path / "cache", search_path=str(tools)), Silence())
    assert (found.server, found.tool) == (tools / "prometheus", tools / "promtool")
    assert not (tmp_path / "cache").exists()
