"""Training: runs are created and stepped, checkpoints saved and loaded. All but `get_info` are futures."""

from aiohttp import web
from google.protobuf.message import DecodeError

from tinker_operator.tinker.proto import tinker_public_pb2 as wire
from tinker_simulator import naming
from tinker_simulator.answers import ApiError, missing
from tinker_simulator.learning.losses import LOSSES
from tinker_simulator.records import FutureRecord, Kind, Operation, RunRecord
from tinker_simulator.requests import (
    Body,
    CreateModel,
    LoadWeights,
    ModelReference,
    OptimStep,
    SaveWeights,
    SaveWeightsForSampler,
    parsed,
)
from tinker_simulator.routes.submission import Submission
from tinker_simulator.settings import BASE_MODELS, HIGHEST_RANK
from tinker_simulator.simulation import OWNER, Simulation
from tinker_simulator.wireform import info_form

LOWEST_TTL, HIGHEST_TTL = 3600, 315_360_000


class TrainingRoutes:
    """Everything that needs a model."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._submission = Submission(simulation)

    def routes(self) -> list[web.RouteDef]:
        """The routes of this part."""
        return [
            web.post("/api/v1/create_model", self.create_model),
            web.post("/api/v1/get_info", self.get_info),
            web.post("/api/v1/forward_backward", self.forward_backward),
            web.post("/api/v1/optim_step", self.optim_step),
            web.post("/api/v1/save_weights", self.save_weights),
            web.post("/api/v1/save_weights_for_sampler", self.save_weights_for_sampler),
            web.post("/api/v1/load_weights", self.load_weights),
        ]

    async def create_model(self, request: web.Request) -> web.Response:
        """Start a run."""
        asked = await parsed(request, CreateModel)
        model_id = naming.model_id(asked.session_id, asked.model_seq_id)
        if answer := self._submission.repeated(request[OWNER], naming.request_id(model_id, 0)):
            return answer
        self._simulation.live_session(request[OWNER], asked.session_id)
        _check_model(asked)
        return self._begin_run(request[OWNER], Operation.CREATE_MODEL, model_id, asked)

    async def get_info(self, request: web.Request) -> web.Response:
        """What a run is made of; answered for a corrupted one as well."""
        asked = await parsed(request, ModelReference)
        run = self._simulation.store.runs.get(request[OWNER], asked.model_id)
        if run is None:
            raise missing("Model", asked.model_id)
        return web.json_response(info_form(run))

    async def forward_backward(self, request: web.Request) -> web.Response:
        """Sum a gradient."""
        content = await request.read()
        try:
            asked = wire.ForwardBackwardRequest.FromString(content)
        except DecodeError as unreadable:
            raise ApiError(400, "The body is not a ForwardBackwardRequest. Send protobuf.") from unreadable
        return self._submission.to_model(
            request[OWNER],
            Operation.FORWARD_BACKWARD,
            (asked.model_id, asked.seq_id),
            content,
            check=lambda _run: _check_batch(asked),
        )

    async def optim_step(self, request: web.Request) -> web.Response:
        """Spend the summed gradient."""
        asked = await parsed(request, OptimStep)
        return self._submission.to_model(
            request[OWNER],
            Operation.OPTIM_STEP,
            (asked.model_id, asked.seq_id),
            _content(asked),
            check=_nothing_more,
        )

    async def save_weights(self, request: web.Request) -> web.Response:
        """Store a checkpoint for training; 409 when the name is taken and `overwrite` was not said."""
        asked = await parsed(request, SaveWeights)

        def check(run: RunRecord) -> None:
            self._check_save(run, Kind.WEIGHTS, asked.path, asked.ttl_seconds, overwrite=asked.overwrite)

        numbered = (asked.model_id, asked.seq_id)
        return self._submission.to_model(request[OWNER], Operation.SAVE_WEIGHTS, numbered, _content(asked), check=check)

    async def save_weights_for_sampler(self, request: web.Request) -> web.Response:
        """Store a checkpoint for sampling, named or not."""
        asked = await parsed(request, SaveWeightsForSampler)

        def check(run: RunRecord) -> None:
            if asked.path is not None:
                self._check_save(run, Kind.SAMPLER_WEIGHTS, asked.path, asked.ttl_seconds, overwrite=False)
            elif asked.sampling_session_seq_id is None:
                raise ApiError(400, "Neither path nor sampling_session_seq_id is given. Give one of them.")

        numbered = (asked.model_id, asked.seq_id)
        return self._submission.to_model(
            request[OWNER], Operation.SAVE_WEIGHTS_FOR_SAMPLER, numbered, _content(asked), check=check
        )

    async def load_weights(self, request: web.Request) -> web.Response:
        """Load a checkpoint, into a new run or into one that exists."""
        asked = await parsed(request, LoadWeights)
        if asked.session_id is not None and asked.model_seq_id is not None and asked.model_id is None:
            return self._create_from_weights(request[OWNER], asked, asked.session_id, asked.model_seq_id)
        if asked.model_id is not None and asked.seq_id is not None and asked.session_id is None:
            return self._submission.to_model(
                request[OWNER],
                Operation.LOAD_WEIGHTS,
                (asked.model_id, asked.seq_id),
                _content(asked),
                check=lambda run: self._check_load(run.owner, asked, run),
            )
        raise ApiError(
            400, "Give session_id and model_seq_id for a new run, or model_id and seq_id for an existing one."
        )

    def _create_from_weights(self, owner: str, asked: LoadWeights, session_id: str, model_seq_id: int) -> web.Response:
        model_id = naming.model_id(session_id, model_seq_id)
        if answer := self._submission.repeated(owner, naming.request_id(model_id, 0)):
            return answer
        self._simulation.live_session(owner, session_id)
        self._check_load(owner, asked, None)
        return self._begin_run(owner, Operation.CREATE_FROM_WEIGHTS, model_id, asked)

    def _begin_run(self, owner: str, operation: Operation, model_id: str, asked: Body) -> web.Response:
        request_id = naming.request_id(model_id, 0)
        return self._submission.begin(FutureRecord(request_id, owner, operation, model_id, 0, _content(asked)))

    def _check_load(self, owner: str, asked: LoadWeights, target: RunRecord | None) -> None:
        if naming.parsed_path(asked.path).kind != Kind.WEIGHTS:
            raise ApiError(400, f"Path is invalid: {asked.path} cannot be trained from. Give a weights path.")
        config = self._simulation.readable_checkpoint(owner, asked.path).config
        other_base = asked.base_model not in {None, config.base_model}
        if other_base or (target is not None and target.config.factor_shapes() != config.factor_shapes()):
            wanted = asked.base_model if target is None else target.run_id
            raise ApiError(
                400,
                f"Checkpoint model configuration is incompatible with target model: {asked.path} was trained on "
                f"{config.base_model} with rank {config.rank}, the target is {wanted}.",
            )

    def _check_save(self, run: RunRecord, kind: Kind, name: str, ttl_seconds: int | None, *, overwrite: bool) -> None:
        naming.checked_name(name)
        check_ttl(ttl_seconds)
        store = self._simulation.store
        taken = store.checkpoints.get(run.run_id, kind, name, self._simulation.clock()) is not None
        if not overwrite and (taken or self._is_being_saved(run, kind, name)):
            raise ApiError(409, "Checkpoint with the same name already exists")

    def _is_being_saved(self, run: RunRecord, kind: Kind, name: str) -> bool:
        pending_of = self._simulation.store.futures.pending_of
        if kind is Kind.WEIGHTS:
            saves = pending_of(run.run_id, Operation.SAVE_WEIGHTS)
            return any(SaveWeights.model_validate_json(save.request).path == name for save in saves)
        saves = pending_of(run.run_id, Operation.SAVE_WEIGHTS_FOR_SAMPLER)
        return any(SaveWeightsForSampler.model_validate_json(save.request).path == name for save in saves)


def check_ttl(ttl_seconds: int | None) -> None:
    """Refuse a lifetime that the service does not give.

    Raises:
        ApiError: 400, it is shorter than an hour or longer than ten years.
    """
    if ttl_seconds is not None and not LOWEST_TTL <= ttl_seconds <= HIGHEST_TTL:
        raise ApiError(400, f"ttl_seconds must be between {LOWEST_TTL} and {HIGHEST_TTL}, or null for no expiry.")


def check_base_model(name: str | None) -> None:
    """Refuse a base model that the service does not have.

    Raises:
        ApiError: 400, it has not.
    """
    if name not in BASE_MODELS:
        raise ApiError(400, f"Base model {name} is not supported. Use one of: {', '.join(BASE_MODELS)}.")


def _content(asked: Body) -> bytes:
    return asked.model_dump_json().encode()


def _nothing_more(_run: RunRecord) -> None:
    """The run being trainable is enough."""


def _check_model(asked: CreateModel) -> None:
    lora = asked.lora_config
    check_base_model(asked.base_model)
    if not 1 <= lora.rank <= HIGHEST_RANK:
        raise ApiError(400, f"LoRA rank {lora.rank} is not supported. Use 1 to {HIGHEST_RANK}.")
    if not (lora.train_unembed or lora.train_mlp or lora.train_attn):
        raise ApiError(400, "Nothing would be trained. Set one of train_unembed, train_mlp and train_attn.")
    if asked.optimizer_config.type != "adamw":
        raise ApiError(400, f"Optimizer {asked.optimizer_config.type} is not supported. Use adamw.")


def _check_batch(asked: wire.ForwardBackwardRequest) -> None:
    if not asked.data:
        raise ApiError(400, "The request holds no data. Send at least one datum.")
    if asked.loss_fn not in LOSSES:
        raise ApiError(400, f"Loss {asked.loss_fn!r} is not supported. Use one of: {', '.join(LOSSES)}.")
