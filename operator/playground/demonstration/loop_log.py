"""Reads what the training loop printed: one JSON object per line, and whatever else got into its log."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Event = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Told:
    """All that the loop said so far.

    Attributes:
        events: Its events, oldest first.
        noise: Lines that are none: complaints of the loop or warnings of the SDK.
    """

    events: tuple[Event, ...]
    noise: tuple[str, ...] = ()

    def all(self, name: str, **fields: object) -> tuple[Event, ...]:
        """Every event of this name with these fields."""
        return tuple(it for it in self.events if it["event"] == name and fields.items() <= it.items())

    def first(self, name: str, **fields: object) -> Event | None:
        """The first of them, if any."""
        return next(iter(self.all(name, **fields)), None)

    def of_run(self, run: str) -> Told:
        """What it said from the beginning of this run to its loss or the end."""
        begun = [place for place, it in enumerate(self.events) if it.get("run") == run and "fresh" in it]
        rest = self.events[begun[0] :] if begun else ()
        ends = [place for place, it in enumerate(rest) if it["event"] == "lost"]
        return Told(rest[: ends[0]] if ends else rest)

    def losses(self) -> dict[int, float]:
        """The loss of each step."""
        return {it["step"]: it["loss"] for it in self.all("step")}


def parse(text: str) -> Told:
    """Read a log; a last line that is not whole yet is left for the next time."""
    events: list[Event] = []
    noise: list[str] = []
    for line in text.splitlines(keepends=True):
        if line.endswith("\n"):
            found = _event(line)
            noise.append(line.rstrip()) if found is None else events.append(found)
    return Told(tuple(events), tuple(noise))


def read(log: Path) -> Told:
    """Read a log file."""
    return parse(log.read_text(encoding="utf-8", errors="replace"))


def _event(line: str) -> Event | None:
    try:
        found = json.loads(line)
    except json.JSONDecodeError:
        return None
    return found if isinstance(found, dict) and "event" in found else None
