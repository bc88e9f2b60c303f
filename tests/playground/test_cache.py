"""Two processes that want the same binaries make them once, and the second says that it waits."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.playground.fake_go import install_fake_go

from playground.children import wait_until
from playground.settings import BINARIES

pytestmark = pytest.mark.http

SEEKER = """
import sys
from pathlib import Path
from playground.binaries import find
from playground.progress import PlainReporter
from playground.settings import Settings
away = "http://127.0.0.1:1"
settings = Settings(Path(sys.argv[1]), index_url=away, release_url=away, search_path=sys.argv[2], build_bytes=0)
print(find(settings, PlainReporter(sys.stderr)).folder)
"""


def seek(cache: Path, go: Path) -> subprocess.Popen[str]:
    command: list[str | Path] = [sys.executable, "-c", SEEKER, cache, go]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_two_processes_build_once(tmp_path: Path) -> None:
    """The second waits for the first, says so, and uses what the first has made."""
    calls = install_fake_go(tmp_path / "go", seconds=2)

    seekers = [seek(tmp_path / "cache", tmp_path / "go") for _ in range(2)]
    (first, first_said), (second, second_said) = [seeker.communicate(timeout=60) for seeker in seekers]

    assert first == second != ""
    assert calls.read_text().split().count("build") == 1
    assert (first_said + second_said).count("Another process is getting the binaries") == 1


def test_a_build_that_is_killed_leaves_the_next_one_free(tmp_path: Path) -> None:
    """After a kill -9 in mid-build there is no lock and no half entry in the way, and no Go left running."""
    calls = install_fake_go(tmp_path / "go", seconds=60)
    killed = seek(tmp_path / "cache", tmp_path / "go")
    assert wait_until(lambda: "build" in calls.read_text(), 20)

    killed.kill()
    killed.communicate()
    install_fake_go(tmp_path / "go")
    folder, said = seek(tmp_path / "cache", tmp_path / "go").communicate(timeout=60)

    assert sorted(path.name for path in Path(folder.strip()).iterdir()) == sorted((*BINARIES, "controlplane"))
    assert "Another process" not in said
    assert not list((tmp_path / "cache").glob(".staging-*"))
