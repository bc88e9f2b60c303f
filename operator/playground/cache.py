"""Keeps what was downloaded or built, outside of any repository, for every checkout on this machine.

`playground.binaries` owns one. An entry is a folder that appears under its name only when it is complete; two processes
that want the same one do not both make it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from playground.errors import BadSetting
from playground.progress import Reporter
from playground.settings import BINARIES

_STAGING = ".staging-"
_LOCK_POLL_SECONDS = 0.25


def missing_from(folder: Path, names: tuple[str, ...] = BINARIES) -> tuple[str, ...]:
    """Which of the binaries, by default the four, the folder lacks (or has, but not executable)."""
    return tuple(name for name in names if not os.access(folder / name, os.X_OK))


class Cache:
    """Folders of binaries under one root.

    Args:
        root: Made when it does not exist.
        reporter: Told while another process holds the lock.
        names: What an entry holds when it is complete.

    Raises:
        BadSetting: The root cannot be made.
    """

    def __init__(self, root: Path, reporter: Reporter, names: tuple[str, ...] = BINARIES) -> None:
        self._root, self._reporter, self._names = root, reporter, names
        self._lock = filelock.FileLock(
            root / "lock"
        )  # one object: an entry may be made of another entry, and enter it again
        try:
            root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            remedy = "Set TINKER_OPERATOR_CACHE to a folder that can be written."
            raise BadSetting(f"The cache {root} cannot be made: {error.strerror}.", remedy) from error

    def complete(self, pattern: str) -> list[Path]:
        """The complete entries whose name matches the glob pattern."""
        return [entry for entry in self._root.glob(pattern) if not missing_from(entry, self._names)]

    def entry(self, name: str, make: Callable[[Path], None]) -> Path:
        """Answer the entry of that name; make it when it is not there, or not complete.

        Args:
            name: Of the entry; says everything that its contents depend on.
            make: Fills an empty folder, or raises; only one process at a time runs it.
        """
        with self._locked():
            entry = self._root / name
            if missing_from(entry, self._names):
                self._make(entry, make)
            return entry

    def _make(self, entry: Path, make: Callable[[Path], None]) -> None:
        staging = self._root / f"{_STAGING}{entry.name}"
        try:
            shutil.rmtree(entry, ignore_errors=True)
            shutil.rmtree(staging, ignore_errors=True)  # of a process that was killed
            staging.mkdir()
            make(staging)
            staging.rename(entry)
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self._lock.acquire(timeout=0)
        except filelock.Timeout:
            self._wait()
        try:
            yield
        finally:
            self._lock.release()

    def _wait(self) -> None:
        with self._reporter.step(
            "Another process is getting the binaries of the control plane; waiting for it"
        ) as step:
            while not self._lock.is_locked:
                step.advance(0)
                try:
                    self._lock.acquire(timeout=_LOCK_POLL_SECONDS)
                except filelock.Timeout:
                    continue
