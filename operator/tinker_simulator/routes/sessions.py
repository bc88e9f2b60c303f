"""Sessions: opened, kept alive, finished, found again, put into projects, and shown as a trace."""

from datetime import timedelta
from typing import Any

from aiohttp import web

from tinker_simulator.answers import ApiError, missing
from tinker_simulator.clock import to_text
from tinker_simulator.credentials import urn_of
from tinker_simulator.records import DEFAULT_PROJECT, SessionRecord
from tinker_simulator.requests import parsed
from tinker_simulator.rest_requests import (
    AccessibleSessions,
    AssignProject,
    CreateSession,
    FateOfClient,
    FinishSession,
    Heartbeat,
    SearchSessions,
    SessionsOfUsers,
    page_of,
    scope_of,
)
from tinker_simulator.simulation import OWNER, Simulation
from tinker_simulator.storage.search import Fate, FateQuery, SessionQuery
from tinker_simulator.tracing import trace_of
from tinker_simulator.wireform import found_session_form

HIGHEST_LIMIT = 100
TRACE_LINK_LIVES_FOR = timedelta(hours=1)
_ONE = "/api/v1/sessions/{session_id}"


class SessionRoutes:
    """What every client opens first, and what is left of it."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._sessions = simulation.store.sessions

    def routes(self) -> list[web.RouteDef]:
        """The routes of this part."""
        return [
            web.post("/api/v1/create_session", self.create_session),
            web.post("/api/v1/session_heartbeat", self.heartbeat),
            web.get("/api/v1/sessions", self.list_sessions),
            web.post("/api/v1/sessions/search", self.search),
            web.get(_ONE, self.get_session),
            web.post(f"{_ONE}/finish", self.finish),
            web.put(f"{_ONE}/project", self.assign_project),
            web.get(f"{_ONE}/trace_export", self.trace_export),
        ]

    async def create_session(self, request: web.Request) -> web.Response:
        """Open a session; the same idempotency key gets the same one."""
        asked = await parsed(request, CreateSession)
        owner, key = request[OWNER], request.headers.get("X-Idempotency-Key")
        session = self._sessions.asked_with(owner, key) if key else None
        if session is None:
            session = SessionRecord(
                session_id=self._simulation.new_id(),
                owner=owner,
                created_at=self._simulation.clock(),
                user_metadata=asked.user_metadata,
                display_name=asked.display_name,
                project_id=asked.project_id or DEFAULT_PROJECT,
                idempotency_key=key,
            )
            self._sessions.add(session)
        return web.json_response({"type": "create_session", "session_id": session.session_id})

    async def heartbeat(self, request: web.Request) -> web.Response:
        """Keep a session alive; 410 tells the client that it was finished."""
        asked = await parsed(request, Heartbeat)
        session = self._simulation.live_session(request[OWNER], asked.session_id)
        self._sessions.see(session.session_id, self._simulation.clock())
        return web.json_response({"type": "session_heartbeat"})

    async def finish(self, request: web.Request) -> web.Response:
        """End a session; the first reason stays."""
        asked = await parsed(request, FinishSession)
        session = self._found(request[OWNER], request)
        self._sessions.finish(session.session_id, asked.reason.type, asked.detail)
        return web.json_response({})

    async def list_sessions(self, request: web.Request) -> web.Response:
        """Ids of all sessions, newest first; nothing says how many there are."""
        page = page_of(request, default_limit=20, highest_limit=HIGHEST_LIMIT)
        owner = scope_of(request).owner(request[OWNER])
        return web.json_response({"sessions": self._sessions.ids(owner, page.limit, page.offset)})

    async def get_session(self, request: web.Request) -> web.Response:
        """What was made in a session."""
        session = self._found(scope_of(request).owner(request[OWNER]), request)
        answer: dict[str, Any] = {
            "training_run_ids": self._simulation.store.runs.ids_of_session(session.session_id),
            "sampler_ids": self._simulation.store.samplers.ids_of_session(session.session_id),
            "user_metadata": session.user_metadata,
            "display_name": session.display_name,
        }
        return web.json_response(answer)

    async def search(self, request: web.Request) -> web.Response:
        """Sessions by what they are and what became of them, newest first."""
        asked = await parsed(request, SearchSessions)
        found = self._simulation.store.search.find(_query(asked, request[OWNER]), self._simulation.clock())
        answer: dict[str, Any] = {"sessions": [found_session_form(one) for one in found[: asked.limit]]}
        if len(found) > asked.limit:
            last = found[asked.limit - 1].session
            answer["next_cursor"] = {
                "last_created_at": to_text(last.created_at),
                "last_session_id": last.session_id,
            }
        return web.json_response(answer)

    async def assign_project(self, request: web.Request) -> web.Response:
        """Move a session, with its runs, into a project; there is no way out of projects."""
        asked = await parsed(request, AssignProject)
        if not asked.project_id:
            raise ApiError(400, "project_id is missing. Give the project to move the session into.")
        self._sessions.move(self._found(request[OWNER], request).session_id, asked.project_id)
        return web.Response(status=204)

    async def trace_export(self, request: web.Request) -> web.Response:
        """A link to the session's timeline: asked for the first time it is being built, after that it is there.

        It is built anew when something has happened since.
        """
        session = self._found(request[OWNER], request)
        trace = trace_of(self._simulation.store, session, self._simulation.clock())
        kept, file = self._sessions.trace(session.session_id)
        if kept is None or (file is not None and kept != trace.state):
            self._sessions.keep_trace(session.session_id, trace.state, None)
            return web.json_response({"status": "pending"})
        if file is None:
            file = f"traces/{session.session_id}/{trace.state}.json"
            self._simulation.bench.archive.write_file(file, trace.content)
            self._sessions.keep_trace(session.session_id, trace.state, file)
        links = self._simulation.links
        link = links.link(file, links.until(TRACE_LINK_LIVES_FOR))
        return web.json_response({"status": "ready", "url": f"{request.scheme}://{request.host}{link}"})

    def _found(self, owner: str | None, request: web.Request) -> SessionRecord:
        session_id = request.match_info["session_id"]
        session = self._sessions.get(owner, session_id)
        if session is None:
            raise missing("Session", session_id)
        return session


def _query(asked: SearchSessions, caller: str) -> SessionQuery:
    cursor = asked.cursor
    return SessionQuery(
        limit=asked.limit,
        owners=_owners(asked, caller),
        session_id=asked.session_id,
        display_name=asked.display_name,
        project_ids=asked.project_ids,
        user_metadata=asked.user_metadata,
        fates=None
        if asked.statuses is None
        else [
            FateQuery(Fate(status.type), status.reasons if isinstance(status, FateOfClient) else None)
            for status in asked.statuses
        ],
        after=None if cursor is None else (cursor.last_created_at, cursor.last_session_id),
    )


def _owners(asked: SearchSessions, caller: str) -> list[str] | None:
    match asked.owner:
        case SessionsOfUsers(owner_urns=urns):
            own = urn_of("")
            return [urn.removeprefix(own) for urn in urns if urn.startswith(own)]
        case AccessibleSessions():
            return None
        case _:
            return [caller]
