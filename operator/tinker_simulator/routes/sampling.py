"""Sampling sessions, and samples drawn in them."""

from aiohttp import web

from tinker_simulator import naming
from tinker_simulator.answers import ApiError, missing
from tinker_simulator.execution.pieces import PieceError, tokens_of_prompt
from tinker_simulator.execution.scoring import ScoreError, check_scores
from tinker_simulator.records import FutureRecord, Operation, SamplerRecord
from tinker_simulator.requests import CreateSamplingSession, JoinSamplingSession, Sample, parsed
from tinker_simulator.routes.submission import Submission, content_of
from tinker_simulator.routes.training import check_base_model
from tinker_simulator.settings import CONTEXT_LENGTH
from tinker_simulator.simulation import OWNER, Simulation


class SamplingRoutes:
    """Everything that draws tokens."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._submission = Submission(simulation)

    def routes(self) -> list[web.RouteDef]:
        """The routes of this part."""
        return [
            web.post("/api/v1/create_sampling_session", self.create),
            web.post("/api/v1/join_sampling_session", self.join),
            web.get("/api/v1/samplers/{sampler_id}", self.get_sampler),
            web.post("/api/v1/asample", self.asample),
        ]

    async def create(self, request: web.Request) -> web.Response:
        """Open a sampling session on a base model or on a checkpoint that the simulator can read."""
        asked = await parsed(request, CreateSamplingSession)
        owner = request[OWNER]
        sampler_id = naming.sampler_id(asked.session_id, asked.sampling_session_seq_id)
        if self._simulation.store.samplers.get(owner, sampler_id) is None:
            self._simulation.live_session(owner, asked.session_id)
            self._simulation.store.samplers.add(self._sampler(owner, sampler_id, asked))
        return web.json_response({"type": "create_sampling_session", "sampling_session_id": sampler_id})

    async def join(self, request: web.Request) -> web.Response:
        """Give another client of a sampling session its number; the one that opened it is 0."""
        asked = await parsed(request, JoinSamplingSession)
        sampler = self._own(request[OWNER], asked.sampling_session_id)
        self._simulation.live_session(request[OWNER], sampler.session_id)
        number = self._next_client(sampler.sampler_id)
        return web.json_response({"type": "join_sampling_session", "client_counter": number})

    async def get_sampler(self, request: web.Request) -> web.Response:
        """What a sampling session draws from."""
        sampler = self._own(request[OWNER], request.match_info["sampler_id"])
        return web.json_response(
            {"sampler_id": sampler.sampler_id, "base_model": sampler.base_model, "model_path": sampler.model_path}
        )

    async def asample(self, request: web.Request) -> web.Response:
        """Draw samples; 429 while as many as there may be are under way."""
        asked = await parsed(request, Sample)
        sampler = self._own(request[OWNER], asked.sampling_session_id)
        request_id = naming.request_id(sampler.sampler_id, asked.seq_id)
        if self._submission.repeated(request[OWNER], request_id) is None:
            self._simulation.live_session(request[OWNER], sampler.session_id)
            _check(asked)
            self._check_queue()
            self._submission.begin(
                FutureRecord(request_id, request[OWNER], Operation.SAMPLE, None, asked.seq_id, content_of(asked))
            )
        sequence_ids = [f"{request_id}:{number}" for number in range(asked.num_samples)]
        return web.json_response({"request_id": request_id, "sample_sequence_ids": sequence_ids})

    def _sampler(self, owner: str, sampler_id: str, asked: CreateSamplingSession) -> SamplerRecord:
        if asked.model_path is None:
            check_base_model(asked.base_model)
            return SamplerRecord(sampler_id, asked.session_id, owner, asked.base_model or "")
        checkpoint = self._simulation.readable_checkpoint(owner, asked.model_path)
        base_model = checkpoint.config.base_model
        if asked.base_model not in {None, base_model}:
            raise ApiError(400, f"{asked.model_path} was trained on {base_model}, not {asked.base_model}. Name either.")
        return SamplerRecord(
            sampler_id, asked.session_id, owner, base_model, asked.model_path, checkpoint.file, checkpoint.config
        )

    def _own(self, owner: str, sampler_id: str) -> SamplerRecord:
        sampler = self._simulation.store.samplers.get(owner, sampler_id)
        if sampler is None:
            raise missing("Sampling session", sampler_id)
        return sampler

    def _check_queue(self) -> None:
        if self._simulation.executor.sampling >= self._simulation.faults.behaviour.sample_queue:
            raise ApiError(429, "As many samples as there may be are under way. Send the request again in a second.")

    def _next_client(self, sampler_id: str) -> int:
        database, key = self._simulation.store.database, f"clients of {sampler_id}"
        with database.transaction():
            row = database.one("SELECT value FROM meta WHERE key = ?", (key,))
            number = int(row["value"]) + 1 if row else 1
            database.insert("meta", {"key": key, "value": str(number)}, replace=True)
        return number


def _check(asked: Sample) -> None:
    try:
        length = len(tokens_of_prompt(asked.prompt.chunks))
        check_scores(asked, length)
    except (PieceError, ScoreError) as refused:
        raise ApiError(400, str(refused)) from refused
    if length + (asked.sampling_params.max_tokens or 0) > CONTEXT_LENGTH:
        raise ApiError(400, f"Prompt and max_tokens exceed the context of {CONTEXT_LENGTH} tokens. Ask for fewer.")
    if "" in asked.sampling_params.stops:
        raise ApiError(400, "An empty text cannot be looked for. Leave it out of stop.")
