"""Bodies of JSON requests, as far as the simulator reads them; unknown fields are ignored, as the service does."""

from typing import Annotated, Any, Literal, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tinker_simulator.answers import ApiError

RunMetadata = dict[str, str]
Sequence = Annotated[int, Field(ge=0)]


class Body(BaseModel):
    """What every request body has in common."""

    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())


class CreateSession(Body):
    """`POST create_session`."""

    tags: list[str] = []
    user_metadata: RunMetadata | None = None
    project_id: str | None = None
    display_name: str | None = None


class Heartbeat(Body):
    """`POST session_heartbeat`."""

    session_id: str


class FinishReason(Body):
    """Why a session ends."""

    type: Literal["success", "errored", "interrupted"]


class FinishSession(Body):
    """`POST sessions/{id}/finish`."""

    reason: FinishReason
    detail: str | None = None


class Lora(Body):
    """The adapter asked for."""

    rank: int
    seed: int | None = None
    train_unembed: bool = True
    train_mlp: bool = True
    train_attn: bool = True


class Optimizer(Body):
    """The optimizer family asked for."""

    type: str = "adamw"


class CreateModel(Body):
    """`POST create_model`."""

    session_id: str
    model_seq_id: Sequence
    base_model: str
    lora_config: Lora
    user_metadata: RunMetadata | None = None
    optimizer_config: Optimizer = Optimizer()


class LoadWeights(Body):
    """`POST load_weights`: a new run (session and model number) or an existing one (model id and sequence number)."""

    path: str
    optimizer: bool
    session_id: str | None = None
    model_seq_id: Sequence | None = None
    model_id: str | None = None
    seq_id: Sequence | None = None
    base_model: str | None = None
    user_metadata: RunMetadata | None = None


class AdamParams(Body):
    """Settings of one optimizer step."""

    learning_rate: float = 1e-4
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.95
    eps: Annotated[float, Field(gt=0)] = 1e-12
    weight_decay: float = 0.0
    grad_clip_norm: Annotated[float, Field(ge=0)] = 0.0


class OptimStep(Body):
    """`POST optim_step`."""

    model_id: str
    seq_id: Sequence
    adam_params: AdamParams


class SaveWeights(Body):
    """`POST save_weights`."""

    model_id: str
    seq_id: Sequence
    path: str
    ttl_seconds: int | None = None
    overwrite: bool = False
    user_metadata: RunMetadata | None = None


class SaveWeightsForSampler(Body):
    """`POST save_weights_for_sampler`: named by `path`, or ephemeral with a sampling session's number instead."""

    model_id: str
    seq_id: Sequence
    path: str | None = None
    sampling_session_seq_id: Sequence | None = None
    ttl_seconds: int | None = None
    user_metadata: RunMetadata | None = None


class ModelReference(Body):
    """`POST get_info`."""

    model_id: str


class RetrieveFuture(Body):
    """`POST retrieve_future`."""

    request_id: str


class WeightsInfo(Body):
    """`POST weights_info`."""

    tinker_path: str


class Ttl(Body):
    """`PUT .../ttl`: null takes the expiry away, and has to be said."""

    ttl_seconds: int | None


class CreateSamplingSession(Body):
    """`POST create_sampling_session`."""

    session_id: str
    sampling_session_seq_id: Sequence
    base_model: str | None = None
    model_path: str | None = None


class PromptChunk(Body):
    """One piece of a prompt; only text is read."""

    type: str
    tokens: list[int] = []


class Prompt(Body):
    """What to continue."""

    chunks: list[PromptChunk]


class SamplingParams(Body):
    """How to continue it."""

    max_tokens: Annotated[int, Field(ge=1, le=4096)] | None = None
    seed: int | None = None
    stop: str | list[str] | list[int] | None = None
    temperature: Annotated[float, Field(ge=0)] = 1.0
    top_k: int = -1
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0


class Sample(Body):
    """`POST asample`."""

    sampling_session_id: str
    seq_id: Sequence
    num_samples: Annotated[int, Field(ge=1, le=128)] = 1
    prompt: Prompt
    sampling_params: SamplingParams
    prompt_logprobs: bool = False
    topk_prompt_logprobs: Annotated[int, Field(ge=0)] = 0
    topk_sample_logprobs: Annotated[int, Field(ge=0)] = 0
    prompt_alt_tokens_k: int = 0
    target_prompt_logprobs: Any = None


class PageQuery(Body):
    """`limit` and `offset` of a listing."""

    limit: Annotated[int, Field(ge=1)]
    offset: Sequence = 0


BodyType = TypeVar("BodyType", bound=BaseModel)


async def parsed(request: web.Request, body: type[BodyType]) -> BodyType:
    """The request's JSON body.

    Raises:
        ApiError: 422, it is not JSON or not of that shape; each wrong field is named.
    """
    try:
        return body.model_validate_json(await request.read() or b"{}")
    except ValidationError as invalid:
        raise _unprocessable(invalid, "body") from invalid


def page_of(request: web.Request, default_limit: int, highest_limit: int) -> PageQuery:
    """The page asked for; a limit over the highest is lowered to it, and the answer's cursor says so.

    Raises:
        ApiError: 422, a number is not one, or out of range.
    """
    try:
        page = PageQuery.model_validate({"limit": default_limit, **request.query})
    except ValidationError as invalid:
        raise _unprocessable(invalid, "query") from invalid
    return page.model_copy(update={"limit": min(page.limit, highest_limit)})


def _unprocessable(invalid: ValidationError, place: str) -> ApiError:
    errors = [
        {"type": error["type"], "loc": [place, *error["loc"]], "msg": error["msg"]}
        for error in invalid.errors(include_input=False, include_context=False, include_url=False)
    ]
    return ApiError(422, errors)
