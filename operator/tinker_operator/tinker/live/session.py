"""The one session of a client: opened when it is first needed, kept alive, finished when the client is left."""

import asyncio
from contextlib import suppress
from itertools import count
from typing import Final

from tinker_operator.tinker.calls import FinishReason
from tinker_operator.tinker.errors import ClientClosed, Gone, NotFound, RouteMissing, TinkerError
from tinker_operator.tinker.retry import Timekeeper
from tinker_operator.tinker.service_models import ClientConfig
from tinker_operator.tinker.sessions import SessionCalls
from tinker_operator.tinker.settings import SessionTerms

BEAT_SECONDS: Final = 10.0
"""As often as the official client says that it lives."""
FAREWELL_SECONDS: Final = 5.0
"""A service that does not answer must not hold up whoever leaves; a session without heartbeats ends by itself."""


class LiveSession:
    """A session that beats.

    Args:
        calls: What it speaks through.
        keeper: Time and chance.
        terms: What it is opened with.
    """

    def __init__(self, calls: SessionCalls, keeper: Timekeeper, terms: SessionTerms) -> None:
        self.config = ClientConfig()
        self._calls = calls
        self._keeper = keeper
        self._terms = terms
        self._lock = asyncio.Lock()
        self._key = ""
        self._closed = False
        self._session_id: str | None = None
        self._beat: asyncio.Task[None] | None = None
        self._models = count()
        self._samplers = count()

    def next_model(self) -> int:
        """Give a run's number in the session, each once."""
        return next(self._models)

    def next_sampler(self) -> int:
        """Give a sampling session's number in the session, each once."""
        return next(self._samplers)

    async def opened(self) -> str:
        """Give the session's id, opening it the first time; whoever asks meanwhile waits.

        Raises:
            ClientClosed: The client was left.
            TinkerError: It cannot be opened; asking again tries again, and never opens a second one.
        """
        async with self._lock:
            if self._session_id is None and not self._closed:
                self._session_id = await self._open()
            if self._closed or self._session_id is None:
                raise ClientClosed("There is no session: the client is closed")
            self._beat = self._beat or asyncio.create_task(self._beating(self._session_id))
            return self._session_id

    async def close(self, reason: FinishReason, detail: str | None = None) -> None:
        """End the beats and finish the session; does nothing when none was opened, and raises no TinkerError.

        None is opened afterwards. One that is being opened is waited for as long as a farewell may take, and finished.
        """
        self._closed = True
        if self._beat is not None:
            self._beat.cancel()
            await asyncio.gather(self._beat, return_exceptions=True)
        with suppress(TinkerError, TimeoutError):
            async with asyncio.timeout(FAREWELL_SECONDS), self._lock:
                session_id, self._session_id = self._session_id, None
                if session_id is not None:
                    await self._calls.finish_session(session_id, reason, detail)

    async def _open(self) -> str:
        with suppress(NotFound, RouteMissing):
            self.config = await self._calls.client_config()
        self._key = self._key or self._keeper.unique()
        return await self._calls.create_session(
            tags=self._terms.tags,
            user_metadata=self._terms.user_metadata,
            idempotency_key=self._key,
            project_id=self._terms.project_id,
            display_name=self._terms.display_name,
        )

    async def _beating(self, session_id: str) -> None:
        """Beat until the session is over. A single failure matters to nobody: the next beat is the repetition."""
        while True:
            await self._keeper.sleep(BEAT_SECONDS)
            try:
                await self._calls.heartbeat(session_id)
            except (Gone, NotFound, RouteMissing):
                return
            except TinkerError:
                continue
