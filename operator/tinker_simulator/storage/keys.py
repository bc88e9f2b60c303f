"""API keys that were deleted by their holders, and the secret that tokens and links are signed with.

A key is known by its digest alone: the state file never holds one.
"""

import hashlib

from tinker_simulator.storage.database import Database

_SECRET_ROW = "signing_secret"  # noqa: S105 (where it is, not what it is)


class Keys:
    """What must be remembered of keys."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def delete(self, key: str) -> None:
        """Let a key in no more, whatever the simulator is started with."""
        self._database.insert("deleted_keys", {"digest": digest(key)}, replace=True)

    def is_deleted(self, key_digest: str) -> bool:
        """Whether the key of that digest was deleted."""
        return self._database.one("SELECT 1 FROM deleted_keys WHERE digest = ?", (key_digest,)) is not None

    def secret(self, fresh: str) -> str:
        """The secret of this state folder; `fresh` becomes it when there is none yet."""
        self._database.run("INSERT OR IGNORE INTO meta (key, value) VALUES (?, ?)", (_SECRET_ROW, fresh))
        row = self._database.one("SELECT value FROM meta WHERE key = ?", (_SECRET_ROW,))
        return fresh if row is None else str(row["value"])


def digest(key: str) -> str:
    """What a key is known by."""
    return hashlib.sha256(key.encode()).hexdigest()
