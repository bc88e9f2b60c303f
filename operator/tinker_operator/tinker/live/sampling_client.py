"""Draws tokens from one set of weights, under the names that users of the official SDK know."""

import asyncio
from itertools import count
from math import inf
from typing import Final

from tinker_operator.tinker.errors import Gone, InvalidResponse
from tinker_operator.tinker.payload.inputs import ModelInput
from tinker_operator.tinker.payload.sampling import SampleResponse, SamplingParams
from tinker_operator.tinker.sampling import SampleRequest, SamplingCalls
from tinker_operator.tinker.service_models import ClientConfig

MOST_AT_A_TIME: Final = 64
"""Each sample that is waited for holds a connection open, of which there are a hundred."""
_TIMES_LOST: Final = 2


class SamplingClient:
    """One sampling session; `TinkerClient.create_sampling_client` makes it.

    Many tasks may use one at a time; more samples than the service wants at once wait for their turn.

    Args:
        calls: What it speaks through.
        sampling_session_id: The session.
        config: How the service wants to be spoken to.
    """

    def __init__(self, calls: SamplingCalls, sampling_session_id: str, config: ClientConfig) -> None:
        self.sampling_session_id = sampling_session_id
        self._calls = calls
        self._numbers = count()
        self._turns = asyncio.Semaphore(min(MOST_AT_A_TIME, config.sample_max_concurrent_requests))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.sampling_session_id!r})"

    async def get_base_model(self) -> str:
        """Ask which base model the weights belong to."""
        return (await self._calls.get_sampler(self.sampling_session_id)).base_model

    async def sample(
        self,
        prompt: ModelInput,
        num_samples: int,
        sampling_params: SamplingParams,
        *,
        include_prompt_logprobs: bool = False,
        topk_prompt_logprobs: int = 0,
        topk_sample_logprobs: int = 0,
        wait_seconds: float = inf,
    ) -> SampleResponse:
        """Draw samples, each independent of the others.

        While the service is busy the request is made again under the same number, which it draws once.

        Args:
            prompt: What comes before.
            num_samples: How many.
            sampling_params: How.
            include_prompt_logprobs: Whether to give the log-probabilities of the prompt's own tokens.
            topk_prompt_logprobs: How many of the likeliest tokens to give at each position of the prompt.
            topk_sample_logprobs: How many of them at each position of a sample.
            wait_seconds: The longest to wait, in all.

        Raises:
            RateLimited: The service was busy all the time.
            FuturePending: It is still at work.
            FutureFailed: It failed at the work.
            Gone: The session is over.
        """
        request = SampleRequest(
            prompt, num_samples, sampling_params, include_prompt_logprobs, topk_prompt_logprobs, topk_sample_logprobs
        )
        async with self._turns:
            return await self._drawn(request, wait_seconds)

    async def compute_logprobs(self, prompt: ModelInput, *, wait_seconds: float = inf) -> tuple[float | None, ...]:
        """Give the log-probability of each token of a prompt after those before it; of the first there is none.

        Raises:
            InvalidResponse: The service gave more or fewer than there are tokens.
        """
        params = SamplingParams(max_tokens=1)
        drawn = await self.sample(prompt, 1, params, include_prompt_logprobs=True, wait_seconds=wait_seconds)
        if drawn.prompt_logprobs is None or len(drawn.prompt_logprobs) != prompt.length:
            raise InvalidResponse("The service gave no log-probability for each token of the prompt")
        return drawn.prompt_logprobs

    async def _drawn(self, request: SampleRequest, wait_seconds: float) -> SampleResponse:
        """Ask anew when the service lost the work: what it never gave it may draw again."""
        for _ in range(_TIMES_LOST):
            try:
                return await self._calls.asample(
                    self.sampling_session_id, next(self._numbers), request, wait_seconds=wait_seconds
                )
            except Gone:
                continue
        return await self._calls.asample(
            self.sampling_session_id, next(self._numbers), request, wait_seconds=wait_seconds
        )
