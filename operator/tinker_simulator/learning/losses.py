"""The losses of the service, each as its value and its derivative by the log-probability of every target.

A loss is a function of the targets' log-probabilities and the inputs sent beside them; the network's gradient follows
from the derivative alone, so adding a loss is adding one function to `LOSSES`. The formulas are those that the
service's documentation of its losses gives. Of the names that the official SDK knows two are missing: `custom` runs
on the server only where it offers that, and `stable_reinforce` needs what the service records while sampling.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tinker_simulator.learning.adapter import Array

LossInputs = Mapping[str, Array]
LossConfig = Mapping[str, float]

_DRO_BETA = 0.1


class LossInputError(ValueError):
    """A loss was asked for without an input that it needs, or with one of the wrong shape."""


@dataclass(frozen=True, slots=True)
class Loss:
    """`value` summed over all targets; `slope` is its derivative by each target's log-probability."""

    value: float
    slope: Array


class LossFunction(NamedTuple):
    """How a loss is computed, and the names of the numbers that tune it."""

    compute: Callable[[Array, LossInputs, LossConfig], Loss]
    tuned_by: frozenset[str]


def cross_entropy(logprobs: Array, inputs: LossInputs, _config: LossConfig) -> Loss:
    """Negative log-likelihood, weighted by `weights` (default: one each)."""
    weights = _input(inputs, "weights", logprobs) if "weights" in inputs else np.ones_like(logprobs)
    return Loss(float(-(weights * logprobs).sum()), -weights)


def importance_sampling(logprobs: Array, inputs: LossInputs, _config: LossConfig) -> Loss:
    """Policy gradient with the ratio of new to old probability."""
    ratio, advantages = _ratio(logprobs, inputs)
    return Loss(float(-(ratio * advantages).sum()), -ratio * advantages)


def ppo(logprobs: Array, inputs: LossInputs, config: LossConfig) -> Loss:
    """Importance sampling whose gain is capped where the ratio leaves the clip range."""
    ratio, advantages = _ratio(logprobs, inputs)
    return _capped(ratio, advantages, _clip(ratio, inputs, config, 0.8, 1.2))


def cispo(logprobs: Array, inputs: LossInputs, config: LossConfig) -> Loss:
    """Likelihood weighted by the clipped ratio, which itself is held constant; only the upper side is clipped."""
    ratio, advantages = _ratio(logprobs, inputs)
    weight = _clip(ratio, inputs, config, 0.0, 4.0) * advantages
    return Loss(float(-(weight * logprobs).sum()), -weight)


def dro(logprobs: Array, inputs: LossInputs, config: LossConfig) -> Loss:
    """Likelihood weighted by the advantage, less `beta` times half the square of the distance to the old policy."""
    beta = config.get("beta", _DRO_BETA)
    distance, advantages = logprobs - _input(inputs, "logprobs", logprobs), _input(inputs, "advantages", logprobs)
    value = -(logprobs * advantages - 0.5 * beta * distance**2).sum()
    return Loss(float(value), beta * distance - advantages)


def gspo(logprobs: Array, inputs: LossInputs, config: LossConfig) -> Loss:
    """As `ppo`, but every token has the sequence's ratio: the geometric mean where `sequence_ratio_mask` is not 0.

    The ratio's value is the sequence's, its derivative each token's own.
    """
    marked = _input(inputs, "sequence_ratio_mask", logprobs) != 0
    if not marked.any():
        raise LossInputError("'sequence_ratio_mask' marks no token. Set it to 1 for the sampled tokens.")
    distance = logprobs - _input(inputs, "logprobs", logprobs)
    ratio = np.full_like(logprobs, np.exp(distance[marked].mean()))
    return _capped(ratio, _input(inputs, "advantages", logprobs), _clip(ratio, inputs, config, 0.8, 1.2))


_CLIPPED = frozenset({"clip_low_threshold", "clip_high_threshold"})

LOSSES: Mapping[str, LossFunction] = {
    "cross_entropy": LossFunction(cross_entropy, frozenset()),
    "importance_sampling": LossFunction(importance_sampling, frozenset()),
    "ppo": LossFunction(ppo, _CLIPPED),
    "cispo": LossFunction(cispo, _CLIPPED),
    "dro": LossFunction(dro, frozenset({"beta"})),
    "gspo": LossFunction(gspo, _CLIPPED),
}


def _ratio(logprobs: Array, inputs: LossInputs) -> tuple[Array, Array]:
    ratio: Array = np.exp(logprobs - _input(inputs, "logprobs", logprobs))
    return ratio, _input(inputs, "advantages", logprobs)


def _capped(ratio: Array, advantages: Array, clipped: Array) -> Loss:
    free, capped = ratio * advantages, clipped * advantages
    value = float(-np.minimum(free, capped).sum())
    return Loss(value, np.where(free <= capped, -free, np.zeros_like(free)))


def _clip(ratio: Array, inputs: LossInputs, config: LossConfig, low: float, high: float) -> Array:
    """The ratio within its bounds: each target's own where they are sent with the inputs, else those of the config."""
    bounds = [
        _input(inputs, name, ratio) if name in inputs else config.get(name, default)
        for name, default in (("clip_low_threshold", low), ("clip_high_threshold", high))
    ]
    clipped: Array = np.clip(ratio, bounds[0], bounds[1]).astype(ratio.dtype)
    return clipped


def _input(inputs: LossInputs, name: str, like: Array) -> Array:
    if name not in inputs:
        raise LossInputError(f"loss_fn_inputs lacks '{name}'. Send one value per target token.")
    value = inputs[name]
    if value.size != like.size:
        raise LossInputError(
            f"'{name}' has {value.size} values for {like.size} target tokens. Send one value per target token."
        )
    return value.reshape(like.shape).astype(like.dtype)
