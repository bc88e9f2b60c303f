"""Tells the person who waits what is being waited for: bars on a terminal, a line now and then in a log.

Downloads, builds and waits call it; the commands choose the form. Everything goes to stderr, stdout is for answers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

_LINE_EVERY_SECONDS = 10.0
_MEGABYTE = 1_000_000
BYTES = "MB"


class Step(Protocol):
    """One thing that takes time."""

    def advance(self, done: int, total: int | None = None) -> None:
        """Tell how far it is; calling it again with the same numbers is a sign of life.

        Args:
            done: How much is done, in the step's unit (bytes for `BYTES`).
            total: How much there is; None while unknown.
        """


class Reporter(Protocol):
    """Where progress is told."""

    def say(self, line: str) -> None:
        """Tell one thing that has happened."""

    def step(self, title: str, unit: str = "") -> AbstractContextManager[Step]:
        """Open a step; leaving the context ends it."""


class Silence:
    """Tells nobody; for who does not want to know."""

    def say(self, line: str) -> None:
        """Swallow the line."""

    @contextmanager
    def step(self, title: str, unit: str = "") -> Iterator[Step]:  # noqa: ARG002 -- the protocol's arguments
        """Open a step that tells nothing."""
        yield self

    def advance(self, done: int, total: int | None = None) -> None:
        """Swallow the progress."""


def amount(done: int, total: int | None, unit: str) -> str:
    """Say `12 of 60 MB`, `3 of 9 packages`, or nothing for a step that only waits."""
    if not unit:
        return ""
    scale = _MEGABYTE if unit == BYTES else 1
    of = "" if total is None else f" of {total // scale}"
    return f"{done // scale}{of} {unit}"


def duration(seconds: float) -> str:
    """Say `7 s` or `2 min 05 s`."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


class PlainStep:
    """A step that prints a line at most every ten seconds."""

    def __init__(self, title: str, unit: str, say: Callable[[str], None], monotonic: Callable[[], float]) -> None:
        self._title, self._unit, self._say, self._monotonic = title, unit, say, monotonic
        self._began = self._told = monotonic()

    def advance(self, done: int, total: int | None = None) -> None:
        """Print a line when the last one is ten seconds old."""
        now = self._monotonic()
        if now - self._told >= _LINE_EVERY_SECONDS:
            self._told = now
            how_far = ", ".join(filter(None, [amount(done, total, self._unit), duration(now - self._began)]))
            self._say(f"{self._title}: {how_far}")


class PlainReporter:
    """Lines, for a log or a pipe."""

    def __init__(self, stream: TextIO, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._stream, self._monotonic = stream, monotonic

    def say(self, line: str) -> None:
        """Print the line at once."""
        print(line, file=self._stream, flush=True)

    @contextmanager
    def step(self, title: str, unit: str = "") -> Iterator[Step]:
        """Print the title at once, then a line every ten seconds in which the step advances."""
        self.say(f"{title} ...")
        yield PlainStep(title, unit, self.say, self._monotonic)


class BarStep:
    """A step that is one bar on the terminal."""

    def __init__(self, bars: Progress, title: str, unit: str) -> None:
        self._bars, self._unit = bars, unit
        self._task = bars.add_task(title, total=None, amount="")

    def advance(self, done: int, total: int | None = None) -> None:
        """Redraw the bar."""
        self._bars.update(self._task, completed=done, total=total, amount=amount(done, total, self._unit))


class BarReporter:
    """Bars, for a terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def say(self, line: str) -> None:
        """Print the line, without markup: brackets in it are its own."""
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    @contextmanager
    def step(self, title: str, unit: str = "") -> Iterator[Step]:
        """Show a spinner, the title, a bar, how far it is and the time; all of it vanishes at the end."""
        columns = SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(bar_width=24)
        text = TextColumn("{task.fields[amount]}", markup=False)
        with Progress(*columns, text, TimeElapsedColumn(), console=self._console, transient=True) as bars:
            yield BarStep(bars, title, unit)


def reporter(stream: TextIO) -> Reporter:
    """Bars when the stream is a terminal, lines when it is not."""
    return BarReporter(Console(file=stream)) if stream.isatty() else PlainReporter(stream)
