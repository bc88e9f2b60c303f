"""The lowest layer of our images: the Python that runs here, with the shared libraries it needs, and nothing else.

`playground.node.images` asks for it. Everything keeps its absolute path, because an interpreter and its libraries find
each other by it; on top lies an empty virtual environment in `/app`, where later layers put packages. There is no
shell and no package manager.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path

APP = "/app"
VERSION = f"python{sys.version_info.major}.{sys.version_info.minor}"
SITE = f"{APP}/lib/{VERSION}/site-packages"
HOME = "/home/nonroot"
_LEFT_OUT = {"__pycache__", "test", "idlelib", "tkinter", "turtledemo", "ensurepip", "site-packages", "dist-packages"}
_LIBRARY = re.compile(r"(?:=> )?(/\S+) \(0x[0-9a-f]+\)")
_LOOKED_UP_LATE = ("libnss_dns.so.2", "libnss_files.so.2", "libresolv.so.2")  # by the C library, when it needs them
_USUAL = ("/lib", "/usr/lib")


def executable() -> Path:
    """The program of the running interpreter, outside of any virtual environment."""
    return (Path(sys.base_prefix) / "bin" / VERSION).resolve()


def standard_library() -> Path:
    """Its folder of modules."""
    return Path(sysconfig.get_path("stdlib"))


def interpreter_key() -> str:
    """A hash of everything that `stage_interpreter` copies."""
    digest = hashlib.sha256(f"{sys.version} {sys.base_prefix}".encode())
    for path in [executable(), *_libraries_of_interpreter(), *_modules()]:
        digest.update(bytes(path))
        with path.open("rb") as content:
            digest.update(hashlib.file_digest(content, "sha256").digest())
    return digest.hexdigest()


def stage_interpreter(root: Path) -> None:
    """Copy it below an empty folder.

    Args:
        root: What becomes `/`.
    """
    for path in [executable(), *_libraries_of_interpreter(), *_modules()]:
        _copy(path, root)
    _stage_environment(root)
    for name in ("tmp", "etc", HOME[1:]):
        (root / name).mkdir(parents=True, exist_ok=True)
    (root / "tmp").chmod(0o1777)
    (root / "etc" / "passwd").write_text(f"root:x:0:0::/:/\nnonroot:x:65532:65532::{HOME}:/\n")
    (root / "etc" / "group").write_text("root:x:0:\nnonroot:x:65532:\n")


def environ() -> dict[str, str]:
    """The environment in which it runs."""
    unusual = sorted({str(path.parent) for path in _libraries_of_interpreter() if not str(path).startswith(_USUAL)})
    libraries = {"LD_LIBRARY_PATH": os.pathsep.join(unusual)} if unusual else {}
    return {"PATH": f"{APP}/bin", "HOME": HOME, "LANG": "C.UTF-8", "PYTHONUNBUFFERED": "1"} | libraries


def stage_libraries(programs: Iterable[Path], root: Path) -> None:
    """Copy the shared libraries that some programs or modules need from outside of their own packages.

    Args:
        programs: Files that are loaded.
        root: What becomes `/`.
    """
    for library in shared_libraries(programs):
        if str(library).startswith(_USUAL):
            _copy(library, root)


def shared_libraries(programs: Iterable[Path]) -> list[Path]:
    """Where the loader finds the shared libraries that some programs or modules need."""
    command: list[str | Path] = ["ldd", *programs]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)  # noqa: S603 -- of the C library
    return sorted({Path(found) for found in _LIBRARY.findall(answer.stdout)})


@functools.cache
def _libraries_of_interpreter() -> tuple[Path, ...]:
    found = shared_libraries([executable(), *standard_library().rglob("*.so")])
    c_library = next((path.parent for path in found if path.name.startswith("libc.so")), Path("/lib"))
    late = [c_library / name for name in _LOOKED_UP_LATE]
    return tuple(sorted({*found, *(path for path in late if path.exists())}))


def _modules() -> Iterator[Path]:
    for folder, folders, names in os.walk(standard_library()):
        folders[:] = sorted(name for name in set(folders) - _LEFT_OUT if not name.startswith("config-"))
        yield from (Path(folder) / name for name in sorted(names) if not name.endswith(".a"))


def _copy(path: Path, root: Path) -> None:
    target = root / path.relative_to("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(path, target)


def _stage_environment(root: Path) -> None:
    app = root / APP[1:]
    (root / SITE[1:]).mkdir(parents=True)
    (app / "bin").mkdir()
    for name in ("python", "python3", VERSION):
        (app / "bin" / name).symlink_to(executable())
    (app / "pyvenv.cfg").write_text(f"home = {executable().parent}\ninclude-system-site-packages = false\n")
