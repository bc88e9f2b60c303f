"""Routes that a server does not have: it answers as its framework does to any path it never heard of."""

import re
from dataclasses import dataclass

from aiohttp import web

from tinker_simulator.answers import error_response
from tinker_simulator.dialects.exchange import Proceed, document_of, route_of

_LEGACY_FIELDS = ("model_id", "seq_id")
CHECKPOINT = r"training_runs/[^/]+/checkpoints/[^/]+/[^/]+"


@dataclass(frozen=True, slots=True)
class MissingRoute:
    """A path, or one method of it, that is not there.

    Attributes:
        path: Regular expression for the whole path below the API's root.
        methods: The methods that are missing; OPTIONS goes with them.
    """

    path: str
    methods: frozenset[str]

    async def meet(self, proceed: Proceed, request: web.Request) -> web.StreamResponse:
        """404 with the bare words, or what the route answers."""
        asked = request.method in self.methods | {"OPTIONS"}
        if asked and re.fullmatch(self.path, route_of(request)):
            return error_response(404, "Not Found")
        return await proceed(request)


@dataclass(frozen=True, slots=True)
class NoCreateForm:
    """`load_weights` knows only the form that loads into a run that exists.

    Attributes:
        status: 422, each missing field named as a validator does; 400, in a sentence.
    """

    status: int

    async def meet(self, proceed: Proceed, request: web.Request) -> web.StreamResponse:
        """Refuse the create form."""
        if route_of(request) != "load_weights" or "model_id" in await document_of(request):
            return await proceed(request)
        if self.status == 400:  # noqa: PLR2004 - an HTTP status
            return error_response(400, "model_id is required")
        faults = [{"type": "missing", "loc": ["body", name], "msg": "Field required"} for name in _LEGACY_FIELDS]
        return error_response(self.status, faults)
