"""The network: a frozen embedding and unembedding, with low-rank paths for output, token and context.

Linear up to the softmax, so its gradient fits on a page and can be checked by differences.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tinker_simulator.learning.adapter import FLOAT, VOCABULARY, WIDTH, Array, Factors, seed_from


@dataclass(frozen=True, slots=True)
class BaseWeights:
    """The frozen weights of one base model: `embedding` is vocabulary x width, `unembedding` the reverse."""

    embedding: Array
    unembedding: Array


@dataclass(frozen=True, slots=True)
class Activations:
    """What the backward pass needs of a forward pass over one sequence; rows are positions."""

    embedded: Array
    context: Array
    hidden: Array
    projection: Array
    logprobs: Array


@lru_cache(maxsize=32)
def base_weights(base_model: str) -> BaseWeights:
    """Weights that depend on the model's name alone."""
    generator = np.random.default_rng(seed_from(f"base/{base_model}"))
    embedding = generator.normal(0.0, 1.0, (VOCABULARY, WIDTH)).astype(FLOAT)
    unembedding = generator.normal(0.0, WIDTH**-0.5, (WIDTH, VOCABULARY)).astype(FLOAT)
    return BaseWeights(embedding, unembedding)


def forward(base_model: str, factors: Factors, tokens: Sequence[int]) -> Activations:
    """Log-probabilities of the next token at every position of `tokens` (any integers: folded to the vocabulary)."""
    base = base_weights(base_model)
    embedded = base.embedding[folded(tokens)]
    context = np.cumsum(embedded, axis=0) / np.arange(1, len(embedded) + 1, dtype=FLOAT)[:, None]
    hidden: Array = embedded + _path(factors, "mlp", embedded) + _path(factors, "attn", context)
    projection = _projection(base_model, factors)
    return Activations(embedded, context, hidden, projection, _log_softmax(hidden @ projection))


class Reader:
    """Reads a sequence token by token, at the same cost for each: what drawing many tokens needs of `forward`.

    Args:
        base_model: Whose frozen weights.
        factors: The adapter; none for the base model alone.
        tokens: What has been read before, one token at least.
    """

    def __init__(self, base_model: str, factors: Factors, tokens: Sequence[int]) -> None:
        self._embedding = base_weights(base_model).embedding
        self._factors = factors
        self._projection = _projection(base_model, factors)
        embedded = self._embedding[folded(tokens)]
        self._sum: Array = np.cumsum(embedded, axis=0)[-1:]
        self._last: Array = embedded[-1:]
        self._count = len(embedded)

    def push(self, token: int) -> None:
        """Read one token more."""
        self._last = self._embedding[folded([token])]
        self._sum = self._sum + self._last
        self._count += 1

    def row(self) -> Array:
        """Log-probabilities of the token that comes next."""
        context: Array = self._sum / FLOAT(self._count)
        hidden: Array = self._last + _path(self._factors, "mlp", self._last) + _path(self._factors, "attn", context)
        row: Array = _log_softmax(hidden @ self._projection)[0]
        return row


def backward(factors: Factors, seen: Activations, logit_gradient: Array) -> dict[str, Array]:
    """Gradient of every factor, given the gradient of the loss by the logits (positions x vocabulary)."""
    by_hidden = logit_gradient @ seen.projection.T
    by_product = {
        "unembed": seen.hidden.T @ logit_gradient,
        "mlp": seen.embedded.T @ by_hidden,
        "attn": seen.context.T @ by_hidden,
    }
    gradients: dict[str, Array] = {}
    for name in factors:
        pair, side = name.rsplit("_", 1)
        outer = by_product[pair]
        gradients[name] = outer @ factors[f"{pair}_b"].T if side == "a" else factors[f"{pair}_a"].T @ outer
    return gradients


def folded(tokens: Sequence[int]) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """Tokens of any tokenizer, folded into the small vocabulary."""
    return np.asarray(tokens, dtype=np.int64) % VOCABULARY


def _path(factors: Factors, pair: str, inputs: Array) -> Array:
    if f"{pair}_a" not in factors:
        return np.zeros_like(inputs)
    narrow: Array = inputs @ factors[f"{pair}_a"]
    return narrow @ factors[f"{pair}_b"]


def _projection(base_model: str, factors: Factors) -> Array:
    projection: Array = base_weights(base_model).unembedding + _product(factors, "unembed", (WIDTH, VOCABULARY))
    return projection


def _product(factors: Factors, pair: str, shape: tuple[int, int]) -> Array:
    if f"{pair}_a" not in factors:
        return np.zeros(shape, dtype=FLOAT)
    return factors[f"{pair}_a"] @ factors[f"{pair}_b"]


def _log_softmax(logits: Array) -> Array:
    shifted = logits - logits.max(axis=1, keepdims=True)
    normalised: Array = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return normalised
