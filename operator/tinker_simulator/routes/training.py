"""Training: runs are created, loaded and stepped. All but `get_info` are futures.

There is no `create_custom_loss`: `client/config` does not offer losses that run on the server, and the official SDK
then runs them itself, by a `cross_entropy` pass over weights that it computes from the log-probabilities.
"""

from aiohttp import web
from google.protobuf.message import DecodeError

from tinker_operator.tinker.proto import tinker_public_pb2 as wire
from tinker_simulator import naming
from tinker_simulator.answers import ApiError, missing
from tinker_simulator.execution.batches import loss_config_of
from tinker_simulator.execution.pieces import PieceError, tokens_of_datum
from tinker_simulator.learning.adapter import AdapterConfig
from tinker_simulator.learning.losses import LOSSES, LossInputError
from tinker_simulator.records import FutureRecord, Kind, Operation, RunRecord
from tinker_simulator.requests import Body, CreateModel, LoadWeights, ModelReference, Optimizer, OptimStep, parsed
from tinker_simulator.routes.submission import Submission, content_of
from tinker_simulator.settings import BASE_MODELS, HIGHEST_RANK
from tinker_simulator.simulation import OWNER, Simulation
from tinker_simulator.wireform import info_form

LOWEST_TTL, HIGHEST_TTL = 3600, 315_360_000
OPTIMIZER = "adamw"


class TrainingRoutes:
    """Everything that makes or moves a model."""

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
            web.post("/api/v1/load_weights", self.load_weights),
        ]

    async def create_model(self, request: web.Request) -> web.Response:
        """Start a run."""
        asked = await parsed(request, CreateModel)
        model_id = naming.model_id(asked.session_id, asked.model_seq_id)
        if answer := self._submission.repeated(request[OWNER], naming.request_id(model_id, 0)):
            return answer
        self._simulation.live_session(request[OWNER], asked.session_id)
        self._check_free(model_id)
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
        """Sum a gradient, or with `forward_only` score the batch and change nothing."""
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

        def check(run: RunRecord) -> None:
            if asked.optimizer_params is not None or asked.adam_params is None:
                raise ApiError(400, f"The optimizer of {run.run_id} is {OPTIMIZER}. Send adam_params.")

        numbered = (asked.model_id, asked.seq_id)
        return self._submission.to_model(request[OWNER], Operation.OPTIM_STEP, numbered, content_of(asked), check=check)

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
                content_of(asked),
                check=lambda run: self._check_load_into(run, asked),
            )
        raise ApiError(
            400, "Give session_id and model_seq_id for a new run, or model_id and seq_id for an existing one."
        )

    def _create_from_weights(self, owner: str, asked: LoadWeights, session_id: str, model_seq_id: int) -> web.Response:
        model_id = naming.model_id(session_id, model_seq_id)
        if answer := self._submission.repeated(owner, naming.request_id(model_id, 0)):
            return answer
        self._simulation.live_session(owner, session_id)
        self._check_free(model_id)
        config = self._loadable(owner, asked)
        if asked.optimizer and asked.optimizer_config is not None:
            raise ApiError(400, "optimizer_config cannot override restored optimizer state. Leave it out.")
        _check_optimizer(asked.optimizer_config)
        if asked.base_model not in {None, config.base_model}:
            raise _incompatible(asked.path, config, f"base model {asked.base_model}")
        return self._begin_run(owner, Operation.CREATE_FROM_WEIGHTS, model_id, asked)

    def _check_load_into(self, run: RunRecord, asked: LoadWeights) -> None:
        config = self._loadable(run.owner, asked)
        if asked.optimizer_config is not None:
            raise ApiError(400, "optimizer_config cannot override that of an existing model. Leave it out.")
        if (run.config.base_model, run.config.factor_shapes()) != (config.base_model, config.factor_shapes()):
            raise _incompatible(asked.path, config, f"{run.run_id} has {_described(run.config)}")

    def _begin_run(self, owner: str, operation: Operation, model_id: str, asked: Body) -> web.Response:
        request_id = naming.request_id(model_id, 0)
        return self._submission.begin(FutureRecord(request_id, owner, operation, model_id, 0, content_of(asked)))

    def _check_free(self, model_id: str) -> None:
        if self._simulation.store.runs.named(model_id) is not None:
            raise ApiError(400, f"Model {model_id} exists already. Give a model_seq_id that is free.")

    def _loadable(self, owner: str, asked: LoadWeights) -> AdapterConfig:
        if naming.parsed_path(asked.path).kind != Kind.WEIGHTS:
            raise ApiError(400, f"Path is invalid: {asked.path} cannot be trained from. Give a weights path.")
        token = None if asked.weights_access_token is None else asked.weights_access_token.get_secret_value()
        return self._simulation.readable_checkpoint(owner, asked.path, token).config


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


def _check_model(asked: CreateModel) -> None:
    lora = asked.lora_config
    check_base_model(asked.base_model)
    if not 1 <= lora.rank <= HIGHEST_RANK:
        raise ApiError(400, f"LoRA rank {lora.rank} is not supported. Use 1 to {HIGHEST_RANK}.")
    if not (lora.train_unembed or lora.train_mlp or lora.train_attn):
        raise ApiError(400, "Nothing would be trained. Set one of train_unembed, train_mlp and train_attn.")
    _check_optimizer(asked.optimizer_config)


def _check_optimizer(asked: Optimizer | None) -> None:
    if asked is not None and asked.type != OPTIMIZER:
        raise ApiError(400, f"Optimizer {asked.type} is not supported. Use {OPTIMIZER}.")


def _check_batch(asked: wire.ForwardBackwardRequest) -> None:
    if not asked.data:
        raise ApiError(400, "The request holds no data. Send at least one datum.")
    if asked.loss_fn not in LOSSES:
        raise ApiError(400, f"Loss {asked.loss_fn!r} is not supported. Use one of: {', '.join(LOSSES)}.")
    try:
        loss_config_of(asked)
        for datum in asked.data:
            tokens_of_datum(datum.model_input)
    except (PieceError, LossInputError) as unreadable:
        raise ApiError(400, str(unreadable)) from unreadable


def _incompatible(path: str, config: AdapterConfig, target: str) -> ApiError:
    return ApiError(
        400,
        f"Checkpoint model configuration is incompatible with target model: {path} has {_described(config)}, "
        f"the target is {target}. Create the new model from the checkpoint itself.",
    )


def _described(config: AdapterConfig) -> str:
    flags = {"unembed": config.train_unembed, "mlp": config.train_mlp, "attn": config.train_attn}
    trained = ", ".join(name for name, on in flags.items() if on)
    return f"base model {config.base_model}, rank {config.rank}, trained {trained}"
