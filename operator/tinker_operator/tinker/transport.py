"""Sends calls to one Tinker service: the only place that knows the key, the address and httpx.

The client builds on it. What comes out is a typed answer or one error of the tree, never an exception of httpx: those
hold the request, and with it the key, so an error here neither refers to one nor is raised while one is handled.
"""

import asyncio
from collections.abc import Callable, Generator
from dataclasses import replace
from http import HTTPStatus
from importlib.metadata import version
from typing import Any, Final, TypeVar

import httpx
from pydantic import BaseModel, RootModel, SecretStr, ValidationError

from tinker_operator.tinker import calls
from tinker_operator.tinker.calls import Call
from tinker_operator.tinker.errors import InvalidResponse, ServiceUnreachable, TinkerError
from tinker_operator.tinker.faults import CAUGHT, Answer, fault_error, status_error
from tinker_operator.tinker.models import TokenMade
from tinker_operator.tinker.redaction import Redaction
from tinker_operator.tinker.retry import RetryPolicy, Timekeeper, repeated
from tinker_operator.tinker.settings import Timeouts, checked_base_url, checked_key, trusted
from tinker_operator.tinker.tokens import Tokens, refuses_the_token

M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")
LARGEST_ANSWER: Final = 64 * 1024 * 1024
_MOST_FAULTS_NAMED: Final = 3
_SHORTEST_ATTEMPT: Final = 1.0


class _KeyHeader(httpx.Auth):
    """Adds what proves the owner to a request as it leaves; nothing that lives longer holds it in clear."""

    def __init__(self, credential: SecretStr) -> None:
        self._credential = credential

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Set the header on the one request that leaves."""
        request.headers["X-API-Key"] = self._credential.get_secret_value()
        yield request


class Transport:
    """One service under one key.

    Args:
        base_url: http:// or https://, a path prefix is kept.
        api_key: Begins with `tml-` or `eyJ`; surrounding space is dropped.
        ca_pem: Certificate authorities to trust instead of the usual ones, PEM.
        retry: The law of repetition.
        timeouts: The longest that things may take.
        keeper: Time and chance.
        carrier: What carries requests instead of the network.
        exchange_tokens: Whether to exchange the key for tokens from the first call on.

    Raises:
        CallNotPossible: A setting is wrong; the key is not in the message.
    """

    def __init__(
        self,
        base_url: str,
        api_key: SecretStr,
        *,
        ca_pem: str | None = None,
        retry: RetryPolicy,
        timeouts: Timeouts,
        keeper: Timekeeper,
        carrier: httpx.AsyncBaseTransport | None = None,
        exchange_tokens: bool = False,
    ) -> None:
        key = checked_key(api_key)
        self.base_url: Final = checked_base_url(base_url)
        self.timeouts: Final = timeouts
        self.keeper: Final = keeper
        self.retry: Final = retry
        self._redaction = Redaction(key)
        self._key = key
        self.tokens: Final = Tokens(self._exchanged_key, keeper, wanted=exchange_tokens)
        self._http = httpx.AsyncClient(
            verify=trusted(ca_pem),
            timeout=httpx.Timeout(timeouts.attempt, connect=timeouts.connect),
            headers={"User-Agent": f"tinker-operator/{version('tinker-operator')}", "Accept": "application/json"},
            transport=carrier,
            follow_redirects=False,
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.base_url!r})"

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    def hide(self, secret: SecretStr) -> None:
        """Show a secret that goes with a call in no text either."""
        self._redaction.hide(secret)

    def clean(self, text: str) -> str:
        """Give what may be shown of a text from the service."""
        return self._redaction.clean(text)

    async def ask(self, call: Call, model: type[M]) -> M:
        """Send a call and read its answer.

        Raises:
            TinkerError: Any below NoAnswer and StatusError, or InvalidResponse.
        """
        return self.read(await self.send(call), model)

    async def tell(self, call: Call) -> None:
        """Send a call that has no result. What its answer says is ignored, but not that it is no service's answer.

        Raises:
            TinkerError: Any below NoAnswer and StatusError, or InvalidResponse: a portal's page for 200 did nothing.
        """
        answer = await self.send(call)
        if answer.body.strip():
            self.read(answer, RootModel[Any])

    async def send(self, call: Call) -> Answer:
        """Send a call, again where the law of repetition allows it, and give the 2xx answer.

        Raises:
            TinkerError: Any below NoAnswer and StatusError, or InvalidResponse when the body was cut short.
        """
        policy = self.retry if call.repeatable else replace(self.retry, max_attempts=1)
        longest = call.seconds or self.timeouts.attempt
        return await repeated(policy, self.keeper, lambda left: self._attempt(call, min(longest, left)))

    def read(self, answer: Answer, model: type[M]) -> M:
        """Read an answer as a model.

        Raises:
            InvalidResponse: It is no JSON or of another shape; names the fields, never their values.
        """
        try:
            return model.model_validate_json(answer.body)
        except ValidationError as fault:
            named = [
                self.clean(f"{'.'.join(map(str, error['loc'])) or 'body'}: {error['msg']}")
                for error in fault.errors(include_input=False, include_url=False)[:_MOST_FAULTS_NAMED]
            ]
        text = "; ".join(named)
        raise InvalidResponse(f"The answer to {answer.call.title} is not what the Tinker API promises ({text})")

    def decode(self, answer: Answer, read: Callable[[bytes], T]) -> T:
        """Read an answer that is no JSON.

        Args:
            answer: It.
            read: Reads its body; raises ValueError when it cannot.

        Raises:
            InvalidResponse: It could not.
        """
        try:
            return read(answer.body)
        except ValueError as fault:
            cause = self.clean(str(fault))
        raise InvalidResponse(f"The answer to {answer.call.title} is not what the Tinker API promises ({cause})")

    async def _attempt(self, call: Call, seconds: float) -> Answer:
        """Send once under the key or under the token that stands for it, and again under a new one if it is refused."""
        began = self.keeper.monotonic()
        token = await self.tokens.current()
        outcome = await self._exchange(call, token or self._key, seconds)
        if token is not None and isinstance(outcome, Answer) and refuses_the_token(outcome):
            left = max(seconds - (self.keeper.monotonic() - began), _SHORTEST_ATTEMPT)
            outcome = await self._exchange(call, await self.tokens.instead_of(token), left)
        return self._accepted(outcome)

    async def _exchanged_key(self) -> SecretStr:
        """Exchange the key for a token.

        Raises:
            TinkerError: Any below NoAnswer and StatusError, or InvalidResponse.
        """
        call = calls.auth_token()
        outcome = await self._exchange(call, self._key, self.timeouts.attempt)
        token = self.read(self._accepted(outcome), TokenMade).jwt
        self.hide(token)
        return token

    def _accepted(self, outcome: Answer | TinkerError) -> Answer:
        """Give an answer that may be acted upon; raise any other outcome."""
        if isinstance(outcome, TinkerError):
            raise outcome
        if HTTPStatus.OK <= outcome.status < HTTPStatus.MULTIPLE_CHOICES or outcome.status in outcome.call.answers:
            return outcome
        raise status_error(outcome, self._redaction)

    async def _exchange(self, call: Call, credential: SecretStr, seconds: float) -> Answer | TinkerError:
        """Return an error instead of raising it: raised here it would carry the request in its context."""
        if self._http.is_closed:
            return ServiceUnreachable(f"{call.title} was not sent: the connection is closed")
        answering = False
        try:
            async with (
                asyncio.timeout(seconds),
                self._http.stream(
                    call.method,
                    f"{self.base_url}/api/v1/{call.route}",
                    params=call.query or None,
                    content=call.content,
                    headers=_headers(call),
                    auth=_KeyHeader(credential),
                ) as response,
            ):
                answering = True
                body = await _whole_body(response)
        except CAUGHT as fault:
            return fault_error(call, fault, self._redaction, answering=answering)
        if body is None:
            return InvalidResponse(f"The answer to {call.title} is larger than {LARGEST_ANSWER} bytes")
        return Answer(call, response.status_code, response.headers, body)


def _headers(call: Call) -> dict[str, str]:
    """All but reads say JSON, with or without a body, as the official client does, unless the call says otherwise."""
    return ({} if call.method == "GET" else {"Content-Type": "application/json"}) | dict(call.headers)


async def _whole_body(response: httpx.Response) -> bytes | None:
    """Read to the end; None when the answer is larger than any the API gives."""
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > LARGEST_ANSWER:
            return None
    return bytes(body)
