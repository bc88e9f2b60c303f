"""Gets programs out of Debian's packages without installing them, as root or not.

`playground.prometheus` uses it. apt checks what comes against Debian's signatures; nothing of the system is changed.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from playground.errors import SourceUnavailable
from playground.progress import Reporter

_TOOLS = ("apt-get", "dpkg-deb")
_SECONDS = 300.0
_UNSANDBOXED = ("-o", "APT::Sandbox::User=")  # its own user cannot write where we do


def release() -> str:
    """Name the distribution and its release, such as `debian-12`; empty where that is unknown."""
    try:
        known = platform.freedesktop_os_release()
    except OSError:
        return ""
    return f"{known['ID']}-{known.get('VERSION_ID', 'rolling')}"


def programs_of(package: str, names: Sequence[str], target: Path, reporter: Reporter) -> None:
    """Copy programs from the package's /usr/bin into `target`.

    Args:
        package: Its name; what it depends on does not come along.
        names: Of the programs.
        target: An existing folder.
        reporter: Told what is waited for.

    Raises:
        SourceUnavailable: This machine has no apt, or the package cannot be had or lacks one.
    """
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if missing:
        raise SourceUnavailable(f"There is no {' and no '.join(missing)} to get {package} with.", _remedy(package))
    with tempfile.TemporaryDirectory() as folder, reporter.step(f"Getting {package} from the distribution"):
        work = Path(folder)
        archive = _downloaded(package, work)
        _run(package, ["dpkg-deb", "-x", archive, work / "unpacked"], work)
        for name in names:
            program = work / "unpacked" / "usr" / "bin" / name
            if not program.is_file():
                raise SourceUnavailable(f"Package {package} has no {name}.", _remedy(package))
            shutil.copy(program, target / name)


def _downloaded(package: str, work: Path) -> Path:
    """Ask with the lists that are there; where they are missing or old, with lists of our own."""
    try:
        _run(package, ["apt-get", *_UNSANDBOXED, "download", package], work)
    except SourceUnavailable:
        own = _own_lists(work)
        _run(package, ["apt-get", *own, "update"], work)
        _run(package, ["apt-get", *own, "download", package], work)
    found = next(work.glob("*.deb"), None)
    if found is None:
        raise SourceUnavailable(f"apt-get brought no file for {package}.", _remedy(package))
    return found


def _own_lists(work: Path) -> tuple[str, ...]:
    for each in ("lists/partial", "archives/partial"):
        (work / each).mkdir(parents=True, exist_ok=True)
    return (*_UNSANDBOXED, "-o", f"Dir::State::Lists={work / 'lists'}", "-o", f"Dir::Cache={work}")


def _run(package: str, command: Sequence[str | Path], folder: Path) -> None:
    try:
        done = subprocess.run(  # noqa: S603 -- apt's own programs, with fixed arguments
            command, cwd=folder, capture_output=True, text=True, check=False, timeout=_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise SourceUnavailable(f"{command[0]} takes longer than {_SECONDS:g} s.", _remedy(package)) from error
    if done.returncode != 0:
        last = done.stderr.strip().rpartition("\n")[2]
        raise SourceUnavailable(f"{package} cannot be had: {last or done.returncode}.", _remedy(package))


def _remedy(package: str) -> str:
    return f"Install {package}, so that its programs are on PATH."
