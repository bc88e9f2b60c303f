"""What the families of calls stand on: one connection to one service under one key."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Final, Self

import httpx
from pydantic import SecretStr

from tinker_operator.tinker.budget import Spending
from tinker_operator.tinker.dialects.learning import LearningTransport
from tinker_operator.tinker.exchange import CallWatch, unwatched
from tinker_operator.tinker.futures import Futures
from tinker_operator.tinker.leaving import Leave, always
from tinker_operator.tinker.retry import RetryPolicy, Timekeeper
from tinker_operator.tinker.settings import SessionTerms, Timeouts

NO_METADATA: Final[Mapping[str, str]] = {}


class Connection:
    """One Tinker service under one key; an asynchronous context manager that owns its connections.

    Args:
        base_url: http:// or https://, a path prefix is kept.
        api_key: Begins with `tml-` or `eyJ`; never shown, not by `repr` and not by any error.
        ca_pem: Certificate authorities to trust instead of the usual ones, PEM.
        retry: How long and how often a call is repeated when its failure is transient.
        timeouts: The longest that one attempt may take.
        keeper: Time and chance.
        carrier: What carries requests instead of the network.
        leave: Asked right before anything but a read goes out; what it raises comes out of the call.
        exchange_tokens: Whether to exchange the key for short-lived tokens from the first call on. Left False, it is
            never exchanged, until an answer to `client_config` says that the service wants it so.
        budget: What lets calls out; None lets all of them at once.
        session: What the session is opened with that training and sampling clients share.
        watch: Sees each request and what came of it.

    Raises:
        CallNotPossible: A setting is wrong.
    """

    def __init__(
        self,
        base_url: str,
        api_key: SecretStr,
        *,
        ca_pem: str | None = None,
        retry: RetryPolicy | None = None,
        timeouts: Timeouts | None = None,
        keeper: Timekeeper | None = None,
        carrier: httpx.AsyncBaseTransport | None = None,
        leave: Leave = always,
        exchange_tokens: bool = False,
        budget: Spending | None = None,
        session: SessionTerms | None = None,
        watch: CallWatch = unwatched,
    ) -> None:
        self._transport = LearningTransport(
            base_url,
            api_key,
            ca_pem=ca_pem,
            retry=retry or RetryPolicy(),
            timeouts=timeouts or Timeouts(),
            keeper=keeper or Timekeeper(),
            carrier=carrier,
            leave=leave,
            exchange_tokens=exchange_tokens,
            budget=budget,
            watch=watch,
        )
        self._terms = session or SessionTerms()
        self._futures = Futures(self._transport)

    @property
    def base_url(self) -> str:
        """The service's own address; downloads are judged by where it lies."""
        return self._transport.base_url

    def reserved(self) -> AbstractAsyncContextManager[None]:
        """Wait for room in the budget now, so that no call within waits for it between a judgement and its deed."""
        return self._transport.budget.reserved()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._transport.base_url!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None = None, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections; no call is possible afterwards."""
        await self._transport.close()
