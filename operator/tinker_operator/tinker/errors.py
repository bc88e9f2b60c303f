"""Everything that can go wrong between us and the Tinker service, one class per cause.

The controllers turn these into conditions (`reason`, `str(error)`), the retry law asks `transient`; nobody reads a
message to decide.

    TinkerError
    ├── CallNotPossible            a local argument or setting refuses the call; nothing was sent
    │   └── InvalidTinkerPath      a text that is no tinker:// path
    ├── NoAnswer                   no whole answer arrived
    │   ├── ServiceUnreachable     no connection, or it broke before an answer        transient
    │   │   └── ClientClosed       the client was left; nothing was sent, none repeats it transient
    │   ├── ServiceTimeout         no answer within our time                          transient
    │   ├── HeldBack               our own budget of calls did not let it out         transient
    │   └── TlsFault               the certificate or the handshake was refused
    ├── StatusError                the service answered with an error status
    │   ├── BadRequest             400
    │   ├── Unauthorized           401
    │   ├── BillingRequired        402
    │   ├── Forbidden              403
    │   ├── NotFound               404 that speaks of a resource
    │   ├── RouteMissing           404 that speaks of nothing, 405: the service lacks the call
    │   ├── RequestTimeout         408                                                transient
    │   ├── Conflict               409, never repeated
    │   ├── Gone                   410
    │   ├── Unprocessable          422
    │   ├── RateLimited            429                                                transient
    │   ├── ServerFault            500 and above                                      transient
    │   └── UnexpectedStatus       any other that is not 2xx, redirects among them
    ├── UntrustedAnswer            an answer that must not be acted upon
    │   ├── InvalidResponse        garbage, half a body, wrong types                  transient
    │   └── IncompleteListing      pages that do not add up                           transient
    ├── FutureFailed               the service worked on it and failed
    └── FuturePending              our patience ended; the service still works on it  transient

`NotFound` and `RouteMissing` are siblings on purpose: "this service has no such call" must never be caught as "this
run does not exist".
"""

from enum import StrEnum
from typing import ClassVar


class FutureCategory(StrEnum):
    """Whose fault a failed future is, in the service's own words."""

    USER = "user"
    SERVER = "server"
    UNKNOWN = "unknown"


class TinkerError(Exception):
    """Root of the tree. `str(error)` says what happened, then what to do; it never holds a key or a URL's query.

    Args:
        message: One sentence: what happened.
        remedy: One sentence: what to do about it. Left out, the class's own remedy stands.
    """

    transient: ClassVar[bool] = False
    """True when the same call may succeed later although nobody changes anything."""
    reason: ClassVar[str] = "TinkerError"
    """The class's name: the cause as a CamelCase word, fit for the reason of a Kubernetes condition."""
    usual_remedy: ClassVar[str] = "See the log of the Tinker service."

    def __init_subclass__(cls, *, transient: bool = False, remedy: str | None = None) -> None:
        super().__init_subclass__()
        cls.reason, cls.transient, cls.usual_remedy = cls.__name__, transient, remedy or cls.usual_remedy

    def __init__(self, message: str, remedy: str | None = None) -> None:
        self.message = message
        self.remedy = remedy or self.usual_remedy
        super().__init__(message, self.remedy)

    def __str__(self) -> str:
        return f"{self.message.rstrip('. ')}. {self.remedy}"


class CallNotPossible(TinkerError, ValueError, remedy="Correct the argument and call again."):
    """A local argument or setting refuses the call; nothing was sent."""


class InvalidTinkerPath(CallNotPossible, remedy="Write tinker://<training run>/weights/<name>."):
    """A text that should be a `tinker://` path and is none."""


class NoAnswer(TinkerError):
    """No whole answer arrived."""


class ServiceUnreachable(NoAnswer, transient=True, remedy="Check the base URL, DNS and the network policy."):
    """No connection could be made, or it broke before an answer came."""


class ClientClosed(ServiceUnreachable, transient=True, remedy="Call it on a client that is not closed."):
    """The client was closed before the call, or while it went on; the same call can succeed on another client.

    Transient for whoever makes a new client; the closed one never repeats anything.
    """


class ServiceTimeout(NoAnswer, transient=True, remedy="Check the network and the health of the service."):
    """No answer came within our time."""


class HeldBack(NoAnswer, transient=True, remedy="Wait; calls go on as soon as the service answers again."):
    """Nothing was sent: the service failed at many calls in a row, or asked for a pause that outlasts this call.

    `because` is the reason of the error that the connection met, `next_try` the seconds until a call may go out again.
    """

    def __init__(
        self, message: str, remedy: str | None = None, *, because: str = "ServiceUnreachable", next_try: float = 0.0
    ) -> None:
        super().__init__(message, remedy)
        self.because = because
        self.next_try = next_try


class TlsFault(NoAnswer, remedy="Give the service's certificate authority (ca.crt), or correct the base URL."):
    """The service's certificate or the TLS handshake was refused."""


class StatusError(TinkerError):
    """The service answered with an error status.

    Args:
        message: See TinkerError.
        remedy: See TinkerError.
        status: The HTTP status; None when the error was not made from an answer.
        retry_after: Seconds the service asks us to wait; None when it did not say.
        should_retry: What the service said in `x-should-retry`; None when it did not say.
        said: The service's own words, cleaned; empty when it said nothing.
    """

    def __init__(
        self,
        message: str,
        remedy: str | None = None,
        *,
        status: int | None = None,
        retry_after: float | None = None,
        should_retry: bool | None = None,
        said: str = "",
    ) -> None:
        super().__init__(message, remedy)
        self.said = said
        self.status = status
        self.retry_after = retry_after
        self.should_retry = should_retry


class BadRequest(StatusError, remedy="Correct what the service names; the same call will be refused again."):
    """400: the service refuses the arguments."""


class Unauthorized(StatusError, remedy="Give a valid API key (TINKER_API_KEY) for this service."):
    """401: the key is not accepted."""


class BillingRequired(StatusError, remedy="Settle the billing of the account that the API key belongs to."):
    """402: the account cannot pay for the call."""


class Forbidden(StatusError, remedy="Use an API key whose owner may see and change this resource."):
    """403: the key is accepted but may not do this."""


class NotFound(StatusError, remedy="Check the id, and that the API key belongs to its owner."):
    """404 that speaks of a resource: the service has the call, but not the thing."""


class RouteMissing(StatusError, remedy="Check the base URL's path; if it is right, the service lacks this call."):
    """404 that speaks of no resource, or 405: this service lacks the call. Says nothing about any run or checkpoint."""


class RequestTimeout(StatusError, transient=True, remedy="Check the load and the health of the service."):
    """408: the service gave up waiting; for a future it means "still pending"."""


class Conflict(StatusError, remedy="Look at the resource; it already is, or already has, what was asked."):
    """409: the service's state forbids the call. Never repeated: the state will not change by asking again."""


class Gone(StatusError, remedy="Start it anew; what is over cannot be continued."):
    """410: what the call refers to existed and is over (a finished session, a lost promise)."""


class Unprocessable(StatusError, remedy="Correct the fields that the service names."):
    """422: the service understands the request and refuses its content."""


class RateLimited(StatusError, transient=True, remedy="Raise the poll interval, or the account's limit."):
    """429: too many calls; `retry_after` says for how long."""


class ServerFault(StatusError, transient=True, remedy="See the log of the Tinker service."):
    """500 and above: the service failed."""


class UnexpectedStatus(StatusError, remedy="Set the base URL to the final address of a Tinker service."):
    """A status that the Tinker API does not use, redirects among them (they are never followed with the key)."""


class UntrustedAnswer(TinkerError):
    """An answer that must not be acted upon: nothing is concluded from it."""


class InvalidResponse(UntrustedAnswer, transient=True, remedy="Check that the base URL leads to a Tinker service."):
    """Garbage, half a body, a missing field or one of the wrong type."""


class IncompleteListing(UntrustedAnswer, transient=True, remedy="Wait for the next listing; this one is not used."):
    """Pages that do not add up to the whole, twice in a row."""


class FutureFailed(TinkerError, remedy="Correct what the service names, or start the work anew."):
    """The service took the work on and failed at it; asking again gives the same answer.

    Args:
        message: See TinkerError.
        remedy: See TinkerError.
        category: Whose fault it is, as the service says.
        request_id: The id of the future.
    """

    def __init__(
        self,
        message: str,
        remedy: str | None = None,
        *,
        category: FutureCategory = FutureCategory.UNKNOWN,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message, remedy)
        self.category = category
        self.request_id = request_id


class FuturePending(TinkerError, transient=True, remedy="Call again with the same ids; the work goes on."):
    """Our patience ended while the service still works on it; calling again with the same ids continues.

    Args:
        message: See TinkerError.
        remedy: See TinkerError.
        request_id: The id of the future.
    """

    def __init__(self, message: str, remedy: str | None = None, *, request_id: str | None = None) -> None:
        super().__init__(message, remedy)
        self.request_id = request_id
