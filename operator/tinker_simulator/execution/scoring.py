"""What a sampling request can ask about its prompt: how likely its tokens are, or others in their place."""

from collections.abc import Sequence

import numpy as np

from tinker_operator.tinker.proto import tinker_public_pb2 as wire
from tinker_simulator.learning.adapter import VOCABULARY, Array, Factors, seed_from
from tinker_simulator.learning.network import folded
from tinker_simulator.learning.sampling import Tokens, alternatives, prompt_rows, scored
from tinker_simulator.requests import Sample, TargetIds

# As wide as the service lets a question about each position be.
_WIDEST = 1 << 16

# How the wire marks a cell of a top-k matrix that has nothing in it.
_NO_TOKEN, _NO_LOGPROB = 0, -99999.0


class ScoreError(ValueError):
    """A score is asked for that the prompt cannot have."""


def check_scores(asked: Sample, length: int) -> None:
    """Refuse what cannot be said about a prompt of `length` tokens.

    Raises:
        ScoreError: there is no such position, or the ids to score do not fit the prompt.
    """
    last, target = asked.prompt_logprobs_last_n, asked.target_prompt_logprobs
    if last is not None and not asked.prompt_logprobs:
        raise ScoreError("prompt_logprobs_last_n requires prompt_logprobs. Set it.")
    if last is not None and not last < length:
        raise ScoreError(f"prompt_logprobs_last_n must be between 1 and {length - 1}, one less than the prompt has.")
    if asked.prompt_alt_tokens_k * length > _WIDEST:
        raise ScoreError(f"prompt_alt_tokens_k times the prompt's length exceeds {_WIDEST}. Ask for fewer.")
    if target is not None:
        _check_target(target, length)


def scores(base_model: str, factors: Factors, prompt: Sequence[int], asked: Sample, seed: str) -> wire.SampleResponse:
    """A response that holds what was asked about the prompt, and nothing drawn yet."""
    response = wire.SampleResponse()
    if not (asked.prompt_logprobs or asked.topk_prompt_logprobs or asked.prompt_alt_tokens_k or _targets(asked)):
        return response
    rows = prompt_rows(base_model, factors, prompt)
    unscored = len(prompt) - (asked.prompt_logprobs_last_n or len(prompt) - 1)
    if asked.prompt_logprobs:
        logprobs = scored(rows, prompt)
        logprobs[:unscored] = np.nan
        response.prompt_logprobs = logprobs.astype("<f4").tobytes()
    if asked.topk_prompt_logprobs:
        best = topk_form(rows[unscored - 1 :], asked.topk_prompt_logprobs, empty=unscored)
        response.topk_prompt_logprobs.CopyFrom(best)
    if asked.target_prompt_logprobs is not None:
        response.target_prompt_logprobs.CopyFrom(_target_form(rows, asked.target_prompt_logprobs))
    if asked.prompt_alt_tokens_k:
        count, temperature = asked.prompt_alt_tokens_k, asked.sampling_params.temperature
        drawn = alternatives(rows, count, temperature, seed_from(f"{seed}/alternatives"))
        response.prompt_alt_tokens.CopyFrom(_alternatives_form(*drawn))
    return response


def topk_form(rows: Sequence[Array] | Array, k: int, *, empty: int = 0) -> wire.TopkLogprobs:
    """The likeliest `k` tokens of each row, after `empty` positions that have none."""
    k = min(k, VOCABULARY)
    tokens = [np.full(k, _NO_TOKEN, "<i4") for _ in range(empty)]
    logprobs = [np.full(k, _NO_LOGPROB, "<f4") for _ in range(empty)]
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


def _targets(asked: Sample) -> bool:
    return asked.target_prompt_logprobs is not None


def _check_target(target: TargetIds, length: int) -> None:
    rows, columns = target.shape
    if rows != length - 1:
        raise ScoreError(f"target_prompt_logprobs has {rows} rows. Send one for each prompt token but the first.")
    starts, places = target.sparse_crow_indices, target.sparse_col_indices
    if starts is None or places is None:
        fits = starts is places is None and len(target.data) == rows * columns
    else:
        ordered = len(starts) == rows + 1 and starts[0] == 0 and starts == sorted(starts)
        fits = ordered and starts[-1] == len(places) == len(target.data) and all(0 <= at < columns for at in places)
    if not fits:
        raise ScoreError("The values of target_prompt_logprobs do not fit its shape. Send one per cell.")
    if all(number == -1 for number in target.data):
        raise ScoreError("target_prompt_logprobs names no token. Name one at least, or leave it out.")


def _target_form(rows: Array, target: TargetIds) -> wire.Tensor:
    ids = np.asarray(target.data, np.int64)
    if target.sparse_crow_indices is None:
        positions = np.repeat(np.arange(target.shape[0]), target.shape[1])
    else:
        positions = np.repeat(np.arange(target.shape[0]), np.diff(target.sparse_crow_indices))
    values = np.where(ids == -1, 0.0, rows[positions, folded(ids.tolist())]).astype("<f4").tobytes()
    form = wire.Tensor(dtype=wire.DTYPE_FLOAT32, shape=target.shape)
    if target.sparse_crow_indices is None:
        form.dense = values
    else:
        form.sparse_csr.values = values
        form.sparse_csr.crow_indices = np.asarray(target.sparse_crow_indices, "<i8").tobytes()
        form.sparse_csr.col_indices = np.asarray(target.sparse_col_indices, "<i8").tobytes()
    return form


def _alternatives_form(tokens: Tokens, logprobs: Array) -> wire.PromptAltTokens:
    return wire.PromptAltTokens(
        tokens=wire.Tensor(dense=tokens.astype("<i8").tobytes(), dtype=wire.DTYPE_INT64, shape=tokens.shape),
        logprobs=wire.Tensor(dense=logprobs.astype("<f4").tobytes(), dtype=wire.DTYPE_FLOAT32, shape=logprobs.shape),
    )
