"""The calls that draw tokens."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any, Final

from tinker_operator.tinker import calls
from tinker_operator.tinker.connection import Connection
from tinker_operator.tinker.errors import CallNotPossible, InvalidResponse, RateLimited, TinkerError
from tinker_operator.tinker.models import FutureSubmitted
from tinker_operator.tinker.payload import wireform
from tinker_operator.tinker.payload.inputs import ModelInput
from tinker_operator.tinker.payload.sampling import SampleResponse, SamplingParams
from tinker_operator.tinker.retry import may_repeat
from tinker_operator.tinker.service_models import Sampler, SamplingSessionJoined, SamplingSessionMade

LARGE_PROMPT: Final = 128 * 1024
_PAUSE: Final = 1.0
_LONG_PAUSE: Final = 5.0
"""After 429, in seconds; the longer one for a large prompt, both as of the official client."""


@dataclass(frozen=True, slots=True)
class SampleRequest:
    """What to draw.

    Args:
        prompt: What comes before.
        num_samples: How many samples, independent of each other.
        sampling_params: How.
        include_prompt_logprobs: Whether to give the log-probabilities of the prompt's own tokens.
        topk_prompt_logprobs: How many of the likeliest tokens to give at each position of the prompt.
        topk_sample_logprobs: How many of them at each position of a sample.

    Raises:
        CallNotPossible: A count is less than it can be.
    """

    prompt: ModelInput
    num_samples: int = 1
    sampling_params: SamplingParams = field(default_factory=SamplingParams)
    include_prompt_logprobs: bool = False
    topk_prompt_logprobs: int = 0
    topk_sample_logprobs: int = 0

    def __post_init__(self) -> None:
        if self.num_samples < 1:
            raise CallNotPossible(f"There cannot be {self.num_samples} samples", "Ask for one or more.")
        if min(self.topk_prompt_logprobs, self.topk_sample_logprobs) < 0:
            raise CallNotPossible("There cannot be fewer than no likeliest tokens", "Ask for none or more.")

    def to_json(self) -> Mapping[str, Any]:
        """Give the form that the wire has."""
        return {
            "num_samples": self.num_samples,
            "prompt": self.prompt.to_json(),
            "sampling_params": self.sampling_params.to_json(),
            "prompt_logprobs": self.include_prompt_logprobs,
            "topk_prompt_logprobs": self.topk_prompt_logprobs,
            "topk_sample_logprobs": self.topk_sample_logprobs,
        }


class SamplingCalls(Connection):
    """Calls about samplers."""

    async def create_sampling_session(
        self,
        *,
        session_id: str,
        sampling_session_seq_id: int,
        model_path: str | None = None,
        base_model: str | None = None,
    ) -> str:
        """Open a sampling session and give its id; the same (session_id, sampling_session_seq_id) again is the same.

        Raises:
            CallNotPossible: Neither a checkpoint nor a base model is given.
            NotFound: No such checkpoint.
        """
        call = calls.create_sampling_session(session_id, sampling_session_seq_id, model_path, base_model)
        return (await self._transport.ask(call, SamplingSessionMade)).sampling_session_id

    async def join_sampling_session(self, sampling_session_id: str) -> int:
        """Give a number that nobody else in the sampling session has; a client counts on from a milliard times it."""
        call = calls.join_sampling_session(sampling_session_id)
        return (await self._transport.ask(call, SamplingSessionJoined)).client_counter

    async def get_sampler(self, sampling_session_id: str) -> Sampler:
        """Say what a sampling session draws from.

        Raises:
            NotFound: No such sampling session.
        """
        return await self._transport.ask(calls.sampler(sampling_session_id), Sampler)

    async def asample(
        self, sampling_session_id: str, seq_id: int, request: SampleRequest, *, wait_seconds: float = inf
    ) -> SampleResponse:
        """Draw; the same (sampling_session_id, seq_id) again gives the same samples.

        A service that is busy answers 429, which is waited out.

        Raises:
            RateLimited: It was busy until the end of `wait_seconds`.
            FuturePending: It is at work; asking again with the same ids goes on waiting.
            FutureFailed: It failed at the work.
            Gone: The session is over, or the service lost the work: ask again under another number.
        """
        keeper = self._transport.keeper
        deadline = keeper.monotonic() + wait_seconds
        body = {"sampling_session_id": sampling_session_id, "seq_id": seq_id, **request.to_json()}
        pause = _LONG_PAUSE if request.prompt.bytes_count > LARGE_PROMPT else _PAUSE
        submitted = await self._taken(calls.asample(body), pause, deadline)
        if submitted.sample_sequence_ids is None or len(submitted.sample_sequence_ids) != request.num_samples:
            raise InvalidResponse("The service took a request for samples and did not name each of them")
        names = submitted.sample_sequence_ids
        answer = await self._futures.result(submitted.request_id, deadline, protobuf=True)
        return self._transport.decode(answer, lambda content: wireform.sample_response(content, names))

    async def _taken(self, call: calls.Call, pause: float, deadline: float) -> FutureSubmitted:
        """Submit until the service takes it; raise what will not pass, and what lasts until the deadline."""
        keeper, retry = self._transport.keeper, self._transport.retry
        faults, patience = 0, keeper.monotonic() + retry.total_seconds
        while True:
            try:
                return await self._transport.ask(call, FutureSubmitted)
            except RateLimited as error:
                wait, end = max(pause, error.retry_after or 0.0), deadline
                faults, patience = 0, keeper.monotonic() + wait + retry.total_seconds
                last: TinkerError = error
            except TinkerError as error:
                faults += 1
                if not may_repeat(error) or faults >= retry.max_attempts:
                    raise
                wait, end = retry.wait_seconds(faults, error, keeper.uniform), min(deadline, patience)
                last = error
            if keeper.monotonic() + wait >= end:
                raise last
            await keeper.sleep(wait)
