"""All repositories over one database, as the rest of the simulator receives them."""

from datetime import timedelta
from pathlib import Path

from tinker_simulator.storage.checkpoints import Checkpoints
from tinker_simulator.storage.copies import Copies
from tinker_simulator.storage.database import Database
from tinker_simulator.storage.futures import Futures
from tinker_simulator.storage.keys import Keys
from tinker_simulator.storage.runs import Runs
from tinker_simulator.storage.samplers import Samplers
from tinker_simulator.storage.search import SessionSearch
from tinker_simulator.storage.sessions import Sessions

_AHEAD = "clock_ahead_seconds"


class Store:
    """The records of one simulator.

    Args:
        path: The SQLite file; made when it does not exist.
    """

    def __init__(self, path: Path) -> None:
        self.database = Database(path)
        self.sessions = Sessions(self.database)
        self.search = SessionSearch(self.database)
        self.keys = Keys(self.database)
        self.copies = Copies(self.database)
        self.runs = Runs(self.database)
        self.checkpoints = Checkpoints(self.database)
        self.futures = Futures(self.database)
        self.samplers = Samplers(self.database)

    def close(self) -> None:
        """Let go of the file."""
        self.database.close()

    def clock_ahead(self) -> timedelta:
        """How far an administrator has moved the clock."""
        row = self.database.one("SELECT value FROM meta WHERE key = ?", (_AHEAD,))
        return timedelta(seconds=float(row["value"])) if row else timedelta()

    def keep_clock_ahead(self, ahead: timedelta) -> None:
        """Remember how far the clock was moved."""
        self.database.insert("meta", {"key": _AHEAD, "value": str(ahead.total_seconds())}, replace=True)
