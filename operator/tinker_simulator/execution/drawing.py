"""Sampling: continues a prompt with the weights of a sampling session."""

import asyncio
from collections.abc import Sequence

import numpy as np

from tinker_operator.tinker.proto import tinker_public_pb2 as wire
from tinker_simulator.execution.completion import Completion, OperationFailedError, protobuf_completion
from tinker_simulator.execution.workbench import Workbench
from tinker_simulator.learning.adapter import VOCABULARY, Array, Factors, seed_from
from tinker_simulator.learning.sampling import Sampled, SamplingSettings, prompt_logprobs, prompt_rows, sample
from tinker_simulator.records import FutureRecord, SamplerRecord
from tinker_simulator.requests import Sample

_DEFAULT_TOKENS = 16


async def draw(bench: Workbench, future: FutureRecord) -> Completion:
    """Draw as many continuations as asked, and score the prompt when asked."""
    asked = Sample.model_validate_json(future.request)
    sampler = bench.store.samplers.get(future.owner, asked.sampling_session_id)
    if sampler is None:
        raise OperationFailedError(f"Sampling session {asked.sampling_session_id} is gone.")
    factors = _factors(bench, sampler)
    response = await asyncio.to_thread(_response, sampler.base_model, factors, asked)
    return protobuf_completion(response.SerializeToString())


def _factors(bench: Workbench, sampler: SamplerRecord) -> Factors:
    if sampler.file is None or sampler.config is None:
        return {}
    path = sampler.model_path or sampler.sampler_id
    return bench.stored_state(sampler.file, sampler.config, path, optimizer=False).factors


def _response(base_model: str, factors: Factors, asked: Sample) -> wire.SampleResponse:
    prompt = [token for chunk in asked.prompt.chunks for token in chunk.tokens]
    settings, seed = _settings(asked), _seed(asked, prompt)
    response = wire.SampleResponse()
    for number in range(asked.num_samples):
        sampled = sample(base_model, factors, prompt, settings, seed_from(f"{seed}/{number}"))
        response.sequences.append(_sequence(sampled, asked.topk_sample_logprobs))
    if asked.prompt_logprobs:
        response.prompt_logprobs = prompt_logprobs(base_model, factors, prompt).astype("<f4").tobytes()
    if asked.topk_prompt_logprobs:
        rows = prompt_rows(base_model, factors, prompt)
        response.topk_prompt_logprobs.CopyFrom(_topk(list(rows), asked.topk_prompt_logprobs, empty_first=True))
    return response


def _settings(asked: Sample) -> SamplingSettings:
    params = asked.sampling_params
    stops = frozenset(stop for stop in params.stop if isinstance(stop, int)) if params.stop else frozenset()
    return SamplingSettings(
        max_tokens=params.max_tokens or _DEFAULT_TOKENS,
        temperature=params.temperature,
        top_k=params.top_k,
        top_p=params.top_p,
        stop_tokens=stops,
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
        sequence.topk_sampled_logprobs.CopyFrom(_topk(sampled.rows, topk))
    return sequence


def _topk(rows: Sequence[Array], k: int, *, empty_first: bool = False) -> wire.TopkLogprobs:
    k = min(k, VOCABULARY)
    # Nothing comes before a prompt's first token: its row is the wire's "empty cell".
    tokens = [np.zeros(k, "<i4")] if empty_first else []
    logprobs = [np.full(k, -99999.0, "<f4")] if empty_first else []
    for row in rows:
        best = np.argsort(-row, kind="stable")[:k]
        tokens.append(best.astype("<i4"))
        logprobs.append(row[best].astype("<f4"))
    return wire.TopkLogprobs(
        token_ids=b"".join(value.tobytes() for value in tokens),
        logprobs=b"".join(value.tobytes() for value in logprobs),
        k=k,
        length=len(tokens),
    )
