"""The command refuses a node where none can run, and says by name what is missing: one line, exit 2."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.http

PROGRAM = Path(sys.executable).with_name("tinker-playground")


def run(*arguments: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
    command: list[str | Path] = [PROGRAM, *arguments]
    return subprocess.run(command, env=os.environ | environ, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["up", "--dir", "{tmp}/d", "--node"], ("no containerd", "apt-get install"), id="up with a node"),
        pytest.param(["warm", "--node"], ("no containerd", "apt-get install"), id="warm for a node"),
        pytest.param(
            ["up", "--dir", "{tmp}/d", "--node", "--use-cluster"], ("exclude each other",), id="a node of one's own"
        ),
        pytest.param(["load", "--dir", "{tmp}", "python"], ("up --node --dir",), id="load without a node"),
        pytest.param(["load", "--dir", "{tmp}"], ("Missing argument",), id="load without an image"),
    ],
)
def test_what_cannot_be_is_one_line_and_exit_2(tmp_path: Path, arguments: list[str], said: tuple[str, ...]) -> None:
    """On a machine without containerd, or where something else is in the way; nothing is begun."""
    words = [argument.replace("{tmp}", str(tmp_path)) for argument in arguments]

    answer = run(*words, PATH=str(tmp_path))

    assert (answer.returncode, answer.stdout) == (2, "")
    assert len(answer.stderr.splitlines()) == 1
    assert all(each in answer.stderr for each in said)
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize("command", ["up", "warm", "load"])
def test_help_tells_of_the_node(command: str) -> None:
    """What a node takes stands where it is asked for."""
    answer = run(command, "--help")

    assert answer.returncode == 0
    assert "node" in answer.stdout
