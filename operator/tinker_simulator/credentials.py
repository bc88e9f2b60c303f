"""Who asks: by an API key, or by the token that a key was exchanged for.

The middleware asks `owner_of` on every request; the routes under `auth/` exchange, describe and delete keys.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jwt

from tinker_simulator.answers import ApiError
from tinker_simulator.clock import Clock
from tinker_simulator.storage.keys import Keys, digest

ORGANIZATION = "simulator"

# The SDK reads an identity from a token given as a key only when it is issued under such a name.
_ISSUER = "passport-simulator"
_ALGORITHM = "HS256"
_TOKEN_PREFIX = "eyJ"  # noqa: S105 (how every token begins)


def urn_of(owner: str) -> str:
    """An owner's name as sessions and tokens carry it."""
    return f"tml:user:{owner}"


@dataclass(frozen=True, slots=True)
class KeyDescription:
    """What may be told of a key to its holder."""

    key_id: int
    name: str
    owner: str
    email: str


class Credentials:
    """Lets in, and turns away.

    Args:
        owners: Owner by API key.
        keys: What is remembered of keys.
        secret: What tokens are signed with.
        clock: The time that tokens live by.
        token_seconds: How long a token lives; None: there are none.
    """

    def __init__(
        self, owners: Mapping[str, str], keys: Keys, secret: str, clock: Clock, token_seconds: float | None
    ) -> None:
        self._owners = owners
        self._by_digest = {digest(key): owner for key, owner in owners.items()}
        self._keys = keys
        self._secret = secret
        self._clock = clock
        self._token_seconds = token_seconds

    @property
    def exchanges(self) -> bool:
        """Whether keys are exchanged for tokens."""
        return self._token_seconds is not None

    def owner_of(self, presented: str | None) -> str:
        """Who presents this.

        Raises:
            ApiError: 401, it is neither a key nor a token that lives; a client can tell the latter and exchange anew.
        """
        if presented is not None and self.exchanges and presented.startswith(_TOKEN_PREFIX):
            return self._by_digest[self._key_of(presented)]
        return self._key_owner(presented)

    def token(self, key: str | None) -> str:
        """A token for the holder of `key`.

        Raises:
            ApiError: 401, it is no key.
        """
        owner, now = self._key_owner(key), self._clock().timestamp()
        claims: dict[str, Any] = {
            "iss": _ISSUER,
            "sub": urn_of(owner),
            "org_id": ORGANIZATION,
            "email": _email(owner),
            "iat": now,
            "exp": now + (self._token_seconds or 0),
            "key": digest(key or ""),
        }
        return jwt.encode(claims, self._secret, algorithm=_ALGORITHM)

    def describe(self, key: str | None) -> KeyDescription:
        """What a key is.

        Raises:
            ApiError: 401, it is no key.
        """
        owner = self._key_owner(key)
        number = int(digest(key or "")[:12], 16)
        return KeyDescription(number, f"key-of-{owner}", owner, _email(owner))

    def delete(self, key: str | None) -> None:
        """Let a key in no more, nor any token that it was exchanged for.

        Raises:
            ApiError: 401, it is no key.
        """
        self._key_owner(key)
        self._keys.delete(key or "")

    def _key_owner(self, key: str | None) -> str:
        owner = None if key is None else self._owners.get(key)
        if key is None or owner is None or self._keys.is_deleted(digest(key)):
            raise ApiError(401, "Invalid API key. Send a valid one as X-API-Key.")
        return owner

    def _key_of(self, token: str) -> str:
        try:
            # The library would compare with the machine's clock; expiry goes by the simulator's own.
            claims = jwt.decode(
                token, self._secret, algorithms=[_ALGORITHM], options={"verify_exp": False, "verify_iat": False}
            )
        except jwt.InvalidTokenError as invalid:
            raise _invalid_token("was not issued here") from invalid
        key_digest = str(claims["key"])
        if float(claims["exp"]) <= self._clock().timestamp():
            raise _invalid_token("has expired")
        if key_digest not in self._by_digest or self._keys.is_deleted(key_digest):
            raise _invalid_token("belongs to a key that is gone")
        return key_digest


def _email(owner: str) -> str:
    return f"{owner}@simulator.example"


def _invalid_token(why: str) -> ApiError:
    return ApiError(
        401,
        f"The token {why}. Exchange an API key for a new one.",
        {"WWW-Authenticate": 'Bearer error="invalid_token"'},
    )
