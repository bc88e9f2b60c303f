"""Draws tokens from the model: the same prompt, seed and weights give the same text, always."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tinker_simulator.learning.adapter import Array, Factors
from tinker_simulator.learning.network import folded, forward


@dataclass(frozen=True, slots=True)
class SamplingSettings:
    """How to draw: `temperature` 0 takes the likeliest, `top_k` -1 and `top_p` 1 leave every token in the draw."""

    max_tokens: int = 16
    temperature: float = 1.0
    top_k: int = -1
    top_p: float = 1.0
    stop_tokens: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Sampled:
    """One drawn sequence; `logprobs` are the model's own, before temperature; `stopped` when a stop token ended it."""

    tokens: tuple[int, ...]
    logprobs: tuple[float, ...]
    rows: tuple[Array, ...]
    stopped: bool


def sample(base_model: str, factors: Factors, prompt: Sequence[int], settings: SamplingSettings, seed: int) -> Sampled:
    """Continue `prompt` (one token at least) until a stop token or `max_tokens`."""
    generator = np.random.default_rng(seed)
    sequence = list(prompt)
    logprobs: list[float] = []
    rows: list[Array] = []
    for _ in range(settings.max_tokens):
        row = forward(base_model, factors, sequence).logprobs[-1]
        token = _draw(row, settings, generator)
        sequence.append(token)
        logprobs.append(float(row[token]))
        rows.append(row)
        if token in settings.stop_tokens:
            return Sampled(tuple(sequence[len(prompt) :]), tuple(logprobs), tuple(rows), stopped=True)
    return Sampled(tuple(sequence[len(prompt) :]), tuple(logprobs), tuple(rows), stopped=False)


def prompt_logprobs(base_model: str, factors: Factors, prompt: Sequence[int]) -> Array:
    """Log-probability of each prompt token given those before it; NaN for the first, which has none before it."""
    rows = forward(base_model, factors, prompt).logprobs
    following = folded(prompt)[1:]
    scored = rows[np.arange(len(following)), following]
    return np.concatenate([np.full(1, np.nan, rows.dtype), scored])


def prompt_rows(base_model: str, factors: Factors, prompt: Sequence[int]) -> Array:
    """The whole distribution before each prompt token but the first."""
    return forward(base_model, factors, prompt).logprobs[:-1]


def _draw(row: Array, settings: SamplingSettings, generator: np.random.Generator) -> int:
    if settings.temperature <= 0:
        return int(row.argmax())
    order = np.argsort(-row, kind="stable")
    heat = np.exp((row[order].astype(np.float64) - float(row.max())) / settings.temperature)
    mass = heat / heat.sum()
    allowed = len(order) if settings.top_k < 0 else max(1, settings.top_k)
    kept = min(allowed, int(np.searchsorted(np.cumsum(mass), settings.top_p)) + 1, len(order))
    return int(order[generator.choice(kept, p=mass[:kept] / mass[:kept].sum())])
