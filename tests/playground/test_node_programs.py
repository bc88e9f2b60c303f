"""kubelet and kube-scheduler come from where the control plane's programs come from, in a build of their own."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from tests.playground.publisher import Publisher

from playground.binaries import find
from playground.errors import NoBinaries
from playground.node.programs import find_programs, source_folder
from playground.progress import PlainReporter
from playground.settings import NODE_BINARIES, Settings
from playground.toolchain import required_version

pytestmark = pytest.mark.http


def test_offline_they_are_built_once_beside_the_control_plane(
    offline: Settings, reporter: PlainReporter, tmp_path: Path
) -> None:
    """The control plane's entry is left as it is; who asks for no node builds none."""
    plane = find(offline, reporter)
    first = find_programs(offline, reporter)
    second = find_programs(offline, reporter)

    assert {(first.folder / name).resolve() for name in NODE_BINARIES} == {first.folder / "node"}
    assert first.folder == second.folder != plane.folder
    assert first.folder.name.startswith("node-built-v1.35.4-")
    assert (tmp_path / "go" / "calls").read_text().split() == ["version", "list", "build", "version", "list", "build"]


def test_published_ones_are_fetched_with_their_checksums(
    published: Publisher, cache: Path, reporter: PlainReporter
) -> None:
    """They are those of the release that the control plane is from; asked again, nothing is fetched."""
    published.publish("1.35.9")
    for name in NODE_BINARIES:
        published.component(name, "1.35.9")
    settings = published.settings(cache)

    first = find_programs(settings, reporter)
    asked = len(published.seen)
    second = find_programs(settings, reporter)

    assert first.folder == second.folder == cache / "node-published-v1.35.9-linux-amd64"
    assert len(published.seen) == asked
    assert not any("kube-apiserver" in path for path in published.seen)


def test_assets_that_have_them_are_taken(offline: Settings, reporter: PlainReporter, tmp_path: Path) -> None:
    """A folder of one's own comes first."""
    for name in NODE_BINARIES:
        (tmp_path / name).touch(mode=0o755)

    assert find_programs(replace(offline, assets=tmp_path), reporter).folder == tmp_path


def test_without_any_source_every_reason_is_told(offline: Settings, reporter: PlainReporter, said: io.StringIO) -> None:
    """The last line names them all."""
    with pytest.raises(NoBinaries, match="A build needs 1000000000 GB of disk") as failed:
        find_programs(replace(offline, build_bytes=10**18), reporter)

    assert "127.0.0.1 cannot be reached" in failed.value.message
    assert "No kubelet from the published binaries" in said.getvalue()


def test_the_versions_are_those_of_the_control_plane() -> None:
    """Both modules need the same Kubernetes and the same Go, or the second build would compile everything anew."""
    own, plane = source_folder() / "go.mod", source_folder().parents[1] / "controlplane_src" / "go.mod"

    def versions(path: Path) -> dict[str, str]:
        lines = [line.split() for line in path.read_text().splitlines() if line.startswith("\t")]
        return {line[0]: line[1] for line in lines if len(line) > 1}

    ours, theirs = versions(own), versions(plane)
    assert required_version(own.read_text()) == required_version(plane.read_text())
    assert ours["k8s.io/kubernetes"] == theirs["k8s.io/kubernetes"]
    assert {name: version for name, version in ours.items() if theirs.get(name, version) != version} == {}
