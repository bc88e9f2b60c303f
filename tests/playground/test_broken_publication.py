"""Whatever is wrong with what is published: it is said, nothing of it is used, nothing is written elsewhere."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.playground.publisher import PLATFORM, Page, Publisher, envtest

from playground.binaries import find
from playground.errors import NoBinaries
from playground.progress import PlainReporter

pytestmark = pytest.mark.http

VERSION = "1.35.2"
ARCHIVE = f"/archives/envtest-v{VERSION}-{PLATFORM}.tar.gz"
MANAGER = f"/release/v{VERSION}/bin/linux/amd64/kube-controller-manager"

Fault = Callable[[Publisher], object]


def longer(path: str) -> Fault:
    return lambda published: published.pages.update({path: Page(published.pages[path].body + b"x")})


def gone(path: str) -> Fault:
    return lambda published: published.pages.pop(path)


def replaced(path: str, body: bytes) -> Fault:
    return lambda published: published.pages.update({path: Page(body)})


def cut_forever(path: str) -> Fault:
    return lambda published: published.pages[path].cuts.extend([1] * 20)


def archive_with(members: dict[str, bytes]) -> Fault:
    return lambda published: published.publish(VERSION, members)


def only_version(version: str) -> Fault:
    def fault(published: Publisher) -> None:
        del published.pages["/index.yaml"]
        published.publish(version)

    return fault


def archive_that_is_none(published: Publisher) -> None:
    body = b"not an archive"
    published.pages[ARCHIVE] = Page(body)
    published.index(VERSION, {"hash": hashlib.sha512(body).hexdigest(), "selfLink": published.url + ARCHIVE})


def other_platform(published: Publisher) -> None:
    index = published.pages["/index.yaml"]
    index.body = index.body.replace(b"amd64", b"s390x")


FAULTS = [
    pytest.param(longer(ARCHIVE), "has the SHA-512", id="the archive is not what the index says"),
    pytest.param(longer(MANAGER), "has the SHA-512", id="the controller manager is not what its checksum says"),
    pytest.param(cut_forever(ARCHIVE), "broke off 4 times", id="the archive breaks off every time"),
    pytest.param(gone(ARCHIVE), "answers 404", id="the archive is gone"),
    pytest.param(gone(MANAGER), "answers 404", id="the controller manager is gone"),
    pytest.param(gone(f"{MANAGER}.sha512"), "answers 404", id="the checksum of the controller manager is gone"),
    pytest.param(replaced(f"{MANAGER}.sha512", b"<html>"), "is not a SHA-512", id="the checksum is a web page"),
    pytest.param(gone("/index.yaml"), "answers 404", id="the index is gone"),
    pytest.param(replaced("/index.yaml", b"- a\n"), "cannot be read", id="the index is a list"),
    pytest.param(replaced("/index.yaml", b"releases: [[["), "cannot be read", id="the index is not YAML"),
    pytest.param(replaced("/index.yaml", b"releases: {}"), "lists no archive", id="the index is empty"),
    pytest.param(replaced("/index.yaml", b""), "cannot be read", id="the index has no bytes"),
    pytest.param(only_version("1.34.9"), "lists no archive of Kubernetes 1.35", id="our version is missing"),
    pytest.param(other_platform, f"lists no archive of Kubernetes 1.35 for {PLATFORM}", id="our platform is missing"),
    pytest.param(
        lambda published: published.index(VERSION, {"hash": "abc", "selfLink": published.url}),
        "is not a SHA-512",
        id="the hash in the index is too short",
    ),
    pytest.param(
        lambda published: published.index(VERSION, {"hash": "abc"}), "cannot be read", id="the index has no link"
    ),
    pytest.param(archive_that_is_none, "cannot be used", id="the archive is no archive"),
    pytest.param(
        archive_with(envtest(VERSION) | {"../../../outside": b"evil"}),
        "cannot be used",
        id="the archive has a path outside",
    ),
    pytest.param(
        archive_with({"controller-tools/envtest/kubectl": b""}), "cannot be used", id="the archive lacks a binary"
    ),
]


@pytest.mark.parametrize(("fault", "why"), FAULTS)
def test_a_broken_publication_is_told_and_leaves_nothing(
    published: Publisher, reporter: PlainReporter, tmp_path: Path, fault: Fault, why: str
) -> None:
    """The reason is in the message, the cache has no entry, and the next source was asked."""
    published.publish(VERSION)
    fault(published)

    with pytest.raises(NoBinaries) as failed:
        find(published.settings(tmp_path / "cache"), reporter)

    assert why in failed.value.message
    assert "this Go builds nothing" in failed.value.message
    assert sorted(path.name for path in (tmp_path / "cache").iterdir()) == ["go", "lock"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken-go", "cache"]
