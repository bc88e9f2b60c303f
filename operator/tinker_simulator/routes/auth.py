"""Keys: exchanged for tokens where the simulator was told to, described, and deleted, each by its holder."""

from aiohttp import web

from tinker_simulator.credentials import ORGANIZATION
from tinker_simulator.simulation import Simulation

KEY_HEADER = "X-API-Key"
_ME = "/api/v1/auth/apikey/me"


class AuthRoutes:
    """What a key can do about itself. Tokens are turned away here: they are not keys."""

    def __init__(self, simulation: Simulation) -> None:
        self._credentials = simulation.credentials

    def routes(self) -> list[web.RouteDef]:
        """The routes of this part; without tokens there is no exchange."""
        exchange = [web.post("/api/v1/auth/token", self.exchange)] if self._credentials.exchanges else []
        return [*exchange, web.get(_ME, self.describe), web.delete(_ME, self.delete)]

    async def exchange(self, request: web.Request) -> web.Response:
        """A token for a key."""
        return web.json_response({"jwt": self._credentials.token(request.headers.get(KEY_HEADER))})

    async def describe(self, request: web.Request) -> web.Response:
        """Whose key it is."""
        key = self._credentials.describe(request.headers.get(KEY_HEADER))
        details = {"org_details": {"name": ORGANIZATION}, "user_details": {"email": key.email}}
        return web.json_response({"key_id": key.key_id, "name": key.name, "note": "", "details": details})

    async def delete(self, request: web.Request) -> web.Response:
        """Delete the key: it lets nobody in any more, after a restart either."""
        self._credentials.delete(request.headers.get(KEY_HEADER))
        return web.Response(status=204)
