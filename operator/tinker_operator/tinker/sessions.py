"""The calls about the service itself and about sessions, which own the runs that are made."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from pydantic import SecretStr

from tinker_operator.tinker import calls
from tinker_operator.tinker.calls import AccessScope, FinishReason
from tinker_operator.tinker.connection import NO_METADATA, Connection
from tinker_operator.tinker.errors import FutureFailed, FuturePending, IncompleteListing, InvalidResponse
from tinker_operator.tinker.listing import Page, whole_listing
from tinker_operator.tinker.models import Health, ServerCapabilities, SessionMade
from tinker_operator.tinker.service_models import (
    ClientConfig,
    DynamicConfig,
    ExportState,
    Session,
    SessionPage,
    SessionsFound,
    SessionSummary,
    TraceExport,
)

SESSION_PAGE_LIMIT: Final = 100
TRACE_PAUSE: Final = 5.0
"""Seconds between two looks at an export, as of the official client."""

SessionState = Literal["active", "cancelled", "failed", "client_finished"]


@dataclass(frozen=True, slots=True)
class SessionSearch:
    """What sessions to look for; what is left out does not matter.

    Args:
        session_id: This one (or, with `display_name`, either).
        project_ids: In these projects.
        user_metadata: With every one of these entries.
        display_name: With these words in the name.
        owner: The key's owner's, everybody's that the key may see, or those of up to ten owners by URN.
        states: That stand so.
        page_limit: How many come in one request, up to 200.
    """

    session_id: str | None = None
    project_ids: tuple[str, ...] | None = None
    user_metadata: Mapping[str, str] = field(default_factory=dict)
    display_name: str | None = None
    owner: Literal["own", "accessible"] | tuple[str, ...] = "own"
    states: tuple[SessionState, ...] | None = None
    page_limit: int = 50

    def to_json(self) -> dict[str, Any]:
        """Give the form that the wire has."""
        owner = {"type": self.owner} if isinstance(self.owner, str) else {"type": "user", "owner_urns": [*self.owner]}
        return {
            "session_id": self.session_id,
            "project_ids": None if self.project_ids is None else list(self.project_ids),
            "user_metadata": dict(self.user_metadata),
            "display_name": self.display_name,
            "owner": owner,
            "statuses": None if self.states is None else [{"type": state} for state in self.states],
            "limit": self.page_limit,
        }


class SessionCalls(Connection):
    """Service and session calls."""

    async def healthz(self) -> str:
        """Give the service's word about itself, "ok" when it is well."""
        return (await self._transport.ask(calls.healthz(), Health)).status

    async def server_capabilities(self) -> ServerCapabilities:
        """Say what the service offers; it answers 401 to a wrong key, so this also proves the key."""
        return await self._transport.ask(calls.server_capabilities(), ServerCapabilities)

    async def client_config(self) -> ClientConfig:
        """Say how the service wants to be spoken to. If it wants tokens, this connection exchanges its key from now on.

        Raises:
            RouteMissing: The service has no wishes.
        """
        config = await self._transport.ask(calls.client_config(), ClientConfig)
        self._transport.tokens.wanted |= config.pjwt_auth_enabled
        return config

    async def dynamic_config(self) -> DynamicConfig:
        """Give the settings that the service may change while a client lives.

        Raises:
            RouteMissing: The service has none.
        """
        return await self._transport.ask(calls.dynamic_config(), DynamicConfig)

    async def create_session(
        self,
        *,
        tags: tuple[str, ...] = (),
        user_metadata: Mapping[str, str] = NO_METADATA,
        idempotency_key: str,
        project_id: str | None = None,
        display_name: str | None = None,
    ) -> str:
        """Open a session and give its id.

        Args:
            tags: Words to find it by.
            user_metadata: Kept by the service.
            idempotency_key: A UUID of the caller's; the same one again must not open a second session.
            project_id: The project that it and its runs belong to.
            display_name: What people see.
        """
        call = calls.create_session(tags, user_metadata, idempotency_key, project_id, display_name)
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

    async def get_session(self, session_id: str, *, access_scope: AccessScope = "owned") -> Session:
        """Say what was made in a session.

        Raises:
            NotFound: No such session.
        """
        return await self._transport.ask(calls.session(session_id, access_scope), Session)

    async def list_sessions(self, *, access_scope: AccessScope = "owned") -> AsyncIterator[str]:
        """Iterate over the ids of all sessions ever opened; the first comes only when the whole listing adds up.

        Raises:
            IncompleteListing: It did not, twice.
        """

        async def page(offset: int) -> Page[str]:
            call = calls.sessions(offset, SESSION_PAGE_LIMIT, access_scope)
            ids = (await self._transport.ask(call, SessionPage)).sessions
            return Page(ids, None, full=len(ids) == SESSION_PAGE_LIMIT)

        for session_id in await whole_listing(page, str, "sessions"):
            yield session_id

    async def search_sessions(self, search: SessionSearch | None = None) -> AsyncIterator[SessionSummary]:
        """Iterate over the sessions that match, newest first, page by page.

        Raises:
            IncompleteListing: The service's pages lead in a circle.
        """
        body, cursors = (search or SessionSearch()).to_json(), list[dict[str, Any]]()
        while True:
            found = await self._transport.ask(calls.search_sessions(body), SessionsFound)
            for session in found.sessions:
                yield session
            if found.next_cursor is None:
                return
            if found.next_cursor in cursors:
                raise IncompleteListing("The search for sessions does not end: a page came again")
            cursors.append(found.next_cursor)
            body = {**body, "cursor": found.next_cursor}

    async def assign_session_project(self, session_id: str, project_id: str) -> None:
        """Put a session and its runs into a project.

        Raises:
            NotFound: No such session or project.
        """
        await self._transport.tell(calls.assign_session_project(session_id, project_id))

    async def export_session_trace(self, session_id: str, *, wait_seconds: float) -> SecretStr:
        """Have the trace of a session exported, and give the address that opens it to whoever knows it.

        Raises:
            FuturePending: It is not ready within `wait_seconds`; call again.
            FutureFailed: The service could not export it.
            InvalidResponse: It is ready and has no address.
        """
        keeper = self._transport.keeper
        deadline = keeper.monotonic() + wait_seconds
        while True:
            export = await self._transport.ask(calls.trace_export(session_id), TraceExport)
            if export.status is ExportState.FAILED:
                cause = self._transport.clean(export.error or "no cause given")
                raise FutureFailed(f"The service could not export the trace: {cause}")
            if export.status is ExportState.READY:
                if export.url is None:
                    raise InvalidResponse("The trace is exported, and the service does not say where")
                return export.url
            if keeper.monotonic() + TRACE_PAUSE >= deadline:
                raise FuturePending("The trace is still being exported")
            await keeper.sleep(TRACE_PAUSE)
