"""Whose key is used for what: Secrets become connections, and equal keys share one.

A Secret is read again at every poll, so a key that is rotated, appears late or goes away is noticed without a
restart, and without the right to list or watch Secrets.
"""

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol
from urllib.parse import urlsplit

from pydantic import SecretStr

from tinker_operator.api.reasons import Reason
from tinker_operator.controllers.translate import kube_fault
from tinker_operator.core.world import Fault
from tinker_operator.engine.kube_errors import KubeError
from tinker_operator.tinker import RetryPolicy, TinkerClient
from tinker_operator.tinker.budget import Spending
from tinker_operator.tinker.errors import CallNotPossible
from tinker_operator.tinker.exchange import CallWatch, unwatched
from tinker_operator.tinker.leaving import Leave, always

BRIEF = RetryPolicy(initial_seconds=0.2, max_seconds=1.0, total_seconds=10.0, max_attempts=3)
"""Retries within one call: few, because the next poll and the work queue's back-off are the real ones, and visible."""
KEY_ENTRY = "TINKER_API_KEY"
URL_ENTRY = "TINKER_BASE_URL"
CA_ENTRY = "ca.crt"


class Account(NamedTuple):
    """Where a key is declared: a Secret, or the operator's own settings when the name is empty."""

    namespace: str
    secret: str


OWN_ACCOUNT = Account("", "")
"""The operator's own key, for objects without credentialsRef."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a connection is made from; equal credentials share one connection.

    Attributes:
        base_url: Base URL of the service.
        api_key: Key; hidden in every representation.
        ca_pem: Certificate authorities to trust instead of the usual ones.
    """

    base_url: str
    api_key: SecretStr = field(repr=False)
    ca_pem: str | None = field(default=None, repr=False)


class SecretReader(Protocol):
    """Reads the decoded entries of a Secret; None when it does not exist."""

    async def get_secret(self, namespace: str, name: str) -> dict[str, str] | None:
        """Returns the entries.

        Raises:
            KubeError: The API server refused or did not answer.
        """
        ...


@dataclass(frozen=True, slots=True)
class Keyring:
    """The rules by which an account becomes credentials.

    Attributes:
        secrets: Where Secrets are read.
        own: The operator's own credentials; None when it was given no key.
        default_url: Base URL for Secrets that name none.
        allowed_urls: Base URLs that a Secret may name. A tenant that could name any URL could send the operator's
            requests anywhere inside the cluster's network.
    """

    secrets: SecretReader
    own: Credentials | None
    default_url: str
    allowed_urls: frozenset[str]

    async def credentials(self, account: Account) -> Credentials | Fault:
        """Returns the account's credentials as they are now, or what is wrong with them."""
        if account == OWN_ACCOUNT:
            return self.own or Fault(Reason.NO_CREDENTIALS, _NO_KEY, needs_user=True)
        try:
            entries = await self.secrets.get_secret(account.namespace, account.secret)
        except KubeError as error:
            return kube_fault(error)
        if entries is None:
            message = f"Secret {account.secret} does not exist. Create it with the entry {KEY_ENTRY}."
            return Fault(Reason.SECRET_NOT_FOUND, message, needs_user=True)
        return self._from_entries(account, entries)

    def _from_entries(self, account: Account, entries: dict[str, str]) -> Credentials | Fault:
        key = entries.get(KEY_ENTRY, "").strip()
        if not key:
            message = f"Secret {account.secret} has no entry {KEY_ENTRY}. Add it: the API key, tml-…."
            return Fault(Reason.SECRET_INVALID, message, needs_user=True)
        url = normal_url(entries.get(URL_ENTRY, "").strip() or self.default_url)
        if url not in self.allowed_urls:
            message = (
                f"{URL_ENTRY} of Secret {account.secret} is not on the operator's allow list. "
                "Ask the operator's administrator to add it (--allow-base-url), or remove the entry."
            )
            return Fault(Reason.BASE_URL_NOT_ALLOWED, message, needs_user=True)
        return Credentials(url, SecretStr(key), entries.get(CA_ENTRY) or None)


_NO_KEY = (
    "The TrainingRun has no credentialsRef and the operator has no key of its own. "
    f"Add spec.credentialsRef.name: a Secret with the entry {KEY_ENTRY}."
)


def normal_url(url: str) -> str:
    """Returns the URL in the form that is compared: scheme and host in lower case, no slash at the end.

    What does not parse as a URL becomes empty, which no allow list holds.
    """
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        return ""
    return f"{parts.scheme.lower()}://{parts.netloc.lower()}{parts.path.rstrip('/')}"


def connect(
    credentials: Credentials,
    account: Account,
    budget: Spending | None = None,
    leave: Leave = always,
    watch: CallWatch = unwatched,
) -> TinkerClient | Fault:
    """Returns a client for these credentials, or what keeps them from being usable.

    Args:
        credentials: Key and address.
        account: Whose they are.
        budget: What its calls spend from.
        leave: Asked before each call that is more than a look.
        watch: Sees each request and what came of it.
    """
    url, key, ca_pem = credentials.base_url, credentials.api_key, credentials.ca_pem
    try:
        return TinkerClient(url, key, ca_pem=ca_pem, retry=BRIEF, budget=budget, leave=leave, watch=watch)
    except CallNotPossible as error:
        where = f"Secret {account.secret}" if account.secret else "The operator's own settings"
        return Fault(Reason.SECRET_INVALID, f"{where}: {error}", needs_user=True)
