"""How runs are read from the pages of listings, and which pages need not be read again.

Of ten thousand runs few are asked for anything within a minute: most pages come again as they were, byte for byte.
"""

from collections.abc import Callable
from hashlib import blake2b
from typing import Final, Generic, TypeVar

from tinker_operator.tinker.faults import Answer
from tinker_operator.tinker.listing import Page
from tinker_operator.tinker.models import Cursor, TrainingRun, TrainingRunPage

T = TypeVar("T")
PAGE_LIMIT: Final = 100


class RunReading(Generic[T]):
    """Reads runs in a form of one's own; of a page that the listing before had, too, it gives the very same rows.

    Args:
        read: Makes the form, by nothing but the run.
        identity: Finds the run's id in it.
    """

    def __init__(self, read: Callable[[TrainingRun], T], identity: Callable[[T], str]) -> None:
        self.identity: Final = identity
        self._read = read
        self._before: dict[bytes, Page[T]] = {}
        self._newest: dict[bytes, Page[T]] = {}

    def begin(self) -> None:
        """A listing begins: what was read in the one before it is kept for this one, and no longer."""
        self._before, self._newest = self._newest, {}

    def page(self, answer: Answer, parsed: Callable[[Answer], TrainingRunPage]) -> Page[T]:
        """Give a page of the listing.

        Args:
            answer: What it came in; not its body, which may echo a key and must be in no frame of an error.
            parsed: Parses an answer; is called only when it is another one than those that are kept.
        """
        digest = blake2b(answer.body).digest()
        page = self._newest.get(digest) or self._before.get(digest) or self._page_of(parsed(answer))
        self._newest[digest] = page
        return page

    def _page_of(self, found: TrainingRunPage) -> Page[T]:
        return page_of(tuple(map(self._read, found.training_runs)), found.cursor)


def page_of(rows: tuple[T, ...], cursor: Cursor | None) -> Page[T]:
    """Take a page as full when it holds what was asked for, or what the service says that a page holds.

    Args:
        rows: What it holds.
        cursor: What the service says of its place.
    """
    total, theirs = (cursor.total_count, cursor.limit) if cursor else (None, None)
    return Page(rows, total or None, full=len(rows) in {PAGE_LIMIT, theirs})
