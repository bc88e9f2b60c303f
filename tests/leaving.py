"""How a program that uses the official SDK ends without aborting, however it was written.

The SDK's native threads outlive its work. One that comes back for the interpreter lock while the interpreter is taken
apart aborts the process (SIGABRT, silently) now and then. So nothing is taken apart: what was to be done at exit is
done, the output is flushed, and the process leaves. Run as a program, this runs another one, unmodified, in that way:
`python leaving.py PROGRAM [ARGUMENT ...]`.
"""

import atexit
import os
import runpy
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Final, NoReturn

USING_THE_SDK: Final = (sys.executable, __file__)
"""What a command that uses the SDK begins with, before its program."""

TINKER: Final = str(Path(sys.executable).with_name("tinker"))
"""The official command line."""


def leave(status: int) -> NoReturn:
    """Ends the process, with nothing lost that was written."""
    try:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(status)


def status_of(work: Callable[[], object]) -> int:
    """Does the work; returns the status that the interpreter would end with after it."""
    try:
        work()
    except SystemExit as ended:
        if ended.code is None or isinstance(ended.code, int):
            return ended.code or 0
        sys.stderr.write(f"{ended.code}\n")
        return 1
    except BaseException:  # noqa: BLE001  # the process ends here, and tells it as the interpreter does
        traceback.print_exc()
        return 1
    return 0


def main() -> NoReturn:
    """Runs the program that the arguments name, as if it had been started itself."""
    del sys.argv[0]
    program = sys.argv[0]
    sys.path[0] = str(Path(program).parent)
    leave(status_of(lambda: runpy.run_path(program, run_name="__main__")))


if __name__ == "__main__":
    main()
