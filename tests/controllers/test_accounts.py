"""From a Secret to credentials: a table of what a user may have written there."""

import pytest
from pydantic import SecretStr

from tinker_operator.api.reasons import Reason
from tinker_operator.controllers.accounts import OWN_ACCOUNT, Account, Credentials, Keyring, connect, normal_url
from tinker_operator.core.world import Fault
from tinker_operator.engine.kube_errors import KubeUnavailable

pytestmark = pytest.mark.pure

ACCOUNT = Account("team", "tinker")
URL = "https://tinker.test/services/prod"


class Secrets:
    """Secrets of one namespace."""

    def __init__(self, entries: dict[str, str] | None = None, trouble: KubeUnavailable | None = None) -> None:
        self.entries = entries
        self.trouble = trouble

    async def get_secret(self, namespace: str, name: str) -> dict[str, str] | None:
        assert (namespace, name) == ACCOUNT
        if self.trouble is not None:
            raise self.trouble
        return self.entries


def keyring(secrets: Secrets, own: Credentials | None = None) -> Keyring:
    """Returns a keyring whose allow list holds one URL."""
    return Keyring(secrets, own, URL, frozenset({URL}))


FAULTS: dict[str, tuple[dict[str, str] | None, Reason]] = {
    "there is no such Secret": (None, Reason.SECRET_NOT_FOUND),
    "it has no key": ({"OTHER": "x"}, Reason.SECRET_INVALID),
    "its key is empty": ({"TINKER_API_KEY": "  "}, Reason.SECRET_INVALID),
    "its URL is elsewhere": (
        {"TINKER_API_KEY": "tml-a", "TINKER_BASE_URL": "http://10.0.0.1"},
        Reason.BASE_URL_NOT_ALLOWED,
    ),
    "its URL hides another host": (
        {"TINKER_API_KEY": "tml-a", "TINKER_BASE_URL": "https://tinker.test@evil.test/services/prod"},
        Reason.BASE_URL_NOT_ALLOWED,
    ),
    "its URL only begins like an allowed one": (
        {"TINKER_API_KEY": "tml-a", "TINKER_BASE_URL": URL + ".evil.test"},
        Reason.BASE_URL_NOT_ALLOWED,
    ),
    "its URL climbs": ({"TINKER_API_KEY": "tml-a", "TINKER_BASE_URL": URL + "/../x"}, Reason.BASE_URL_NOT_ALLOWED),
}


@pytest.mark.parametrize("name", FAULTS)
async def test_a_secret_that_cannot_be_used_says_what_is_wrong(name: str) -> None:
    """Each with its reason, none with the key."""
    entries, reason = FAULTS[name]
    found = await keyring(Secrets(entries)).credentials(ACCOUNT)

    assert isinstance(found, Fault)
    assert found.reason is reason
    assert found.needs_user
    assert "tml-a" not in found.message


GOOD: dict[str, tuple[dict[str, str], Credentials]] = {
    "only a key": ({"TINKER_API_KEY": "tml-a"}, Credentials(URL, SecretStr("tml-a"))),
    "a key with a newline": ({"TINKER_API_KEY": "tml-a\n"}, Credentials(URL, SecretStr("tml-a"))),
    "the URL in another spelling": (
        {"TINKER_API_KEY": "tml-a", "TINKER_BASE_URL": "HTTPS://Tinker.Test/services/prod/"},
        Credentials(URL, SecretStr("tml-a")),
    ),
    "with authorities": ({"TINKER_API_KEY": "tml-a", "ca.crt": "PEM"}, Credentials(URL, SecretStr("tml-a"), "PEM")),
}


@pytest.mark.parametrize("name", GOOD)
async def test_a_secret_becomes_credentials(name: str) -> None:
    """Equal Secrets become equal credentials, so that they share a connection."""
    entries, credentials = GOOD[name]

    assert await keyring(Secrets(entries)).credentials(ACCOUNT) == credentials


async def test_an_api_server_that_is_away_is_no_missing_secret() -> None:
    """It passes by itself."""
    found = await keyring(Secrets(trouble=KubeUnavailable("It is away.", "Wait."))).credentials(ACCOUNT)

    assert isinstance(found, Fault)
    assert found.reason is Reason.KUBERNETES_FAULT
    assert not found.needs_user


async def test_without_a_reference_the_operator_s_own_key_is_used() -> None:
    """And if there is none, the object says what is needed."""
    own = Credentials(URL, SecretStr("tml-own"))

    assert await keyring(Secrets(), own).credentials(OWN_ACCOUNT) == own
    missing = await keyring(Secrets()).credentials(OWN_ACCOUNT)
    assert isinstance(missing, Fault)
    assert missing.reason is Reason.NO_CREDENTIALS


def test_a_key_of_the_wrong_form_and_a_ca_that_is_none_are_told() -> None:
    """Before anything is sent, and without the key."""
    for credentials in (Credentials(URL, SecretStr("hunter2")), Credentials(URL, SecretStr("tml-a"), "no PEM")):
        found = connect(credentials, ACCOUNT)
        assert isinstance(found, Fault)
        assert found.reason is Reason.SECRET_INVALID
        assert "hunter2" not in found.message


def test_credentials_do_not_show_their_key() -> None:
    """Not in a log line, not in a traceback's locals."""
    assert "tml-a" not in repr(Credentials(URL, SecretStr("tml-a")))


@pytest.mark.parametrize("url", ["https://a.test", "https://a.test/", " https://A.test// ", "HTTPS://a.test"])
def test_one_url_has_one_form(url: str) -> None:
    """Case of the host and slashes at the end do not matter."""
    assert normal_url(url) == "https://a.test"
