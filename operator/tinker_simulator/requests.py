"""Bodies of JSON requests, as far as the simulator reads them; unknown fields are ignored, as the service does."""

from typing import Annotated, Literal, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from tinker_simulator.answers import ApiError

RunMetadata = dict[str, str]
LARGEST = 2**63 - 1  # of what the state file takes
Sequence = Annotated[int, Field(ge=0, le=LARGEST)]


class Body(BaseModel):
    """What every request body has in common."""

    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())


class Lora(Body):
    """The adapter asked for."""

    rank: int
    seed: Annotated[int, Field(ge=-LARGEST, le=LARGEST)] | None = None
    train_unembed: bool = True
    train_mlp: bool = True
    train_attn: bool = True


class Optimizer(Body):
    """The optimizer family asked for."""

    type: str


class CreateModel(Body):
    """`POST create_model`."""

    session_id: str
    model_seq_id: Sequence
    base_model: str
    lora_config: Lora
    user_metadata: RunMetadata | None = None
    optimizer_config: Optimizer | None = None


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
    optimizer_config: Optimizer | None = None
    # Looked at when the request comes, never stored with it.
    weights_access_token: Annotated[SecretStr | None, Field(exclude=True)] = None


class AdamParams(Body):
    """Settings of one optimizer step."""

    learning_rate: float = 1e-4
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.95
    eps: Annotated[float, Field(gt=0)] = 1e-12
    weight_decay: float = 0.0
    grad_clip_norm: Annotated[float, Field(ge=0)] = 0.0


class OptimStep(Body):
    """`POST optim_step`: other families than Adam say what they are in `optimizer_params`."""

    model_id: str
    seq_id: Sequence
    adam_params: AdamParams | None = None
    optimizer_params: Optimizer | None = None


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
    kind: Literal["snapshot", "inflight"] = "snapshot"
    ttl_seconds: int | None = None
    user_metadata: RunMetadata | None = None


class SaveWeightsExternal(Body):
    """`POST save_weights_external`."""

    model_id: str
    seq_id: Sequence
    path: str
    ttl_seconds: int | None = None
    age_encryption_recipients: list[str] | None = None
    user_metadata: RunMetadata | None = None


class ModelReference(Body):
    """`POST get_info`."""

    model_id: str


class RetrieveFuture(Body):
    """`POST retrieve_future`; with `allow_metadata_only` a large result may be announced by its size."""

    request_id: str
    allow_metadata_only: bool = False


class SamplingTarget(Body):
    """One client of a sampling session."""

    sampling_session_id: str
    cloned_sampler_id: Sequence = 0


class RetrieveFutures(Body):
    """`POST retrieve_futures`: what has ended after the cursor, waited for up to `timeout` seconds."""

    target: SamplingTarget
    prev_cursor: Sequence = 0
    timeout: Annotated[float, Field(ge=0)] | None = None


class CancelFuture(Body):
    """`POST cancel_future`."""

    request_id: str


class JoinSamplingSession(Body):
    """`POST join_sampling_session`."""

    sampling_session_id: str


class CreateSamplingSession(Body):
    """`POST create_sampling_session`."""

    session_id: str
    sampling_session_seq_id: Sequence
    base_model: str | None = None
    model_path: str | None = None


class PromptChunk(Body):
    """One piece of a prompt: `tokens` of text, `data` (base64) of an image, or the `location` of one."""

    type: str
    tokens: list[int] = []
    data: str = ""
    location: str = ""
    expected_tokens: Annotated[int, Field(ge=0)] | None = None


class Prompt(Body):
    """What to continue."""

    chunks: list[PromptChunk]


class SamplingParams(Body):
    """How to continue it."""

    max_tokens: Annotated[int, Field(ge=1, le=4096)] | None = None
    seed: int | None = None
    stop: str | list[int] | list[str] | None = None
    temperature: Annotated[float, Field(ge=0)] = 1.0
    top_k: Annotated[int, Field(ge=-1)] = -1
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0

    @property
    def stops(self) -> tuple[int | str, ...]:
        """Tokens and texts that end a sequence."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())


class TargetIds(Body):
    """Token ids to score at prompt positions: a matrix, dense or in compressed rows; -1 asks for nothing."""

    data: list[int]
    dtype: Literal["int64"]
    shape: tuple[Sequence, Sequence]
    sparse_crow_indices: list[int] | None = None
    sparse_col_indices: list[int] | None = None


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
    prompt_logprobs_last_n: Annotated[int, Field(ge=1)] | None = None
    prompt_alt_tokens_k: Annotated[int, Field(ge=0)] = 0
    target_prompt_logprobs: TargetIds | None = None


BodyType = TypeVar("BodyType", bound=BaseModel)


async def parsed(request: web.Request, body: type[BodyType]) -> BodyType:
    """The request's JSON body.

    Raises:
        ApiError: 422, it is not JSON or not of that shape; each wrong field is named.
    """
    try:
        return body.model_validate_json(await request.read() or b"{}")
    except ValidationError as invalid:
        raise unprocessable(invalid, "body") from invalid


def unprocessable(invalid: ValidationError, place: str) -> ApiError:
    """422 for a body or a query that does not validate; each wrong field is named."""
    errors = [
        {"type": error["type"], "loc": [place, *error["loc"]], "msg": error["msg"]}
        for error in invalid.errors(include_input=False, include_context=False, include_url=False)
    ]
    return ApiError(422, errors)
