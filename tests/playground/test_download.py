"""A file under its final name is whole and verified, whatever the network does."""

from __future__ import annotations

import hashlib
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.playground.publisher import Page, Publisher

from playground.download import Fetcher, check_reachable
from playground.errors import ChecksumMismatch, DownloadCut, SourceUnavailable
from playground.progress import PlainReporter

pytestmark = pytest.mark.http

BODY = bytes(range(256)) * 4096
SHA512 = hashlib.sha512(BODY).hexdigest()


def fetch(published: Publisher, reporter: PlainReporter, target: Path, sha512: str = SHA512) -> None:
    with Fetcher(published.settings(target.parent), reporter) as fetcher:
        fetcher.file(f"{published.url}/file", sha512, target)


def test_a_file_arrives_whole(published: Publisher, reporter: PlainReporter, tmp_path: Path) -> None:
    """What was published is what is there, and nothing else is left beside it."""
    published.pages["/file"] = Page(BODY)

    fetch(published, reporter, tmp_path / "file", SHA512.upper())

    assert (tmp_path / "file").read_bytes() == BODY
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


@pytest.mark.parametrize(
    ("page", "seen"),
    [
        pytest.param(Page(BODY, [1000]), ["/file", "/file from 1000"], id="one cut"),
        pytest.param(Page(BODY, [1000, 500]), ["/file", "/file from 1000", "/file from 1500"], id="two cuts"),
        pytest.param(
            Page(BODY, [1000], resumable=False),
            ["/file", "/file"],
            id="a server that cannot resume",
        ),
        pytest.param(Page(BODY, [0]), ["/file", "/file"], id="a cut before the first byte"),
    ],
)
def test_a_cut_connection_does_not_show_in_the_file(
    published: Publisher, reporter: PlainReporter, tmp_path: Path, page: Page, seen: list[str]
) -> None:
    """After a cut the file is as published, and no byte was asked for twice that need not be."""
    published.pages["/file"] = replace(page, cuts=list(page.cuts))

    fetch(published, reporter, tmp_path / "file")

    assert (tmp_path / "file").read_bytes() == BODY
    assert published.seen == seen


def test_a_connection_that_is_cut_every_time_leaves_no_file(
    published: Publisher, reporter: PlainReporter, tmp_path: Path
) -> None:
    """Half a file is never taken for the whole: after the last attempt there is an error and no file."""
    published.pages["/file"] = Page(BODY, cuts=[10] * 20)

    with pytest.raises(DownloadCut, match="broke off 4 times"):
        fetch(published, reporter, tmp_path / "file")

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(BODY[:-1], id="a byte is missing at the end"),
        pytest.param(b"<html>sign in</html>", id="a proxy answers with a page of its own"),
        pytest.param(b"", id="it is empty"),
    ],
)
def test_what_is_not_as_published_leaves_no_file(
    published: Publisher, reporter: PlainReporter, tmp_path: Path, body: bytes
) -> None:
    """A wrong checksum is an error that names the address, and the file is gone."""
    published.pages["/file"] = Page(body)

    with pytest.raises(ChecksumMismatch, match="/file has the SHA-512"):
        fetch(published, reporter, tmp_path / "file")

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("status", [403, 404, 500])
def test_an_error_answer_is_told_and_leaves_no_file(
    published: Publisher, reporter: PlainReporter, tmp_path: Path, status: int
) -> None:
    """The status of the answer is in the message."""
    published.pages["/file"] = Page(BODY, status=status)

    with pytest.raises(SourceUnavailable, match=f"answers {status}"):
        fetch(published, reporter, tmp_path / "file")

    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def black_hole() -> Iterator[str]:
    """An address whose packets vanish: a listener whose backlog is full answers no further connection."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        for each in waiting:
            each.close()


def test_a_host_that_swallows_packets_is_told_in_seconds(black_hole: str) -> None:
    """Offline shows itself within twice the connect time-out."""
    began = time.monotonic()

    with pytest.raises(SourceUnavailable, match="cannot be reached"):
        check_reachable(black_hole, 0.5)

    assert time.monotonic() - began < 3


def test_a_host_that_refuses_is_told_at_once() -> None:
    """A closed port needs no time-out."""
    began = time.monotonic()

    with pytest.raises(SourceUnavailable, match=r"127\.0\.0\.1 cannot be reached: Connection refused"):
        check_reachable("http://127.0.0.1:1/file", 5)

    assert time.monotonic() - began < 3


def test_a_proxy_that_is_down_counts_as_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind a proxy it is the proxy that must be reached, not the host."""
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")

    with pytest.raises(SourceUnavailable, match=r"127\.0\.0\.1 cannot be reached"):
        check_reachable("https://published.invalid/file", 5)
