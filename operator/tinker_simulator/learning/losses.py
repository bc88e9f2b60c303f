"""The losses of the service, each as its value and its derivative by the log-probability of every target.

A loss is a function of the targets' log-probabilities and the inputs sent beside them; the network's gradient follows
from the derivative alone, so adding a loss is adding one function to `LOSSES`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from tinker_simulator.learning.adapter import Array

LossInputs = Mapping[str, Array]
LossConfig = Mapping[str, float]


class LossInputError(ValueError):
    """A loss was asked for without an input that it needs, or with one of the wrong shape."""


@dataclass(frozen=True, slots=True)
class Loss:
    """`value` summed over all targets; `slope` is its derivative by each target's log-probability."""

    value: float
    slope: Array


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
    free, clipped = ratio * advantages, _clip(ratio, config) * advantages
    return Loss(float(-np.minimum(free, clipped).sum()), np.where(free <= clipped, -free, 0.0).astype(free.dtype))


def cispo(logprobs: Array, inputs: LossInputs, config: LossConfig) -> Loss:
    """Likelihood weighted by the clipped ratio, which itself is held constant."""
    ratio, advantages = _ratio(logprobs, inputs)
    weight = _clip(ratio, config) * advantages
    return Loss(float(-(weight * logprobs).sum()), -weight)


LOSSES: Mapping[str, Callable[[Array, LossInputs, LossConfig], Loss]] = {
    "cross_entropy": cross_entropy,
    "importance_sampling": importance_sampling,
    "ppo": ppo,
    "cispo": cispo,
}


def _ratio(logprobs: Array, inputs: LossInputs) -> tuple[Array, Array]:
    ratio: Array = np.exp(logprobs - _input(inputs, "logprobs", logprobs))
    return ratio, _input(inputs, "advantages", logprobs)


def _clip(ratio: Array, config: LossConfig) -> Array:
    return np.clip(ratio, config.get("clip_low_threshold", 0.8), config.get("clip_high_threshold", 1.2))


def _input(inputs: LossInputs, name: str, like: Array) -> Array:
    if name not in inputs:
        raise LossInputError(f"loss_fn_inputs lacks '{name}'. Send one value per target token.")
    value = inputs[name]
    if value.size != like.size:
        raise LossInputError(
            f"'{name}' has {value.size} values for {like.size} target tokens. Send one value per target token."
        )
    return value.reshape(like.shape).astype(like.dtype)
