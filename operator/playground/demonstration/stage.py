"""How the demonstration is told: chapters, lines with the time since the start, waits that show a sign of life.

On a terminal it has colours and a spinner; in a log or a pipe it is plain lines. `command` makes the one stage.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.status import Status
from rich.text import Text

from playground.demonstration.layout import folded, hanging
from playground.progress import Step, amount, duration

WIDTH = 100
_INDENT = 12
_GAP = 2
_FIRST_SECONDS = 2.0
_PLAIN_SECONDS = 5.0
_TICK = ("✓ ", "green")
_CROSS = ("✗ ", "bold red")


class Wait:
    """One wait, told on a stage. It is a `playground.progress.Step` as well, so that the control plane can use it."""

    def __init__(self, stage: Stage, title: str, unit: str, status: Status | None) -> None:
        self._stage, self._title, self._unit, self._status = stage, title, unit, status
        self._began = stage.elapsed
        self._next = self._began + _FIRST_SECONDS

    def advance(self, done: int, total: int | None = None) -> None:
        """Tell how far it is, in numbers."""
        self.tell(amount(done, total, self._unit))

    def tell(self, how_far: str) -> None:
        """Tell how far it is, in words; nothing when there is nothing to tell."""
        now = self._stage.elapsed
        line = " · ".join(filter(None, [self._title, how_far, duration(now - self._began)]))
        if self._status is not None:
            self._status.update(self._stage.spun(line))
        elif now >= self._next:
            self._next = now + _PLAIN_SECONDS
            self._stage.say(line)


class Stage:
    """Where it is told. It is a `playground.progress.Reporter` as well.

    Args:
        console: What to print on.
        monotonic: Clock in seconds; the start is when the stage is made.
    """

    def __init__(self, console: Console, monotonic: Callable[[], float]) -> None:
        self._console, self._monotonic, self._start = console, monotonic, monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return self._monotonic() - self._start

    def title(self, title: str, line: str) -> None:
        """Open the show."""
        self._print("", Text(title, style="bold"), line)

    def chapter(self, title: str) -> None:
        """Begin a part."""
        self._print("", Text(title, style="bold cyan"))

    def done(self, line: str) -> None:
        """Tell one thing that was done, with its time."""
        self._timed(_TICK, line)

    def say(self, line: str) -> None:
        """Tell one thing that is going on."""
        self._timed(("· ", "dim"), line, "dim")

    def spun(self, line: str) -> Text:
        """The line beside a spinner."""
        return Text.assemble((f"{self.elapsed:6.1f} s ", "dim"), line)

    @contextmanager
    def step(self, title: str, unit: str = "") -> Iterator[Step]:
        """Open a wait; leaving the context ends it."""
        with self.wait(title, unit) as wait:
            yield wait

    @contextmanager
    def wait(self, title: str, unit: str = "") -> Iterator[Wait]:
        """Open a wait: on a terminal a spinner that vanishes at its end, else a line now and then when it is long."""
        if not self._console.is_terminal:
            yield Wait(self, title, unit, None)
            return
        with self._console.status(self.spun(title), spinner="dots", spinner_style="cyan") as status:
            yield Wait(self, title, unit, status)

    def command(self, line: str) -> None:
        """Show a command that a person could type."""
        self._print("", Text.assemble(("$ ", "dim"), (line, "bold")))

    def caption(self, line: str) -> None:
        """Head what follows."""
        self._print("", Text(line, style="bold"))

    def output(self, text: str) -> None:
        """Show what a command printed; a table wider than the screen in blocks of whole columns."""
        self._print(*folded(text, self._console.width))

    def lines(self, text: str) -> None:
        """Show a text line by line, as it is."""
        self._print(*text.rstrip().splitlines())

    def table(self, rows: Sequence[tuple[str, ...]]) -> None:
        """Show rows, the first of them the head; the last column goes on below itself."""
        widths = [max(map(len, column)) + _GAP for column in zip(*(row[:-1] for row in rows), strict=True)]
        indent = sum(widths)
        for number, row in enumerate(rows):
            first, *more = hanging(row[-1], indent, self._console.width)
            front = "".join(cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=True))
            style = "" if number else "dim"
            self._print(Text(front + first, style=style), *(" " * indent + line for line in more))

    def check(self, claim: str, seen: str, *, held: bool) -> None:
        """Show one claim with its tick or cross, and what was seen."""
        self._print(Text.assemble("  ", _TICK if held else _CROSS, (claim, "" if held else "bold red")))
        for line in hanging(seen, 4, self._console.width):
            self._print(Text(f"    {line}", style="dim" if held else "red"))

    def end(self, line: str, *, held: bool) -> None:
        """Close the show."""
        self._print("", *(Text(it, style="bold green" if held else "bold red") for it in hanging(line, 0, WIDTH)))

    def _timed(self, mark: tuple[str, str], line: str, style: str = "") -> None:
        first, *more = hanging(line, _INDENT, self._console.width)
        self._print(Text.assemble((f"{self.elapsed:7.1f} s ", "dim"), mark, (first, style)))
        self._print(*(Text(" " * _INDENT + it, style=style) for it in more))

    def _print(self, *lines: str | Text) -> None:
        for line in lines:
            self._console.print(line, soft_wrap=True)


def stdout_stage(monotonic: Callable[[], float]) -> Stage:
    """The stage on stdout: as wide as the terminal up to what reads well, a fixed width in a log or a pipe."""
    width = min(Console(file=sys.stdout).width, WIDTH) if sys.stdout.isatty() else WIDTH
    # Run ids have colons and messages have brackets: neither is markup or the name of a picture.
    console = Console(file=sys.stdout, width=width, highlight=False, emoji=False, markup=False)
    return Stage(console, monotonic)
