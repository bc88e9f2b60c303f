"""Draws tokens from the model, and scores prompts: the same prompt, seed and weights give the same, always.

The small vocabulary is that of ASCII, so every token is a character and text can be looked for in what was drawn. No
token means "the end": a sequence ends where it is asked to.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tinker_simulator.learning.adapter import FLOAT, Array, Factors
from tinker_simulator.learning.network import Reader, folded, forward

Tokens = np.ndarray[tuple[int, ...], np.dtype[np.int64]]


@dataclass(frozen=True, slots=True)
class SamplingSettings:
    """How to draw.

    `temperature` 0 takes the likeliest, `top_k` below 1 and `top_p` 1 leave every token in the draw. A sequence ends
    with a token of `stop_tokens`, or where its text ends with one of `stop_texts`; either is part of it.
    """

    max_tokens: int = 16
    temperature: float = 1.0
    top_k: int = -1
    top_p: float = 1.0
    stop_tokens: frozenset[int] = frozenset()
    stop_texts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sampled:
    """One drawn sequence; `logprobs` are the model's own, before temperature; `stopped` when a stop ended it."""

    tokens: tuple[int, ...]
    logprobs: tuple[float, ...]
    rows: tuple[Array, ...]
    stopped: bool


def wanted() -> bool:
    """Nobody has given up."""
    return True


def sample(
    base_model: str,
    factors: Factors,
    prompt: Sequence[int],
    settings: SamplingSettings,
    seed: int,
    *,
    still_wanted: Callable[[], bool] = wanted,
) -> Sampled:
    """Continue `prompt` (one token at least) until a stop or `max_tokens`, or until it is not wanted any more."""
    generator, reader = np.random.default_rng(seed), Reader(base_model, factors, prompt)
    tokens: list[int] = []
    rows: list[Array] = []
    stopped = False
    while len(tokens) < settings.max_tokens and not stopped and still_wanted():
        rows.append(reader.row())
        tokens.append(_drawn(rows[-1], settings, generator))
        reader.push(tokens[-1])
        stopped = _stops(tokens, settings)
    logprobs = tuple(float(row[token]) for row, token in zip(rows, tokens, strict=True))
    return Sampled(tuple(tokens), logprobs, tuple(rows), stopped)


def prompt_rows(base_model: str, factors: Factors, prompt: Sequence[int]) -> Array:
    """The whole distribution before each prompt token but the first, which has none before it."""
    return forward(base_model, factors, prompt).logprobs[:-1]


def prompt_logprobs(base_model: str, factors: Factors, prompt: Sequence[int]) -> Array:
    """Log-probability of each prompt token given those before it; NaN for the first."""
    return scored(prompt_rows(base_model, factors, prompt), prompt)


def scored(rows: Array, prompt: Sequence[int]) -> Array:
    """Log-probability of each prompt token by the distributions before it; NaN for the first."""
    following = folded(prompt)[1:]
    return np.concatenate([np.full(1, np.nan, FLOAT), rows[np.arange(len(following)), following]])


def alternatives(rows: Array, count: int, temperature: float, seed: int) -> tuple[Tokens, Array]:
    """`count` tokens drawn at every row, each draw by itself, and the model's own log-probability of each."""
    settings, generator = SamplingSettings(temperature=temperature), np.random.default_rng(seed)
    drawn = [[_drawn(row, settings, generator) for _ in range(count)] for row in rows]
    tokens: Tokens = np.asarray(drawn, np.int64).reshape(len(rows), count)
    return tokens, np.take_along_axis(rows, tokens, axis=1)


def _stops(tokens: Sequence[int], settings: SamplingSettings) -> bool:
    if tokens[-1] in settings.stop_tokens:
        return True
    longest = max(map(len, settings.stop_texts), default=0)
    return longest > 0 and "".join(map(chr, tokens[-longest:])).endswith(settings.stop_texts)


def _drawn(row: Array, settings: SamplingSettings, generator: np.random.Generator) -> int:
    if settings.temperature <= 0:
        return int(row.argmax())
    order = np.argsort(-row, kind="stable")
    heat = np.exp((row[order].astype(np.float64) - float(row.max())) / settings.temperature)
    mass = heat / heat.sum()
    allowed = len(order) if settings.top_k < 1 else settings.top_k
    kept = min(allowed, int(np.searchsorted(np.cumsum(mass), settings.top_p)) + 1, len(order))
    return int(order[generator.choice(kept, p=mass[:kept] / mass[:kept].sum())])
