"""The calls about the service itself and about sessions, which own the runs that are made."""

from collections.abc import Mapping

from tinker_operator.tinker import calls
from tinker_operator.tinker.calls import FinishReason
from tinker_operator.tinker.connection import NO_METADATA, Connection
from tinker_operator.tinker.models import Health, ServerCapabilities, SessionMade


class SessionCalls(Connection):
    """Service and session calls."""

    async def healthz(self) -> str:
        """Give the service's word about itself, "ok" when it is well."""
        return (await self._transport.ask(calls.healthz(), Health)).status

    async def server_capabilities(self) -> ServerCapabilities:
        """Say what the service offers; it answers 401 to a wrong key, so this also proves the key."""
        return await self._transport.ask(calls.server_capabilities(), ServerCapabilities)

    async def create_session(
        self, *, tags: tuple[str, ...] = (), user_metadata: Mapping[str, str] = NO_METADATA, idempotency_key: str
    ) -> str:
        """Open a session and give its id.

        Args:
            tags: Words to find it by.
            user_metadata: Kept by the service.
            idempotency_key: A UUID of the caller's; the same one again must not open a second session.
        """
        call = calls.create_session(tags, user_metadata, idempotency_key)
        return (await self._transport.ask(call, SessionMade)).session_id

    async def heartbeat(self, session_id: str) -> None:
        """Say that a session is alive; once, without repetition.

        Raises:
            Gone: The session is finished.
        """
        await self._transport.tell(calls.heartbeat(session_id, self._transport.timeouts.heartbeat))

    async def finish_session(self, session_id: str, reason: FinishReason, detail: str | None = None) -> None:
        """Close a session; of several reasons the first one stands."""
        await self._transport.tell(calls.finish_session(session_id, reason, detail))
