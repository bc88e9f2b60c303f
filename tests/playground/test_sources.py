"""The binaries come from the first source that has them; each source that has not says why."""

from __future__ import annotations

import io
import os
from dataclasses import replace
from pathlib import Path

import pytest
from tests.playground.publisher import Publisher, program

from playground.binaries import find
from playground.progress import PlainReporter
from playground.settings import BINARIES, Settings

pytestmark = pytest.mark.http


def put(folder: Path, *names: str, version: str = "1.35.2") -> Path:
    """Stand-ins for binaries in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(program(name, version))
        (folder / name).chmod(0o755)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in BINARIES}


def test_complete_assets_win_over_everything(
    published: Publisher, reporter: PlainReporter, cache: Path, tmp_path: Path
) -> None:
    """A folder of KUBEBUILDER_ASSETS with all four is used as it is, and nobody is asked."""
    assets = put(tmp_path / "assets", *BINARIES)
    put(cache / "published-v1.35.9-linux-amd64", *BINARIES)

    found = find(published.settings(cache, assets=assets), reporter)

    assert found.folder == assets
    assert published.seen == []


def test_assets_without_a_controller_manager_are_completed_by_the_published_one_of_their_version(
    published: Publisher, reporter: PlainReporter, cache: Path, tmp_path: Path
) -> None:
    """The envtest archives lack kube-controller-manager: it is fetched in the version of their API server."""
    assets = put(tmp_path / "assets", "etcd", "kube-apiserver", "kubectl", version="1.33.7")
    published.component("kube-controller-manager", "1.33.7")

    found = find(published.settings(cache, assets=assets), reporter)

    assert contents(found.folder) == {name: program(name, "1.33.7") for name in BINARIES}
    assert sorted(path.name for path in assets.iterdir()) == ["etcd", "kube-apiserver", "kubectl"]


def test_assets_of_our_minor_version_are_completed_from_the_cache_when_offline(
    offline: Settings, reporter: PlainReporter, cache: Path, tmp_path: Path
) -> None:
    """Without a network the missing one comes from the cache, if the versions fit."""
    assets = put(tmp_path / "assets", "etcd", "kube-apiserver", "kubectl", version="1.35.0")
    put(cache / "published-v1.35.3-linux-amd64", *BINARIES, version="1.35.3")

    found = find(replace(offline, assets=assets), reporter)

    assert contents(found.folder)["kube-controller-manager"] == program("kube-controller-manager", "1.35.3")
    assert contents(found.folder)["etcd"] == program("etcd", "1.35.0")


def test_assets_of_another_minor_version_are_passed_over_when_offline(
    offline: Settings, reporter: PlainReporter, said: io.StringIO, cache: Path, tmp_path: Path
) -> None:
    """A controller manager of another minor version would not fit: the assets are left out, and it is said."""
    assets = put(tmp_path / "assets", "etcd", "kube-apiserver", "kubectl", version="1.31.0")
    cached = put(cache / "published-v1.35.3-linux-amd64", *BINARIES)

    found = find(replace(offline, assets=assets), reporter)

    assert found.folder == cached
    assert "Not from KUBEBUILDER_ASSETS" in said.getvalue()


@pytest.mark.parametrize("names", [("etcd", "kubectl"), ()])
def test_assets_without_an_api_server_are_passed_over_with_the_reason(
    offline: Settings, reporter: PlainReporter, said: io.StringIO, tmp_path: Path, names: tuple[str, ...]
) -> None:
    """What is missing is named, and the next source is used."""
    find(replace(offline, assets=put(tmp_path / "assets", *names)), reporter)

    assert "has no kube-apiserver" in said.getvalue()


def test_the_cache_is_used_before_anybody_is_asked(published: Publisher, reporter: PlainReporter, cache: Path) -> None:
    """A second start needs no network: what was downloaded once is found, and of several the newest patch."""
    published.publish("1.35.2")
    put(cache / "published-v1.35.9-linux-amd64", *BINARIES)
    newest = put(cache / "published-v1.35.10-linux-amd64", *BINARIES)

    found = find(published.settings(cache), reporter)

    assert found.folder == newest
    assert published.seen == []


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param("published-v1.34.9-linux-amd64", id="another minor version"),
        pytest.param("published-v1.35.9-linux-arm64", id="another platform"),
        pytest.param("built-v1.35.4-linux-amd64-0123456789abcdef", id="a build from other sources"),
    ],
)
def test_the_cache_is_keyed_by_version_platform_and_sources(
    published: Publisher, reporter: PlainReporter, cache: Path, entry: str
) -> None:
    """What is in the cache for another version is not used for ours."""
    published.publish("1.35.2")
    put(cache / entry, *BINARIES)

    found = find(published.settings(cache), reporter)

    assert found.folder == cache / "published-v1.35.2-linux-amd64"


def test_an_incomplete_cache_entry_is_made_anew(published: Publisher, reporter: PlainReporter, cache: Path) -> None:
    """An entry from which somebody removed a binary counts as none."""
    published.publish("1.35.2")
    put(cache / "published-v1.35.2-linux-amd64", "etcd", "kubectl")

    found = find(published.settings(cache), reporter)

    assert contents(found.folder) == {name: program(name, "1.35.2") for name in BINARIES}


def test_the_published_binaries_are_downloaded_verified_and_kept(
    published: Publisher, reporter: PlainReporter, cache: Path
) -> None:
    """Archive and controller manager of the newest patch release of our minor version become one folder."""
    for version in ("1.35.0", "1.35.2", "1.34.9", "1.36.0"):
        published.publish(version)

    found = find(published.settings(cache), reporter)

    assert contents(found.folder) == {name: program(name, "1.35.2") for name in BINARIES}
    assert sorted(path.name for path in found.folder.iterdir()) == sorted(BINARIES)
    assert all(os.access(found.folder / name, os.X_OK) for name in BINARIES)


def test_a_cut_in_the_middle_of_the_archive_is_mended(
    published: Publisher, reporter: PlainReporter, cache: Path
) -> None:
    """A download goes on after a broken connection, and is complete."""
    published.publish("1.35.2")
    published.archive("1.35.2").cuts = [200]

    found = find(published.settings(cache), reporter)

    assert contents(found.folder) == {name: program(name, "1.35.2") for name in BINARIES}
