"""What a script that drives the official SDK keeps: which methods it called, and all that the SDK complained of."""

import json
import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from tests.leaving import leave

DEPRECATION = "DEPRECATED: "


class Witness(logging.Handler):
    """Hears every log record of WARNING or above, by whomever, and notes every call that is made through it."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.called: set[str] = set()
        self.deprecated: list[str] = []
        self.complaints: list[str] = []
        self.saw: dict[str, Any] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """A method that is deprecated says so itself: that is its documented behaviour, and kept apart."""
        self._note(f"{record.name}: {record.getMessage()}", record.getMessage())

    def use(self, thing: Any, method: str, *args: Any, **fields: Any) -> Any:
        """Call a method of a client, or of the class of one, and note that it was."""
        owner = thing if isinstance(thing, type) else type(thing)
        self.called.add(f"{owner.__name__}.{method}")
        member = getattr(thing, method)
        return member(*args, **fields) if callable(member) else member

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Hear everything that is logged and warned of inside."""
        logging.getLogger().addHandler(self)
        for name in [*logging.root.manager.loggerDict]:
            logging.getLogger(name).propagate = True
        with warnings.catch_warnings(record=True) as raised:
            warnings.simplefilter("always")
            yield
        for warning in raised:
            # A RestClient has no way to be closed: that its sockets are left open is the SDK's own affair.
            if not issubclass(warning.category, ResourceWarning):
                self._note(f"{warning.category.__name__}: {warning.message}", str(warning.message))

    def tell(self) -> NoReturn:
        """Print all of it as one JSON document, and leave."""
        told = {"called": sorted(self.called), "deprecated": self.deprecated, "complaints": self.complaints}
        json.dump({**told, **self.saw}, sys.stdout)
        leave(0)

    def _note(self, line: str, message: str) -> None:
        if message.startswith(DEPRECATION):
            self.deprecated.append(message)
        else:
            self.complaints.append(line)
