"""Ids and paths in other forms than `<session>:train:<n>` and `tinker://<run>/weights/<name>`."""

import json
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from tinker_operator.tinker.proto import tinker_public_pb2 as wire
from tinker_simulator.dialects.exchange import (
    Proceed,
    document_of,
    replace_body,
    route_of,
    rows_in,
    said_in,
    saying,
)
from tinker_simulator.simulation import OWNER, Simulation

_ALL = 1_000_000
_OFFICIAL = re.compile(r'[^"/:\s]+:train:\d+')


def short_id(run_id: str) -> str:
    """An id like `model_1a2b3c4d`."""
    return f"model_{uuid.uuid5(uuid.NAMESPACE_OID, run_id).hex[:8]}"


def uuid_id(run_id: str) -> str:
    """A bare UUID."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, run_id))


@dataclass(frozen=True, slots=True)
class OpaqueIds:
    """Runs have ids of another form, everywhere.

    Attributes:
        simulation: Where the runs are.
        form: Makes the id that is shown; the same for the same run.
        shape: Regular expression for what it makes.
    """

    simulation: Simulation
    form: Callable[[str], str]
    shape: str

    async def meet(self, proceed: Proceed, request: web.Request) -> web.StreamResponse:
        """Translate on the way in and on the way out."""
        official = self._official_ids(request[OWNER])
        for name, value in request.match_info.items():
            request.match_info[name] = official.get(value, value)
        body = await request.read()
        if route_of(request) == "forward_backward":
            replace_body(request, _with_model(body, official))
        elif body:
            replace_body(request, self._inward(body.decode(), official).encode())
        answer = await proceed(request)
        if isinstance(answer, web.Response) and answer.content_type == "application/json" and answer.text:
            answer.text = _OFFICIAL.sub(lambda found: self.form(found[0]), answer.text)
        return answer

    def _official_ids(self, owner: str) -> dict[str, str]:
        return {self.form(run.run_id): run.run_id for run in self.simulation.store.runs.page(owner, _ALL, 0)}

    def _inward(self, text: str, official: dict[str, str]) -> str:
        return re.sub(self.shape, lambda found: official.get(found[0], found[0]), text)


def _with_model(body: bytes, official: dict[str, str]) -> bytes:
    asked = wire.ForwardBackwardRequest.FromString(body)
    asked.model_id = official.get(asked.model_id, asked.model_id)
    return asked.SerializeToString()


@dataclass(frozen=True, slots=True)
class BareCheckpointIds:
    """`checkpoint_id` is the name alone."""

    async def meet(self, proceed: Proceed, request: web.Request) -> web.StreamResponse:
        """Take the prefix away."""
        answer = await proceed(request)
        said = said_in(answer)
        for row in rows_in(said):
            if "checkpoint_id" in row:
                row["checkpoint_id"] = row["checkpoint_id"].rpartition("/")[2]
        return answer if said is None else saying(answer, said)


@dataclass(frozen=True, slots=True)
class TwoPartSamplerPaths:
    """Sampler checkpoints are listed as `tinker://<run>/<name>`."""

    async def meet(self, proceed: Proceed, request: web.Request) -> web.StreamResponse:
        """Take the middle part away."""
        answer = await proceed(request)
        said = said_in(answer)
        for row in rows_in(said):
            if row.get("checkpoint_type") == "sampler":
                row["tinker_path"] = row["tinker_path"].replace("/sampler_weights/", "/")
        return answer if said is None else saying(answer, said)


@dataclass(frozen=True, slots=True)
class OtherMiddlePart:
    """Training checkpoints are filed under another word than `weights`, in paths, ids and URLs.

    Attributes:
        word: That word.
    """

    word: str

    async def meet(self, proceed: Proceed, request: web.Request) -> web.StreamResponse:
        """Translate on the way in and on the way out."""
        if request.match_info.get("kind") == self.word:
            request.match_info["kind"] = "weights"
        asked = await document_of(request)
        for field in ("path", "tinker_path"):
            if isinstance(asked.get(field), str):
                asked[field] = asked[field].replace(f"/{self.word}/", "/weights/")
        if asked:
            replace_body(request, json.dumps(asked).encode())
        answer = await proceed(request)
        if isinstance(answer, web.Response) and answer.content_type == "application/json" and answer.text:
            inside = re.sub(r"(tinker://[^/\"]+)/weights/", rf"\1/{self.word}/", answer.text)
            answer.text = inside.replace('"weights/', f'"{self.word}/')
        return answer
