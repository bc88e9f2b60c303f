"""Servers that speak of what is not there: deleted checkpoints that load, models that are listed and not loaded."""

import json
import re
from dataclasses import dataclass, field

from aiohttp import web

from tinker_simulator.answers import error_response, missing
from tinker_simulator.dialects.exchange import API, Proceed, answered, document_of, replace_body, route_of, said_in
from tinker_simulator.naming import parsed_path
from tinker_simulator.records import RunRecord
from tinker_simulator.simulation import OWNER, Simulation

_TRAINING = re.compile(r"optim_step|save_weights\w*|forward_backward")
_MAKING = re.compile(r"create_model|load_weights")
_NOT_FOUND = 404


def _run_named_in(simulation: Simulation, request: web.Request, path: object) -> RunRecord | None:
    """The run that a checkpoint's path names, if the caller has it."""
    return simulation.store.runs.get(request[OWNER], parsed_path(path).run_id) if isinstance(path, str) else None


@dataclass(frozen=True, slots=True)
class GhostWeights:
    """`weights_info` answers for a checkpoint that was deleted."""

    simulation: Simulation

    async def meet(self, proceed: Proceed, request: web.Request) -> web.StreamResponse:
        """Describe the run where the checkpoint is not there."""
        answer = await proceed(request)
        if route_of(request) != "weights_info" or answer.status != _NOT_FOUND:
            return answer
        run = _run_named_in(self.simulation, request, (await document_of(request)).get("tinker_path"))
        if run is None:
            return answer
        config = run.config
        told = {"base_model": config.base_model, "is_lora": True, "lora_rank": config.rank}
        flags = {name: getattr(config, name) for name in ("train_unembed", "train_mlp", "train_attn")}
        return web.json_response({**told, **flags})


@dataclass(frozen=True, slots=True)
class GhostLoad:
    """`load_weights` succeeds on a checkpoint that was deleted: what it makes is a run with nothing in it."""

    simulation: Simulation

    async def meet(self, proceed: Proceed, request: web.Request) -> web.StreamResponse:
        """Make a fresh run where the checkpoint is not there."""
        answer = await proceed(request)
        asked = await document_of(request)
        if route_of(request) != "load_weights" or answer.status != _NOT_FOUND or "session_id" not in asked:
            return answer
        run = _run_named_in(self.simulation, request, asked.get("path"))
        if run is None:
            return answer
        made = {"base_model": run.config.base_model, "lora_config": {"rank": run.config.rank}}
        replace_body(request, json.dumps({**asked, **made}).encode())
        create = next(route for route in request.app.router.routes() if _is_creation(route))
        return await answered(create.handler, request)


def _is_creation(route: web.AbstractRoute) -> bool:
    return route.method == "POST" and route.resource is not None and route.resource.canonical == f"{API}create_model"


@dataclass(frozen=True, slots=True)
class UnloadedModels:
    """Runs from before this server's start are listed as fine, and their models are not loaded.

    Attributes:
        loaded: The runs that were made through this very server.
    """

    loaded: set[str] = field(default_factory=set)

    async def meet(self, proceed: Proceed, request: web.Request) -> web.StreamResponse:
        """Refuse what needs the model of such a run."""
        route = route_of(request)
        if route == "get_info" and (model := (await document_of(request)).get("model_id")) not in self.loaded:
            return missing("Model", str(model)).response()
        if _TRAINING.fullmatch(route) and not await self._is_loaded(request):
            return error_response(400, "The model is not loaded.")
        answer = await proceed(request)
        said = said_in(answer) if _MAKING.fullmatch(route) else None
        if said is not None:
            self.loaded.add(str(said.get("model_id")))
        return answer

    async def _is_loaded(self, request: web.Request) -> bool:
        body = await request.read()
        return any(run_id.encode() in body for run_id in self.loaded)
