"""Short-lived tokens in place of the key, for services that want the key exchanged.

The transport asks before every attempt. As long as nobody wants tokens that costs nothing; afterwards a token is used
for about half its life, counted from its arrival on our own clock, so that clocks that disagree do no harm. It is
renewed by the call that finds it old: no task runs in between.
"""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final

from pydantic import SecretStr

from tinker_operator.tinker.errors import Forbidden, TinkerError, Unauthorized
from tinker_operator.tinker.faults import Answer
from tinker_operator.tinker.retry import Timekeeper

UNKNOWN_LIFE: Final = 120.0
"""Seconds that a token is taken to live when it does not say."""
_HALF: Final = (0.45, 0.55)


class Tokens:
    """The tokens of one key.

    Args:
        exchange: Exchanges the key for a new token.
        keeper: Time and chance.
        wanted: Whether tokens are used from the first call on.
    """

    def __init__(self, exchange: Callable[[], Awaitable[SecretStr]], keeper: Timekeeper, *, wanted: bool) -> None:
        self.wanted = wanted
        self._exchange = exchange
        self._keeper = keeper
        self._lock = asyncio.Lock()
        self._token: SecretStr | None = None
        self._old_at = 0.0
        self._ends_at = 0.0

    async def current(self) -> SecretStr | None:
        """Give the token to send; None says to send the key.

        Raises:
            TinkerError: The exchange failed and no token is left that still lives.
        """
        if not self.wanted:
            return None
        async with self._lock:
            if self._token is not None and self._keeper.monotonic() < self._old_at:
                return self._token
            try:
                return await self._renewed()
            except TinkerError as error:
                if self._token is None or not self._outlives(error):
                    raise
                return self._token

    async def instead_of(self, refused: SecretStr) -> SecretStr:
        """Give another token than one that the service refused; of many calls that were refused only one exchanges.

        Raises:
            TinkerError: The exchange failed.
        """
        async with self._lock:
            if self._token is not None and self._token != refused:
                return self._token
            return await self._renewed()

    def _outlives(self, error: TinkerError) -> bool:
        """Say whether the old token still serves: not when the service refuses the key itself."""
        return self._keeper.monotonic() < self._ends_at and not isinstance(error, Unauthorized | Forbidden)

    async def _renewed(self) -> SecretStr:
        token = await self._exchange()
        now, life = self._keeper.monotonic(), _life(token)
        self._token, self._ends_at = token, now + life
        self._old_at = now + life * self._keeper.uniform(*_HALF)
        return token


def refuses_the_token(answer: Answer) -> bool:
    """Say whether an answer refuses the token itself, and not what its owner may do."""
    challenge = answer.headers.get("www-authenticate", "")
    return answer.status == HTTPStatus.UNAUTHORIZED and 'error="invalid_token"' in challenge


def sendable(token: SecretStr) -> bool:
    """Say whether a token can be a header's value; judged in a frame that raises nothing and so shows nothing."""
    text = token.get_secret_value()
    return text.isascii() and text.isprintable() and " " not in text


def _life(token: SecretStr) -> float:
    """Read how many seconds lie between a token's making and its end. Its signature is the service's affair."""
    try:
        payload = token.get_secret_value().split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        life = float(claims["exp"]) - float(claims["iat"])
    except (ValueError, KeyError, IndexError, TypeError):
        return UNKNOWN_LIFE
    return life if life > 0 else UNKNOWN_LIFE
