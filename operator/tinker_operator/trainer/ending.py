"""How a training loop's process ends: with a status that says why, and without hanging or aborting.

`training_loop` is what a loop's program wraps around everything; `end_process` is its last act, for programs of
another shape.
"""

import atexit
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import IntEnum
from pathlib import Path
from typing import Final, Literal, NoReturn

import tinker

from tinker_operator.trainer.errors import CheckpointUnusable, RunLost, SettingInvalid, Superseded, TrainerError
from tinker_operator.trainer.termination import TERMINATED, Terminated, Termination

GRACE_SECONDS: Final = 25.0
"""Below the 30 seconds that Kubernetes gives a pod, so that the loop and not the kill decides how it ends."""

FINISH_SECONDS: Final = 5.0


class ExitStatus(IntEnum):
    """Why a training loop ended, for the operator, for a Job's podFailurePolicy and for scripts.

    Those above 2 are from sysexits.h, and from the shell's convention for signals.
    """

    DONE = 0
    """All is trained; or this loop was superseded, and nothing is left to do for it."""
    FAILED = 1
    """Something else went wrong; stderr says what."""
    SETTING = 2
    """A setting makes no sense; nothing was started."""
    CHECKPOINT_UNUSABLE = 65
    """The checkpoint of the hand-over cannot be resumed from (EX_DATAERR)."""
    RUN_LOST = 75
    """The run is corrupted, and the operator replaces this loop (EX_TEMPFAIL)."""
    INTERRUPTED = 130
    """Ctrl-C."""
    TERMINATED = TERMINATED
    """SIGTERM."""


def exit_status(error: BaseException) -> int:
    """The status to end with after an error; that of a SystemExit is its own."""
    match error:
        case SystemExit():
            return error.code if isinstance(error.code, int) else int(error.code is not None)
        case KeyboardInterrupt():
            return ExitStatus.INTERRUPTED
        case Superseded():
            return ExitStatus.DONE
        case RunLost():
            return ExitStatus.RUN_LOST
        case CheckpointUnusable():
            return ExitStatus.CHECKPOINT_UNUSABLE
        case SettingInvalid():
            return ExitStatus.SETTING
        case _:
            # The SDK's bare TinkerError is about the key, before any request: a setting, not a failure.
            return ExitStatus.SETTING if type(error) is tinker.TinkerError else ExitStatus.FAILED


def end_process(status: int) -> NoReturn:
    """End the process without taking the interpreter apart.

    The SDK's native threads outlive the loop. One that comes back for the interpreter lock while that is being taken
    apart is unwound through frames that do not allow it, and aborts the process (status 134) now and then. What was to
    be done at exit is done first: functions registered with `atexit` run and the output is flushed.

    Args:
        status: The exit status.
    """
    try:
        atexit._run_exitfuncs()  # noqa: SLF001 - there is no public way to run them and leave without the rest
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(status)


def _leave_at_once(status: int) -> NoReturn:
    # The grace is over: the main thread may hold any lock, so nothing is run or flushed any more.
    os._exit(status)


@contextmanager
def training_loop(
    *,
    name: str | None = None,
    grace_seconds: float = GRACE_SECONDS,
    end: Callable[[int], object] = end_process,
) -> Iterator[Termination]:
    """Wrap a whole program in this: the process ends with the block, with the status that says why.

    ::

        if __name__ == "__main__":
            with training_loop():
                main()

    An error of this package or of the SDK is told in one line on stderr, any other with its traceback. On SIGTERM the
    step that is under way ends first; a step, or anything else, that takes longer than `grace_seconds` is cut off.

    Args:
        name: What the line on stderr begins with; None takes the program's name.
        grace_seconds: From SIGTERM to the end at the latest. Choose less than the pod's terminationGracePeriodSeconds.
        end: Ends the process with a status.

    Raises:
        SettingInvalid: When this is not the main thread.
    """
    with Termination(grace_seconds=grace_seconds, end=_leave_at_once) as termination:
        status: int = ExitStatus.DONE
        try:
            yield termination
        except BaseException as error:  # noqa: BLE001  # the process ends here, whatever it was
            status = exit_status(error)
            _tell(error, name or Path(sys.argv[0]).stem)
        end(status)


@contextmanager
def service_client(*, finish_seconds: float = FINISH_SECONDS) -> Iterator[tinker.ServiceClient]:
    """The service that the environment names; its session is finished at the end, with the reason.

    Entering `tinker.ServiceClient` itself does the same, but tries for minutes where the service is down.

    Args:
        finish_seconds: How long to try to finish the session.

    Raises:
        tinker.TinkerError: When there is no usable key.
    """
    client = tinker.ServiceClient()
    reason: Literal["success", "errored", "interrupted"] = "interrupted"
    try:
        yield client
        reason = "success"
    except (Superseded, RunLost):
        raise
    except Exception:
        reason = "errored"
        raise
    finally:
        with suppress(tinker.TinkerError, TimeoutError):
            client.close(reason).result(timeout=finish_seconds)


def _tell(error: BaseException, name: str) -> None:
    match error:
        case Terminated() | KeyboardInterrupt() | SystemExit(code=None | int()):
            return
        case SystemExit() | TrainerError() | tinker.TinkerError():
            print(f"{name}:", " ".join(str(error).split()), file=sys.stderr)  # noqa: T201  # what the program says
        case _:
            traceback.print_exception(error)
