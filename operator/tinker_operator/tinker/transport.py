"""Sends calls to one Tinker service: the only place that knows the key, the address and httpx.

The client builds on it. What comes out is a typed answer or one error of the tree, never an exception of httpx: those
hold the request, and with it the key, so an error here neither refers to one nor is raised while one is handled.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from http import HTTPStatus
from importlib.metadata import version
from typing import Any, Final, TypeVar

import httpx
from pydantic import BaseModel, RootModel, SecretStr, ValidationError

from tinker_operator.tinker import calls
from tinker_operator.tinker.budget import NoBudget, Spending
from tinker_operator.tinker.calls import Call
from tinker_operator.tinker.errors import ClientClosed, InvalidResponse, ServiceTimeout, StatusError, TinkerError
from tinker_operator.tinker.exchange import CallWatch, exchanged, unwatched
from tinker_operator.tinker.faults import Answer, exchange_error, status_error
from tinker_operator.tinker.leaving import Leave, always, hooks
from tinker_operator.tinker.models import TokenMade
from tinker_operator.tinker.redaction import Redaction
from tinker_operator.tinker.retry import RetryPolicy, Timekeeper, repeated
from tinker_operator.tinker.settings import Timeouts, checked_base_url, checked_key, trusted
from tinker_operator.tinker.tokens import Tokens, refuses_the_token, sendable

M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")
_MOST_FAULTS_NAMED: Final = 3
_SHORTEST_ATTEMPT: Final = 1.0
_LIMITS: Final = httpx.Limits(max_connections=200, max_keepalive_connections=20)
"""More than the budget has places: who has one must not wait for a connection too, behind calls of another lane."""


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
        leave: Asked right before anything but a read goes out.
        exchange_tokens: Whether to exchange the key for tokens from the first call on.
        budget: What lets calls out; None lets all of them at once.
        watch: Sees each request and what came of it.

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
        leave: Leave = always,
        exchange_tokens: bool = False,
        budget: Spending | None = None,
        watch: CallWatch = unwatched,
    ) -> None:
        key = checked_key(api_key)
        self.base_url: Final = checked_base_url(base_url)
        self.timeouts: Final = timeouts
        self.keeper: Final = keeper
        self.retry: Final = retry
        self.budget: Final = budget or NoBudget()
        self._watch = watch
        self._redaction = Redaction(key)
        self._key = key
        self.tokens: Final = Tokens(self._exchanged_key, keeper, wanted=exchange_tokens)
        self._http = httpx.AsyncClient(
            verify=trusted(ca_pem),
            timeout=httpx.Timeout(timeouts.attempt, connect=timeouts.connect),
            limits=_LIMITS,
            headers={"User-Agent": f"tinker-operator/{version('tinker-operator')}", "Accept": "application/json"},
            transport=carrier,
            event_hooks=hooks(leave),
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
        async with self.budget.place():
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
        """Send once, when and if the budget lets it."""
        held_open = call.seconds is not None
        return await self.budget.attempt(seconds, lambda left: self._sent(call, left), patient=held_open)

    async def _sent(self, call: Call, seconds: float) -> Answer:
        """Send once under the key or under the token that stands for it, and again under a new one if it is refused."""
        until = self.keeper.monotonic() + seconds
        token = await self._token(call, seconds, self.tokens.current())
        outcome = await self._exchange(call, token or self._key, self._left(until))
        if token is not None and isinstance(outcome, Answer) and refuses_the_token(outcome):
            fresh = await self._token(call, self._left(until), self.tokens.instead_of(token))
            outcome = await self._exchange(call, fresh or self._key, self._left(until))
        return self._accepted(outcome)

    def _left(self, until: float) -> float:
        return max(until - self.keeper.monotonic(), _SHORTEST_ATTEMPT)

    async def _token(
        self, call: Call, seconds: float, asked: Coroutine[Any, Any, SecretStr | None]
    ) -> SecretStr | None:
        """Wait for a token no longer than for an answer, whoever else waits for one.

        Raises:
            ServiceTimeout: There is none in time; nothing was sent.
            TinkerError: The exchange failed.
        """
        try:
            async with asyncio.timeout(seconds):
                return await asked
        except TimeoutError:
            waited = seconds
        raise ServiceTimeout(f"{call.title} was not sent: there was no token for it within {waited:g} s")

    async def _exchanged_key(self) -> SecretStr:
        """Exchange the key for a token.

        Raises:
            TinkerError: Any below NoAnswer, of StatusError those that speak of the key, the pace or a fault of the
                service, or InvalidResponse.
        """
        call = calls.auth_token()
        outcome = await self._exchange(call, self._key, self.timeouts.attempt)
        try:
            answer = self._accepted(outcome)
        except StatusError as refusal:
            error = exchange_error(refusal)
        else:
            token = self.read(answer, TokenMade).jwt
            self.hide(token)
            if sendable(token):
                return token
            error = InvalidResponse(f"The answer to {call.title} gives a token that cannot be sent")
        raise error

    def _accepted(self, outcome: Answer | TinkerError) -> Answer:
        """Give an answer that may be acted upon; raise any other outcome."""
        if isinstance(outcome, TinkerError):
            raise outcome
        if HTTPStatus.OK <= outcome.status < HTTPStatus.MULTIPLE_CHOICES or outcome.status in outcome.call.answers:
            return outcome
        raise status_error(outcome, self._redaction)

    async def _exchange(self, call: Call, credential: SecretStr, seconds: float) -> Answer | TinkerError:
        """Make one request; see `exchanged`."""
        if self._http.is_closed:
            return ClientClosed(f"{call.title} was not sent: the client is closed")
        with self._watch(call) as told:
            outcome = await exchanged(
                self._http, self.base_url, call, credential, seconds=seconds, redaction=self._redaction
            )
            told(outcome)
        return outcome
