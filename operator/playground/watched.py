"""Runs a long command, hands over its lines as they come and ticks in between, so that a wait shows a sign of life.

The build of the control plane and the installation of Go go through it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from playground.children import Child

_TICK_SECONDS = 0.25


def run_watched(
    name: str,
    command: Sequence[str | Path],
    log: Path,
    *,
    on_line: Callable[[str], None],
    on_tick: Callable[[], None],
    environ: Mapping[str, str] | None = None,
) -> int:
    """Run the command to its end and answer its exit status; its output is in `log`, from the start of the file.

    The command runs with less priority than what people do beside it, and ends when we are interrupted.

    Args:
        name: What to call the process in messages.
        command: Program and arguments.
        log: File for its stdout and stderr, written anew.
        on_line: Called with each whole line of output.
        on_tick: Called about four times a second.
        environ: Its whole environment; None for a copy of ours.
    """
    log.unlink(missing_ok=True)
    child = Child(name, command, log, environ)
    try:
        os.setpriority(os.PRIO_PGRP, child.pid, 10)
        _follow(child, log, on_line, on_tick)
    finally:
        child.stop()
    return child.exit_status or 0


def _follow(child: Child, log: Path, on_line: Callable[[str], None], on_tick: Callable[[], None]) -> None:
    with log.open(encoding="utf-8", errors="replace") as lines:
        rest = ""
        running = True
        while running:
            running = child.running  # asked before reading, so that the last read comes after the end
            *whole, rest = (rest + lines.read()).split("\n")
            for line in whole:
                on_line(line)
            on_tick()
            if running:
                time.sleep(_TICK_SECONDS)
