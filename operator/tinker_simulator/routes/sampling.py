"""Sampling sessions, and samples drawn in them."""

from aiohttp import web

from tinker_simulator import naming
from tinker_simulator.answers import ApiError, missing
from tinker_simulator.records import FutureRecord, Operation, SamplerRecord
from tinker_simulator.requests import CreateSamplingSession, Sample, parsed
from tinker_simulator.routes.submission import Submission
from tinker_simulator.routes.training import check_base_model
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
            web.get("/api/v1/samplers/{sampler_id}", self.get_sampler),
            web.post("/api/v1/asample", self.asample),
        ]

    async def create(self, request: web.Request) -> web.Response:
        """Open a sampling session on a base model or on a checkpoint of either kind."""
        asked = await parsed(request, CreateSamplingSession)
        owner = request[OWNER]
        self._simulation.live_session(owner, asked.session_id)
        sampler_id = naming.sampler_id(asked.session_id, asked.sampling_session_seq_id)
        if self._simulation.store.samplers.get(owner, sampler_id) is None:
            self._simulation.store.samplers.add(self._sampler(owner, sampler_id, asked))
        return web.json_response({"type": "create_sampling_session", "sampling_session_id": sampler_id})

    async def get_sampler(self, request: web.Request) -> web.Response:
        """What a sampling session draws from."""
        sampler = self._own(request[OWNER], request.match_info["sampler_id"])
        return web.json_response(
            {"sampler_id": sampler.sampler_id, "base_model": sampler.base_model, "model_path": sampler.model_path}
        )

    async def asample(self, request: web.Request) -> web.Response:
        """Draw samples."""
        asked = await parsed(request, Sample)
        sampler = self._own(request[OWNER], asked.sampling_session_id)
        self._simulation.live_session(request[OWNER], sampler.session_id)
        _check(asked)
        request_id = naming.request_id(sampler.sampler_id, asked.seq_id)
        if self._submission.repeated(request[OWNER], request_id) is None:
            content = asked.model_dump_json().encode()
            self._submission.begin(
                FutureRecord(request_id, request[OWNER], Operation.SAMPLE, None, asked.seq_id, content)
            )
        sequence_ids = [f"{request_id}:{number}" for number in range(asked.num_samples)]
        return web.json_response({"request_id": request_id, "sample_sequence_ids": sequence_ids})

    def _sampler(self, owner: str, sampler_id: str, asked: CreateSamplingSession) -> SamplerRecord:
        if asked.model_path is not None:
            checkpoint = self._simulation.readable_checkpoint(owner, asked.model_path)
            base_model, path, file = checkpoint.config.base_model, asked.model_path, checkpoint.file
            return SamplerRecord(sampler_id, asked.session_id, owner, base_model, path, file, checkpoint.config)
        check_base_model(asked.base_model)
        return SamplerRecord(sampler_id, asked.session_id, owner, asked.base_model or "")

    def _own(self, owner: str, sampler_id: str) -> SamplerRecord:
        sampler = self._simulation.store.samplers.get(owner, sampler_id)
        if sampler is None:
            raise missing("Sampling session", sampler_id)
        return sampler


def _check(asked: Sample) -> None:
    if any(chunk.type != "encoded_text" for chunk in asked.prompt.chunks):
        raise ApiError(400, "Only text can be sampled from. Send chunks of type encoded_text.")
    if not any(chunk.tokens for chunk in asked.prompt.chunks):
        raise ApiError(400, "The prompt is empty. Send at least one token.")
    if asked.prompt_alt_tokens_k or asked.target_prompt_logprobs is not None:
        raise ApiError(400, "Alternative and target prompt tokens are not simulated. Leave them out.")
