"""What kopf remembers of an object between its events: nothing, since its one handler is for events as they come.

With storages of its own kopf copies every object three times for each event and compares the copies, and that is most
of what an event costs; `KopfSource` gives it these.
"""

from typing import Any

import kopf


class NoDiffBase(kopf.DiffBaseStorage):
    """Says of every object that it was never handled and has nothing that could differ."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        """The object without anything."""
        return kopf.BodyEssence({})

    def fetch(self, **_: Any) -> kopf.BodyEssence | None:
        """No earlier state."""
        return None

    def store(self, **_: Any) -> None:
        """Writes nothing to the object."""


class NoProgress(kopf.ProgressStorage):
    """Says of every handler that it never began."""

    def fetch(self, **_: Any) -> kopf.ProgressRecord | None:
        """No progress."""
        return None

    def store(self, **_: Any) -> None:
        """Writes nothing to the object."""

    def purge(self, **_: Any) -> None:
        """There is nothing to be removed."""

    def touch(self, **_: Any) -> None:
        """Writes nothing to the object."""

    def clear(self, *, essence: kopf.BodyEssence) -> kopf.BodyEssence:
        """The same, uncopied: nothing of ours is in it."""
        return essence
