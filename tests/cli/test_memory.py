"""The arenas of the C library, as it tells of them itself, in processes of their own: it cannot be set back."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has an arena for each thread")

PROGRAM = """
import ctypes, sys, threading
from tinker_operator.cli.memory import thrifty

if sys.argv[1] == "thrifty":
    thrifty()
kept = []
for _ in range(3):
    thread = threading.Thread(target=lambda: kept.append([b"x" * 2000 for _ in range(1000)]))
    thread.start()
    thread.join()
libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
told = ctypes.c_void_p(libc.fopen(sys.argv[2].encode(), b"w"))
libc.malloc_info(0, told)
libc.fclose(told)
"""


@pytest.mark.parametrize(("how", "arenas"), [("thrifty", 1), ("as it is", 2)])
def test_all_threads_share_one_arena(how: str, arenas: int, tmp_path: Path) -> None:
    told = tmp_path / "malloc.xml"
    subprocess.run([sys.executable, "-c", PROGRAM, how, str(told)], check=True)
    assert told.read_text().count("<heap nr=") == arenas
