"""Client configuration, capabilities, telemetry, and sessions."""

from typing import Any

from aiohttp import web

from tinker_simulator.answers import missing
from tinker_simulator.records import SessionRecord
from tinker_simulator.requests import CreateSession, FinishSession, Heartbeat, page_of, parsed
from tinker_simulator.settings import BASE_MODELS, CONTEXT_LENGTH
from tinker_simulator.simulation import OWNER, Simulation

CLIENT_CONFIG = {
    "pjwt_auth_enabled": False,
    "credential_default_source": "api_key",
    # Chunks of one batch arrive in order; the executor copes with the other order as well.
    "parallel_fwdbwd_chunks": False,
    "proto_compress_fwdbwd": False,
    "sample_use_retrieve_futures": False,
    "sample_join_sampling_session": False,
    "custom_loss_server_side": False,
    "billing_exception_max_pause_duration_sec": 60,
}
DYNAMIC_CONFIG = {"refresh_interval_sec": 300, "sample_cancel_enabled": False}
HIGHEST_LIMIT = 100


class ServiceRoutes:
    """What every client asks first, and its session."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._sessions = simulation.store.sessions

    def routes(self) -> list[web.RouteDef]:
        """The routes of this part."""
        return [
            web.get("/api/v1/healthz", self.healthz),
            web.post("/api/v1/client/config", self.client_config),
            web.post("/api/v1/client/dynamic_config", self.dynamic_config),
            web.get("/api/v1/get_server_capabilities", self.capabilities),
            web.post("/api/v1/telemetry", self.telemetry),
            web.post("/api/v1/create_session", self.create_session),
            web.post("/api/v1/session_heartbeat", self.heartbeat),
            web.post("/api/v1/sessions/{session_id}/finish", self.finish),
            web.get("/api/v1/sessions", self.list_sessions),
            web.get("/api/v1/sessions/{session_id}", self.get_session),
        ]

    async def healthz(self, _request: web.Request) -> web.Response:
        """The service is there."""
        return web.json_response({"status": "ok"})

    async def client_config(self, _request: web.Request) -> web.Response:
        """Flags that steer the official SDK."""
        return web.json_response(CLIENT_CONFIG)

    async def dynamic_config(self, _request: web.Request) -> web.Response:
        """Flags that it asks for again from time to time."""
        return web.json_response(DYNAMIC_CONFIG)

    async def capabilities(self, _request: web.Request) -> web.Response:
        """The base models."""
        models = [
            {"model_name": name, "max_context_length": CONTEXT_LENGTH, "trainable": True, "sampleable": True}
            for name in BASE_MODELS
        ]
        return web.json_response({"supported_models": models})

    async def telemetry(self, _request: web.Request) -> web.Response:
        """Accept anything: a client whose telemetry fails stalls for half a minute."""
        return web.json_response({"status": "accepted"})

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
                project_id=asked.project_id,
                idempotency_key=key,
            )
            self._sessions.add(session)
        return web.json_response({"type": "create_session", "session_id": session.session_id})

    async def heartbeat(self, request: web.Request) -> web.Response:
        """Keep a session alive; 410 tells the client that it was finished."""
        asked = await parsed(request, Heartbeat)
        self._simulation.live_session(request[OWNER], asked.session_id)
        return web.json_response({"type": "session_heartbeat"})

    async def finish(self, request: web.Request) -> web.Response:
        """End a session; the first reason stays."""
        asked = await parsed(request, FinishSession)
        session = self._own(request)
        self._sessions.finish(session.session_id, asked.reason.type, asked.detail)
        return web.json_response({})

    async def list_sessions(self, request: web.Request) -> web.Response:
        """Ids of all sessions, newest first."""
        page = page_of(request, default_limit=20, highest_limit=HIGHEST_LIMIT)
        return web.json_response({"sessions": self._sessions.ids(request[OWNER], page.limit, page.offset)})

    async def get_session(self, request: web.Request) -> web.Response:
        """What was made in a session."""
        session = self._own(request)
        answer: dict[str, Any] = {
            "training_run_ids": self._simulation.store.runs.ids_of_session(session.session_id),
            "sampler_ids": self._simulation.store.samplers.ids_of_session(session.session_id),
            "user_metadata": session.user_metadata,
            "display_name": session.display_name,
        }
        return web.json_response(answer)

    def _own(self, request: web.Request) -> SessionRecord:
        session_id = request.match_info["session_id"]
        session = self._sessions.get(request[OWNER], session_id)
        if session is None:
            raise missing("Session", session_id)
        return session
