"""A wrong setting is told what is wrong, and is not repeated where it may be secret."""

import pytest
from pydantic import SecretStr

from tinker_operator.tinker import settings
from tinker_operator.tinker.errors import CallNotPossible

pytestmark = pytest.mark.pure


@pytest.mark.parametrize(
    ("base_url", "origin"),
    [
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        (" https://h.test/a/b// ", "https://h.test/a/b"),
        ("HTTPS://H.test", "https://h.test"),
        ("http://[::1]:80/x/", "http://[::1]/x"),
    ],
)
def test_an_address_is_kept_without_its_trailing_slashes(base_url: str, origin: str) -> None:
    assert settings.checked_base_url(base_url) == origin


@pytest.mark.parametrize(
    "base_url",
    [
        "",
        "tinker.test",
        "ftp://tinker.test",
        "file:///etc/passwd",
        "http://",
        "https:///x",
        "http://h.test:port",
        "http://[::1",
        "https://h.test/\x00",
        "https://me:word@h.test",
        "https://h.test/?token=word",
        "https://h.test/#word",
        "javascript:word",
    ],
)
def test_a_wrong_address_is_refused_without_repeating_it(base_url: str) -> None:
    with pytest.raises(CallNotPossible) as refusal:
        settings.checked_base_url(base_url)
    assert "word" not in str(refusal.value)
    assert "TINKER_BASE_URL" in refusal.value.remedy


@pytest.mark.parametrize("key", ["tml-abc", "eyJhbGci.x.y", "  tml-abc\n"])
def test_a_key_is_taken_without_the_space_around_it(key: str) -> None:
    assert settings.checked_key(SecretStr(key)).get_secret_value() == key.strip()


@pytest.mark.parametrize("key", ["", " ", "sk-secret", "TML-secret", "tml-sec ret", "tml-secret\nx", "tml-secrét"])
def test_a_wrong_key_is_refused_without_repeating_it(key: str) -> None:
    with pytest.raises(CallNotPossible) as refusal:
        settings.checked_key(SecretStr(key))
    assert "sec" not in str(refusal.value).lower()
    assert "TINKER_API_KEY" in refusal.value.remedy


@pytest.mark.parametrize("pem", ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"])
def test_a_wrong_certificate_authority_is_refused(pem: str) -> None:
    with pytest.raises(CallNotPossible, match=r"ca\.crt"):
        settings.trusted(pem)
