"""Sampling: continues a prompt with the weights of a sampling session."""

import asyncio
from collections.abc import Sequence

import numpy as np

from tinker_operator.tinker.proto import tinker_public_pb2 as wire
from tinker_simulator.execution.completion import Completion, OperationFailedError, protobuf_completion
from tinker_simulator.execution.pieces import tokens_of_prompt
from tinker_simulator.execution.scoring import scores, topk_form
from tinker_simulator.execution.workbench import Workbench
from tinker_simulator.learning.adapter import Factors, seed_from
from tinker_simulator.learning.sampling import Sampled, SamplingSettings, sample
from tinker_simulator.records import FutureRecord, SamplerRecord
from tinker_simulator.requests import Sample, SamplingParams

_DEFAULT_TOKENS = 16


async def draw(bench: Workbench, future: FutureRecord) -> Completion:
    """Draw as many continuations as asked, and score the prompt when asked."""
    asked = Sample.model_validate_json(future.request)
    sampler = bench.store.samplers.get(future.owner, asked.sampling_session_id)
    if sampler is None:
        raise OperationFailedError(f"Sampling session {asked.sampling_session_id} is gone.")
    prompt = tokens_of_prompt(asked.prompt.chunks)
    model = sampler.base_model, _factors(bench, sampler), prompt
    settings, seed = _settings(asked.sampling_params), _seed(asked, prompt)
    response = await asyncio.to_thread(scores, *model, asked, seed)
    wanted = True
    try:
        for number in range(asked.num_samples):
            seed_of_one = seed_from(f"{seed}/{number}")
            drawn = await asyncio.to_thread(sample, *model, settings, seed_of_one, still_wanted=lambda: wanted)
            response.sequences.append(_sequence(drawn, asked.topk_sample_logprobs))
    finally:
        # A thread cannot be cancelled: it looks for itself.
        wanted = False
    return protobuf_completion(response.SerializeToString())


def _factors(bench: Workbench, sampler: SamplerRecord) -> Factors:
    if sampler.file is None or sampler.config is None:
        return {}
    path = sampler.model_path or sampler.sampler_id
    return bench.stored_state(sampler.file, sampler.config, path, optimizer=False).factors


def _settings(params: SamplingParams) -> SamplingSettings:
    return SamplingSettings(
        max_tokens=params.max_tokens or _DEFAULT_TOKENS,
        temperature=params.temperature,
        top_k=params.top_k,
        top_p=params.top_p,
        stop_tokens=frozenset(stop for stop in params.stops if isinstance(stop, int)),
        stop_texts=tuple(stop for stop in params.stops if isinstance(stop, str)),
    )


def _seed(asked: Sample, prompt: Sequence[int]) -> str:
    if asked.sampling_params.seed is not None:
        return f"seed/{asked.sampling_params.seed}"
    return f"draw/{asked.sampling_session_id}/{asked.seq_id}/{prompt}"


def _sequence(sampled: Sampled, topk: int) -> wire.SampledSequence:
    sequence = wire.SampledSequence(
        stop_reason=wire.STOP_REASON_STOP if sampled.stopped else wire.STOP_REASON_LENGTH,
        tokens=np.asarray(sampled.tokens, "<i4").tobytes(),
        logprobs=np.asarray(sampled.logprobs, "<f4").tobytes(),
    )
    if topk:
        sequence.topk_sampled_logprobs.CopyFrom(topk_form(sampled.rows, topk))
    return sequence
