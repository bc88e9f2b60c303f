"""Processes that end with the one that started them, each with its log in a file.

The control plane, the build and the demonstration start all their processes through it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from playground import keeper
from playground.errors import ComponentFailed

_GRACE_SECONDS = 5.0
_LAST_WAIT_SECONDS = 2.0
_TAIL_BYTES = 64_000


class Child:
    """One running process under a keeper of its own, in a process group of its own.

    A Ctrl-C at the terminal does not reach it: its owner ends it, in the order the owner wants. It ends by itself when
    the owner dies, kill -9 included.

    Attributes:
        name: What to call it in messages.
        log: The file that has its stdout and stderr.
    """

    def __init__(
        self, name: str, command: Sequence[str | Path], log: Path, environ: Mapping[str, str] | None = None
    ) -> None:
        """Start the process.

        Args:
            name: What to call it in messages.
            command: Program and arguments.
            log: File that takes stdout and stderr, appended to; its folder is made.
            environ: Its whole environment; None for a copy of ours.
        """
        self.name, self.log = name, log
        log.parent.mkdir(parents=True, exist_ok=True)
        reading, self._lifeline = os.pipe()
        try:
            with log.open("ab") as output:
                self._keeper = subprocess.Popen(  # noqa: S603 -- running the caller's command is the purpose
                    keeper_command(reading, command),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    pass_fds=(reading,),
                    start_new_session=True,
                    env=None if environ is None else dict(environ),
                )
        except BaseException:
            os.close(self._lifeline)
            raise
        finally:
            os.close(reading)

    @property
    def pid(self) -> int:
        """Process id of the keeper, which is the id of the process group of everything it started."""
        return self._keeper.pid

    @property
    def exit_status(self) -> int | None:
        """Exit status, 128 + n for a death by signal n; None while it runs."""
        code = self._keeper.poll()
        return 128 - code if code is not None and code < 0 else code

    @property
    def running(self) -> bool:
        """Whether it is still there."""
        return self.exit_status is None

    def tail(self, lines: int = 15) -> str:
        """The last lines of its log."""
        with self.log.open("rb") as log:
            log.seek(max(0, self.log.stat().st_size - _TAIL_BYTES))
            text = log.read().decode(errors="replace")
        return "\n".join(text.splitlines()[-lines:])

    def ask_to_stop(self) -> None:
        """Send SIGTERM and return at once; to be followed by `stop`. Nothing happens when it has ended already."""
        if self.running:
            self._keeper.send_signal(signal.SIGTERM)

    def stop(self, grace_seconds: float = _GRACE_SECONDS) -> None:
        """End it: SIGTERM, then SIGKILL to its whole process group when it has not gone in time.

        Args:
            grace_seconds: How long it may take to end by itself.
        """
        self.ask_to_stop()
        try:
            self._keeper.wait(grace_seconds)
        except subprocess.TimeoutExpired:
            self.kill()
        finally:
            self._release()

    def kill(self) -> None:
        """SIGKILL to its whole process group, and wait until it is gone."""
        if self.running:
            os.killpg(self.pid, signal.SIGKILL)
        self._keeper.wait(_LAST_WAIT_SECONDS)
        self._release()

    def _release(self) -> None:
        if self._lifeline >= 0 and not self.running:
            os.close(self._lifeline)
            self._lifeline = -1


def keeper_command(lifeline: int, command: Sequence[str | Path]) -> list[str]:
    """The command line that runs `command` under a keeper whose lifeline is the descriptor `lifeline`."""
    return [sys.executable, "-I", "-S", keeper.__file__, str(lifeline), *map(str, command)]


def stop_all(children: Sequence[Child], grace_seconds: float = _GRACE_SECONDS) -> None:
    """End several at once: all are asked first, so that together they take no longer than the slowest.

    Args:
        children: Which; those that have ended already are passed over.
        grace_seconds: How long all of them together may take to end by themselves.
    """
    for child in children:
        child.ask_to_stop()
    deadline = time.monotonic() + grace_seconds
    for child in children:
        child.stop(max(0.0, deadline - time.monotonic()))


def see_running(children: Iterable[Child]) -> None:
    """See that every one still runs.

    Raises:
        ComponentFailed: One has died; the message ends with the tail of its log.
    """
    for child in children:
        if not child.running:
            message = f"{child.name} ended with status {child.exit_status}. The end of {child.log}:\n{child.tail()}\n"
            raise ComponentFailed(message, "Read what it says, and start the control plane again.")


def wait_until(
    condition: Callable[[], bool],
    seconds: float,
    *,
    every: float = 0.1,
    monotonic: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> bool:
    """Poll a condition until it holds or the time is over; answer whether it held.

    Args:
        condition: Asked first at once.
        seconds: How long to go on asking.
        every: Seconds between two questions.
        monotonic: Clock, in seconds.
        pause: Sleeps for so many seconds.
    """
    deadline = monotonic() + seconds
    while not condition():
        if monotonic() >= deadline:
            return False
        pause(every)
    return True
