"""What may be shown of a text that came from outside; every error message passes through here.

Services echo keys in their refusals ("invalid key tml-…") and signed URLs in their answers. Messages end in logs and
in conditions that anybody in the namespace reads, so both are taken out before an error exists.
"""

import re
from collections import deque
from typing import Final
from urllib.parse import quote

from pydantic import SecretStr

HIDDEN: Final = "[hidden]"
LONGEST: Final = 300
_MOST_SECRETS: Final = 16
"""Of the tokens that come and go, so many of the latest are remembered."""
_LOOKS_LIKE_A_KEY: Final = re.compile(r"(?:tml-|eyJ)[\w.~+/=-]*")
_URL_WITH_QUERY: Final = re.compile(r"(\w+://[^\s?#\"'<>]+)[?#][^\s\"'<>]*")
_SIGNED_PATH: Final = re.compile(r"(?<=[\w/])\?[\w.~%-]+=[^\s\"'<>]*")
"""The query of an address that is told without its host, as stores do."""
_USER_IN_URL: Final = re.compile(r"(\w+://)[^\s/@\"'<>]+@")


class Redaction:
    """Cleans texts of one connection.

    Args:
        key: The connection's key: hidden wherever it appears, also when it is percent-encoded.
    """

    def __init__(self, key: SecretStr) -> None:
        self._key = key
        self._others: deque[SecretStr] = deque(maxlen=_MOST_SECRETS)

    def hide(self, secret: SecretStr) -> None:
        """Hide another secret from now on: a token that stands for the key, or one that a caller gave."""
        if secret.get_secret_value() and secret not in self._others:
            self._others.append(secret)

    def clean(self, text: str) -> str:
        """Give one bounded line without a key, a URL's query or a URL's user."""
        for secret in (self._key, *self._others):
            text = _without(text, secret)
        text = _LOOKS_LIKE_A_KEY.sub(HIDDEN, text)
        text = _USER_IN_URL.sub(r"\1", _URL_WITH_QUERY.sub(r"\1", text))
        text = _SIGNED_PATH.sub("", text)
        line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
        return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"


def _without(text: str, secret: SecretStr) -> str:
    """Take a secret out, as it is and as a URL holds it."""
    for form in (secret.get_secret_value(), quote(secret.get_secret_value(), safe="")):
        text = text.replace(form, HIDDEN)
    return text
