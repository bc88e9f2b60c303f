"""Client configuration, capabilities and telemetry: what every client asks first."""

from aiohttp import web

from tinker_simulator.settings import BASE_MODELS, CONTEXT_LENGTH
from tinker_simulator.simulation import Simulation

CLIENT_CONFIG = {
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


class ServiceRoutes:
    """What concerns no session and no run."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation

    def routes(self) -> list[web.RouteDef]:
        """The routes of this part."""
        return [
            web.get("/api/v1/healthz", self.healthz),
            web.post("/api/v1/client/config", self.client_config),
            web.post("/api/v1/client/dynamic_config", self.dynamic_config),
            web.get("/api/v1/get_server_capabilities", self.capabilities),
            web.post("/api/v1/telemetry", self.telemetry),
        ]

    async def healthz(self, _request: web.Request) -> web.Response:
        """The service is there."""
        return web.json_response({"status": "ok"})

    async def client_config(self, _request: web.Request) -> web.Response:
        """Flags that steer the official SDK."""
        exchanges = {"pjwt_auth_enabled": self._simulation.credentials.exchanges}
        return web.json_response({**CLIENT_CONFIG, **exchanges, **self._simulation.faults.behaviour.client_config})

    async def dynamic_config(self, _request: web.Request) -> web.Response:
        """Flags that it asks for again from time to time."""
        return web.json_response({**DYNAMIC_CONFIG, **self._simulation.faults.behaviour.dynamic_config})

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
