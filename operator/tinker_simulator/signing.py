"""Links that open one file for a while, to whoever has them, without a key."""

import hashlib
import hmac
from datetime import datetime, timedelta
from urllib.parse import quote

from tinker_simulator.answers import ApiError
from tinker_simulator.clock import Clock

SIGNED_PREFIX = "/signed/"


class Links:
    """Makes and checks signed links; a restart does not break them.

    Args:
        secret: What they are signed with.
        clock: The time that they expire by.
    """

    def __init__(self, secret: str, clock: Clock) -> None:
        self._secret = secret.encode()
        self._clock = clock

    def until(self, lifetime: timedelta) -> datetime:
        """When a link made now ends, to the second: that is how precisely a link says it."""
        return (self._clock() + lifetime).replace(microsecond=0)

    def link(self, name: str, expires: datetime) -> str:
        """Path and query that open the file `name` until `expires`."""
        seconds = int(expires.timestamp())
        return f"{SIGNED_PREFIX}{quote(name)}?expires={seconds}&signature={self._signature(name, str(seconds))}"

    def check(self, name: str, expires: str, signature: str) -> None:
        """Refuse what was not signed here, or has ended.

        Raises:
            ApiError: 403, it was not, or has.
        """
        if not hmac.compare_digest(self._signature(name, expires).encode(), signature.encode()):
            raise ApiError(403, "The signature does not match. Ask for a new link.")
        if int(expires) <= self._clock().timestamp():
            raise ApiError(403, "The link has expired. Ask for a new one.")

    def _signature(self, name: str, expires: str) -> str:
        return hmac.new(self._secret, f"{expires}\n{name}".encode(), hashlib.sha256).hexdigest()
