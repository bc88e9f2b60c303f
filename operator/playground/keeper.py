"""A tiny parent for one child: when whoever started it dies, however it dies, the child and its own children end too.

`playground.children` starts it as a script (`python -I -S keeper.py LIFELINE_FD COMMAND...`), so it imports the
standard library only.

    owner ── pipe ──> keeper ── PDEATHSIG ──> child (etcd, kube-apiserver, go build, ...)

The owner holds the only writing end of the pipe; the kernel closes it even on kill -9, which the keeper reads as end of
file. Asking the kernel for a signal on the owner's death directly (PR_SET_PDEATHSIG in the child) would not do: that
signal comes when the *thread* that started the child ends, so a control plane started from a worker thread would die
with the thread. The keeper has one thread, so between keeper and child it is exactly right, and covers a kill -9 of the
keeper itself.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
import time
from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1
_GRACE_SECONDS = 5.0
_NOT_STARTED = 127
_HEARD = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def main(arguments: Sequence[str]) -> int:
    """Run the command until it ends, the lifeline closes or SIGTERM comes; answer the command's exit status.

    Args:
        arguments: The descriptor of the lifeline, then the command and its arguments.
    """
    lifeline, command = int(arguments[0]), list(arguments[1:])
    os.set_inheritable(lifeline, False)
    wake, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker)
    for number in _HEARD:
        signal.signal(number, lambda *_: None)
    child = _start(command)
    return _exit_status(_watch(child, lifeline, wake))


def _start(command: list[str]) -> int:
    keeper = os.getpid()
    child = os.fork()
    if child == 0:
        try:
            _die_with(keeper)
            for number in (
                *_HEARD,
                signal.SIGPIPE,
                signal.SIGXFSZ,
            ):  # Python ignores the last two; a program must not inherit that
                signal.signal(number, signal.SIG_DFL)
            os.execvp(command[0], command)  # noqa: S606 -- running the command is what this program is for
        except OSError as error:
            os.write(sys.stderr.fileno(), f"{command[0]}: {error.strerror}\n".encode())
        os._exit(_NOT_STARTED)
    return child


def _die_with(keeper: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != keeper:  # the keeper died before the kernel was told: no signal will come any more
        os._exit(_NOT_STARTED)


def _watch(child: int, lifeline: int, wake: int) -> int:
    while True:
        ready, _, _ = select.select([lifeline, wake], [], [])
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status
        if lifeline in ready:
            _end_group(child)
        elif set(os.read(wake, 64)) - {signal.SIGCHLD}:
            os.kill(child, signal.SIGTERM)


def _end_group(child: int) -> None:
    """End the child and all that it started, then the keeper itself with them: there is nobody left to tell."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.killpg(0, signal.SIGTERM)
    deadline = time.monotonic() + _GRACE_SECONDS
    while time.monotonic() < deadline and os.waitpid(child, os.WNOHANG)[0] == 0:
        time.sleep(0.05)
    os.killpg(0, signal.SIGKILL)


def _exit_status(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
