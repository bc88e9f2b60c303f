"""What can go wrong between us and the API server.

```
KubeError                  has .message, .remedy, .transient
├── KubeUnavailable        no answer, or "not now" (429, 5xx)          transient; .retry_after
│   └── ListingExpired     a page of a listing came too late (410)     transient
├── KubeUnauthorized       the credentials were refused (401)          transient: tokens are re-read
├── WriteConflict          the object changed since it was read (409)  transient: read again
├── ObjectGone             the object, or its namespace, is gone (404)
├── ResourceMissing        the API server does not know the kind (404)
├── KubeForbidden          RBAC or an admission rule refuses it (403)
├── KubeRejected           the API server refuses the content (400, 422 and the rest)
└── CredentialsInvalid     no usable kubeconfig or service account
```

Text of the API server is quoted, cut short; bodies that we sent never are.
"""

import re
from dataclasses import dataclass
from typing import Any, ClassVar

LONGEST_QUOTE = 300


class KubeError(Exception):
    """Something went wrong with the API server.

    Args:
        message: One sentence that says what happened.
        remedy: One sentence that says what to do about it.
    """

    transient: ClassVar[bool] = False
    """Trying again later can help without anybody changing anything."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message, remedy)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}"


class KubeUnavailable(KubeError):
    """The API server did not answer, or asked to come back later.

    Attributes:
        retry_after: Seconds it asked to wait; 0 when it did not say.
    """

    transient = True

    def __init__(self, message: str, remedy: str, *, retry_after: float = 0.0) -> None:
        super().__init__(message, remedy)
        self.retry_after = retry_after


class ListingExpired(KubeUnavailable):
    """The API server has forgotten the state that a paged listing was reading: start it again."""


class KubeUnauthorized(KubeError):
    """The API server does not accept the credentials."""

    transient = True


class WriteConflict(KubeError):
    """The object was changed since it was read, or exists already: read it again, then decide again."""

    transient = True


class ObjectGone(KubeError):
    """The object does not exist, or it is in a namespace that is being deleted."""


class ResourceMissing(KubeError):
    """The API server serves no such kind."""


class KubeForbidden(KubeError):
    """The API server knows who asks and does not allow it."""


class KubeRejected(KubeError):
    """The API server does not accept what it was sent: the same request will never succeed."""


class CredentialsInvalid(KubeError):
    """There is no kubeconfig or service account that can be used."""


@dataclass(frozen=True, slots=True)
class Access:
    """What a request needs leave for, in the words of RBAC.

    Attributes:
        verb: Such as `get`, `list`, `patch`.
        group: API group; empty for the core group.
        resource: Plural, with the subresource if there is one: `trainingruns/status`.
        namespace: None for all namespaces.
        name: None for a collection.
    """

    verb: str
    group: str
    resource: str
    namespace: str | None = None
    name: str | None = None

    def __str__(self) -> str:
        name = f" {self.name!r}" if self.name else ""
        return f"{self.verb} {self.resource}{name} {self._where}"

    def grant(self, verb: str) -> str:
        """The sentence that says which RBAC rule is missing.

        Args:
            verb: The verb that the API server refused: an apply that creates also needs `create`.
        """
        role = "Role" if self.namespace else "ClusterRole"
        group = f"API group '{self.group}'" if self.group else "the core API group"
        right = f"the verb '{verb}' on '{self.resource}' of {group}"
        return f"Grant {right} to the operator's account by a {role} {self._where}."

    @property
    def _where(self) -> str:
        return f"in namespace {self.namespace!r}" if self.namespace else "in all namespaces"


def error_of(access: Access, status: int, answer: Any, retry_after: float = 0.0) -> KubeError:
    """The error that an answer other than success stands for.

    Args:
        access: What was asked for.
        status: HTTP status.
        answer: The body: a Kubernetes `Status` object if the API server wrote it; anything else if a proxy did.
        retry_after: Seconds, from the header of that name.
    """
    verdict = answer if isinstance(answer, dict) and answer.get("kind") == "Status" else {}
    details = verdict.get("details") or {}
    said = str(verdict.get("message") or f"HTTP {status}")[:LONGEST_QUOTE]
    told = f"The API server refused to {access}: {said.rstrip('.')}."
    if _namespace_is_ending(details):
        return ObjectGone(told, "Nothing is to be done: the namespace is being deleted.")
    match status:
        case 401:
            return KubeUnauthorized(told, "Check that the kubeconfig or the service account token is still valid.")
        case 403:
            return KubeForbidden(told, _remedy_of_forbidden(access, said))
        case 404 if "name" in details:
            return ObjectGone(
                told, "Nothing is to be done if it was deleted; create it again if it was not meant to be."
            )
        case 404:
            return ResourceMissing(told, "Install the custom resource definitions of this version of the operator.")
        case 409:
            return WriteConflict(told, "It is read again and tried again.")
        case 410:
            return ListingExpired(told, "The listing is started again.")
        case 429 | 500 | 502 | 503 | 504:
            return KubeUnavailable(
                told, "It is tried again; look at the API server if it lasts.", retry_after=retry_after
            )
    return KubeRejected(told, "Check that the custom resource definitions are of this version of the operator.")


def unreachable(access: Access, fault: BaseException) -> KubeUnavailable:
    """The error of a request that got no answer at all.

    Args:
        access: What was asked for.
        fault: What the transport raised.
    """
    what = str(fault)[:LONGEST_QUOTE] or type(fault).__name__
    return KubeUnavailable(
        f"The API server did not answer the request to {access}: {what.rstrip('.')}.",
        "It is tried again; check the address in the kubeconfig and the network if it lasts.",
    )


def _namespace_is_ending(details: dict[str, Any]) -> bool:
    return any(cause.get("reason") == "NamespaceTerminating" for cause in details.get("causes") or ())


def _remedy_of_forbidden(access: Access, said: str) -> str:
    # RBAC's own sentence is `User "u" cannot patch resource "r"`; quotas and admission plugins speak otherwise.
    refused = re.search(r" cannot (\w+) resource ", said)
    if refused:
        return access.grant(refused[1])
    return "An admission rule or a quota of the cluster refuses it: change the rule, or what the rule objects to."
